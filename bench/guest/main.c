/*
 * The guest benchmark: a program without a C library, so that the same instructions run wherever it is built. It runs
 * each workload and prints
 *
 *   BENCH <name> <nanoseconds> ns <checksum> <count> <what is counted>
 *   FAILED <name>, if its work could not be done
 *
 * As the first process of a machine it powers off at the end. Arguments: how many times to repeat each workload (1),
 * then the names of those to run (all); the kernel hands them over behind `--` at the end of its command line. The
 * argument `list` prints the names alone; `nothing` ends at once, for `system-process`.
 */
#include "bench.h"
#include "system-call.h"

enum { REBOOT_MAGIC1 = 0xfee1dead, REBOOT_MAGIC2 = 672274793, REBOOT_POWER_OFF = 0x4321fedc };
enum { CLOCK_MONOTONIC = 1, STDOUT = 1 };

const char *program_path;

static uint64_t now(void) {
  int64_t time[2];
  system_call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)time, 0, 0);
  return (uint64_t)time[0] * 1000000000 + (uint64_t)time[1];
}

static char line[160];
static unsigned used;

static void put(const char *text) {
  while (*text) line[used++] = *text++;
}

static void put_number(uint64_t value, unsigned base) {
  char digits[20];
  unsigned count = 0;
  do digits[count++] = "0123456789abcdef"[value % base];
  while (value /= base);
  while (count) line[used++] = digits[--count];
}

static void print_line(void) {
  line[used++] = '\n';
  system_call(SYS_write, STDOUT, (long)line, used, 0);
  used = 0;
}

static void tell_failure(const struct workload *work) {
  put("FAILED ");
  put(work->name);
  print_line();
}

static void measure(const struct workload *work, uint64_t repeats) {
  if (work->prepare) work->prepare();
  uint64_t checksum = 0, start = now();
  for (uint64_t i = 0; i < repeats; i++) {
    uint64_t result = work->run();
    if (!result) {
      tell_failure(work);
      return;
    }
    checksum = mix(checksum, result);
  }
  uint64_t elapsed = now() - start;
  put("BENCH ");
  put(work->name);
  put(" ");
  put_number(elapsed, 10);
  put(" ns ");
  put_number(checksum, 16);
  put(" ");
  put_number(work->count * repeats, 10);
  put(" ");
  put(work->unit ? work->unit : "instructions");
  print_line();
}

static uint64_t parse_number(const char *text) {
  uint64_t value = 0;
  for (; *text >= '0' && *text <= '9'; text++) value = value * 10 + (uint64_t)(*text - '0');
  return value ? value : 1;
}

__attribute__((noreturn)) static void exit_program(void) {
  for (;;) system_call(SYS_exit, 0, 0, 0, 0);
}

static const struct workload WORKLOADS[] = {
    {"integer-arithmetic", integer_arithmetic, 75761234, 0, 0},
    {"integer-calls", integer_calls, 98688169, 0, 0},
    {"integer-crc32", integer_crc32, 84744845, 0, 0},
    {"integer-sha256", integer_sha256, 133134833, 0, 0},
    {"integer-sieve", integer_sieve, 107692488, 0, 0},
    {"integer-sort", integer_sort, 107204948, 0, 0},
    {"integer-bytecode", integer_bytecode, 107801315, 0, 0},
    {"integer-mix", integer_mix, 101042951, 0, 0},
    {"float-mandelbrot", float_mandelbrot, 100072747, 0, 0},
    {"float-nbody", float_nbody, 151600479, 0, 0},
    {"simd-integer", simd_integer, 91806434, 0, 0},
    {"simd-float", simd_float, 88282197, 0, 0},
    {"memory-copy", memory_copy, 52037139, 0, 0},
    {"memory-rep", memory_rep, 1704759, 0, 0},
    {"memory-strlen", memory_strlen, 61753409, 0, 0},
    {"memory-random", memory_random, 27262990, 0, 0},
    {"system-getpid", system_getpid, 100000, "calls", 0},
    {"system-page-fault", system_page_fault, 5000, "faults", 0},
    {"system-pipe", system_pipe, 2000, "round-trips", 0},
    {"system-process", system_process, 100, "processes", 0},
    {"busybox-gzip", busybox_gzip, 1, "runs", busybox_gzip_input},
    {"busybox-sort", busybox_sort, 1, "runs", busybox_sort_input},
};

static int equal(const char *a, const char *b) {
  for (; *a && *a == *b; a++) b++;
  return *a == *b;
}

/** Whether `names`, which end with a null pointer, hold the name; no names at all mean any. */
static int selected(const char *const *names, const char *name) {
  if (!*names) return 1;
  for (; *names; names++)
    if (equal(*names, name)) return 1;
  return 0;
}

static void list_workloads(void) {
  for (unsigned i = 0; i < sizeof WORKLOADS / sizeof *WORKLOADS; i++) {
    put(WORKLOADS[i].name);
    print_line();
  }
}

static void run_workloads(const char *const *names, uint64_t repeats) {
  for (unsigned i = 0; i < sizeof WORKLOADS / sizeof *WORKLOADS; i++)
    if (selected(names, WORKLOADS[i].name)) measure(&WORKLOADS[i], repeats);
}

#ifdef __i386__
enum { AT_SYSINFO = 32 };

void int80(void);
__asm__("int80:\n  int $0x80\n  ret\n");

void (*kernel_entry)(void) = int80;

/** Behind the arguments stand the environment, a null pointer, and pairs of what the kernel tells. */
static void find_kernel_entry(const long *environment) {
  while (*environment++) {
  }
  for (const long *pair = environment; *pair; pair += 2)
    if (*pair == AT_SYSINFO) kernel_entry = (void (*)(void))pair[1];
}
#endif

/** Called by _start with the stack as the kernel left it: the argument count, then the arguments. */
__attribute__((used, noreturn)) static void begin(const long *stack) {
  const char *const *arguments = (const char *const *)(stack + 1);
#ifdef __i386__
  find_kernel_entry(stack + stack[0] + 2);
#endif
  program_path = arguments[0];
  if (stack[0] > 1 && equal(arguments[1], "nothing")) exit_program();
  if (stack[0] > 1 && equal(arguments[1], "list"))
    list_workloads();
  else
    run_workloads(arguments + (stack[0] > 2 ? 2 : stack[0]), stack[0] > 1 ? parse_number(arguments[1]) : 1);
  if (system_call(SYS_getpid, 0, 0, 0, 0) == 1)
    system_call(SYS_reboot, REBOOT_MAGIC1, REBOOT_MAGIC2, REBOOT_POWER_OFF, 0);
  exit_program();
}

#ifdef __x86_64__
__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call begin\n");
#else
__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %esp, %eax\n  and $-16, %esp\n  sub $12, %esp\n"
        "  push %eax\n  call begin\n");
#endif
