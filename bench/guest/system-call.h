/* System calls of Linux on x86-64, for a program without a C library. */
#ifndef SYSTEM_CALL_H
#define SYSTEM_CALL_H

enum {
  SYS_read = 0,
  SYS_write = 1,
  SYS_close = 3,
  SYS_mmap = 9,
  SYS_munmap = 11,
  SYS_pipe = 22,
  SYS_madvise = 28,
  SYS_getpid = 39,
  SYS_fork = 57,
  SYS_execve = 59,
  SYS_exit = 60,
  SYS_wait4 = 61,
  SYS_reboot = 169,
  SYS_clock_gettime = 228,
};
enum { PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 32, MADV_NOHUGEPAGE = 15 };

/** The result, or the negated error number. The fifth and sixth arguments are -1 and 0: what mmap takes for no file. */
static inline long system_call(long number, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = -1;
  register long r9 __asm__("r9") = 0;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

#endif
