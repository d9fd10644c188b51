/* What every workload of the guest benchmark shares. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>

#ifdef __i386__
/* v86 interprets instructions at the end of a page: each file's code, which is shorter than one, stands on its own. */
__asm__(".text\n.p2align 12\n");
#endif

/** A deterministic piece of work. */
struct workload {
  const char *name;
  /** Does the work once and returns a checksum of its results; 0 if it could not be done. */
  uint64_t (*run)(void);
  /**
   * Instructions that one run takes as gcc 12.2 compiles it with the flags of build.sh (counted by callgrind); a REP
   * string instruction counts once, however long. Or of its own `unit`.
   */
  uint64_t count;
  /** What `count` counts; null: instructions. */
  const char *unit;
  /** Done once before time is taken; null: nothing is to be done. */
  void (*prepare)(void);
};

/** Steps of the pseudo-random sequence that the workloads draw their data from (xorshift64). */
static inline uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

/** Folds a value into a checksum. */
static inline uint64_t mix(uint64_t checksum, uint64_t value) {
  return (checksum ^ value) * 0x100000001b3;
}

/** The same for the bits of a floating-point number. */
static inline uint64_t mix_double(uint64_t checksum, double value) {
  union {
    double number;
    uint64_t bits;
  } both = {.number = value};
  return mix(checksum, both.bits);
}

/** The file this program was started from. */
extern const char *program_path;

uint64_t integer_arithmetic(void);
uint64_t integer_calls(void);
uint64_t integer_crc32(void);
uint64_t integer_sha256(void);
uint64_t integer_sieve(void);
uint64_t integer_sort(void);
uint64_t integer_bytecode(void);
uint64_t integer_mix(void);
uint64_t float_mandelbrot(void);
uint64_t float_nbody(void);
uint64_t simd_integer(void);
uint64_t simd_float(void);
uint64_t memory_copy(void);
uint64_t memory_rep(void);
uint64_t memory_strlen(void);
uint64_t memory_random(void);
uint64_t system_getpid(void);
uint64_t system_page_fault(void);
uint64_t system_pipe(void);
uint64_t system_process(void);
void busybox_gzip_input(void);
uint64_t busybox_gzip(void);
void busybox_sort_input(void);
uint64_t busybox_sort(void);

#endif
