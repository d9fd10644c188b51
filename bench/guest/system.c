/* What a program asks of its kernel: system calls, page faults, switches between processes, new processes. */
#include "bench.h"
#include "system-call.h"

enum { PAGE = 4096 };

uint64_t system_getpid(void) {
  uint64_t calls = 0;
  for (; calls < 100000; calls++)
    if (system_call(SYS_getpid, 0, 0, 0, 0) <= 0) return 0;
  return calls;
}

uint64_t system_page_fault(void) {
  enum { SIZE = 1000 * PAGE, ROUNDS = 5 };
  uint64_t faults = 0;
  for (int round = 0; round < ROUNDS; round++) {
    long area = system_call(SYS_mmap, 0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    if (area < 0 && area > -PAGE) return 0;
    /* A page is a page, also where the kernel would map large ones */
    system_call(SYS_madvise, area, SIZE, MADV_NOHUGEPAGE, 0);
    for (long at = area; at < area + SIZE; at += PAGE, faults++) *(volatile char *)at = 1;
    system_call(SYS_munmap, area, SIZE, 0, 0);
  }
  return faults;
}

uint64_t system_pipe(void) {
  enum { ROUNDS = 2000 };
  int there[2], back[2];
  char byte = 0;
  if (system_call(SYS_pipe, (long)there, 0, 0, 0) || system_call(SYS_pipe, (long)back, 0, 0, 0)) return 0;
  long child = system_call(SYS_fork, 0, 0, 0, 0);
  if (child == 0) {
    for (int i = 0; i < ROUNDS; i++) {
      system_call(SYS_read, there[0], (long)&byte, 1, 0);
      system_call(SYS_write, back[1], (long)&byte, 1, 0);
    }
    system_call(SYS_exit, 0, 0, 0, 0);
  }
  uint64_t rounds = 0;
  for (; rounds < ROUNDS; rounds++) {
    if (system_call(SYS_write, there[1], (long)&byte, 1, 0) != 1) break;
    if (system_call(SYS_read, back[0], (long)&byte, 1, 0) != 1) break;
  }
  system_call(SYS_wait4, child, 0, 0, 0);
  for (int i = 0; i < 2; i++) {
    system_call(SYS_close, there[i], 0, 0, 0);
    system_call(SYS_close, back[i], 0, 0, 0);
  }
  return rounds;
}

uint64_t system_process(void) {
  enum { PROCESSES = 100 };
  static const char *const arguments[] = {"bench", "nothing", 0};
  static const char *const environment[] = {0};
  uint64_t ended = 0;
  for (int i = 0; i < PROCESSES; i++) {
    long child = system_call(SYS_fork, 0, 0, 0, 0);
    if (child == 0) {
      system_call(SYS_execve, (long)program_path, (long)arguments, (long)environment, 0);
      system_call(SYS_exit, 1, 0, 0, 0);
    }
    int status = 1;
    if (system_call(SYS_wait4, child, (long)&status, 0, 0) == child && status == 0) ended++;
  }
  return ended;
}
