/* System calls of Linux on x86-64 and, for the 32-bit build, on i386, for a program without a C library. */
#ifndef SYSTEM_CALL_H
#define SYSTEM_CALL_H

#ifdef __x86_64__
enum {
  SYS_read = 0,
  SYS_write = 1,
  SYS_close = 3,
  SYS_lseek = 8,
  SYS_mmap = 9,
  SYS_munmap = 11,
  SYS_pipe = 22,
  SYS_madvise = 28,
  SYS_dup2 = 33,
  SYS_getpid = 39,
  SYS_fork = 57,
  SYS_execve = 59,
  SYS_exit = 60,
  SYS_wait4 = 61,
  SYS_reboot = 169,
  SYS_clock_gettime = 228,
  SYS_memfd_create = 319,
};
#else
enum {
  SYS_exit = 1,
  SYS_fork = 2,
  SYS_read = 3,
  SYS_write = 4,
  SYS_close = 6,
  SYS_execve = 11,
  SYS_lseek = 19,
  SYS_getpid = 20,
  SYS_pipe = 42,
  SYS_dup2 = 63,
  SYS_reboot = 88,
  SYS_munmap = 91,
  SYS_wait4 = 114,
  SYS_mmap = 192, /* mmap2 */
  SYS_madvise = 219,
  SYS_memfd_create = 356,
  SYS_clock_gettime = 403, /* clock_gettime64 */
};
#endif
enum { PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 32, MADV_NOHUGEPAGE = 15 };

/* The result, or the negated error number. The fifth and sixth arguments are -1 and 0: what mmap takes for no file. */
#ifdef __x86_64__
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
#else
/** Where the kernel says that it is entered (AT_SYSINFO): by SYSENTER where the processor has it. */
extern void (*kernel_entry)(void);

static inline long system_call(long number, long a, long b, long c, long d) {
  long result;
  __asm__ volatile("push %%ebp\n xor %%ebp, %%ebp\n call *%[entry]\n pop %%ebp"
                   : "=a"(result)
                   : [entry] "m"(kernel_entry), "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(-1)
                   : "memory");
  return result;
}
#endif

#endif
