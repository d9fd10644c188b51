/* Memory work: streams, REP string instructions, bytes, and accesses that miss every cache and TLB. */
#include "bench.h"

enum { WORDS = 1 << 17 };
/* Not a power of two apart: that would make the pages of both compete for the same entries of a direct-mapped TLB. */
static struct {
  uint64_t source[WORDS];
  char gap[23 * 4096];
  uint64_t target[WORDS];
} area;

static void fill_source(void) {
  uint64_t state = 3;
  for (int i = 0; i < WORDS; i++) area.source[i] = next_random(&state);
}

static uint64_t sample_target(void) {
  uint64_t checksum = 0;
  for (int i = 0; i < WORDS; i += 1013) checksum = mix(checksum, area.target[i]);
  return checksum;
}

uint64_t memory_copy(void) {
  fill_source();
  for (int round = 0; round < 128; round++)
    for (int i = 0; i < WORDS; i++) area.target[i] = area.source[i] + (uint64_t)round;
  return sample_target();
}

uint64_t memory_rep(void) {
  fill_source();
  for (int round = 0; round < 16; round++) {
    void *to = area.target;
    const void *from = area.source;
    unsigned long count = sizeof area.source;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
    area.source[round] ^= area.target[round + 1];
  }
  return sample_target();
}

__attribute__((noinline)) static uint64_t length_of(const char *text) {
  const char *end = text;
  while (*end) end++;
  return (uint64_t)(end - text);
}

uint64_t memory_strlen(void) {
  static char text[1 << 16];
  uint64_t state = 4, checksum = 0;
  for (unsigned i = 0; i < sizeof text; i++) text[i] = (char)(1 + next_random(&state) % 255);
  for (unsigned i = 63; i < sizeof text; i += 1 + next_random(&state) % 256) text[i] = 0;
  text[sizeof text - 1] = 0;
  for (int round = 0; round < 300; round++)
    for (unsigned i = 0; i < sizeof text;) {
      uint64_t length = length_of(text + i);
      checksum = mix(checksum, length);
      i += (unsigned)length + 1;
    }
  return checksum;
}

uint64_t memory_random(void) {
  enum { SLOTS = 1 << 21, STEPS = 1 << 21 };
  static uint32_t next[SLOTS];
  uint64_t checksum = 0;
  /* A full cycle through all slots: a linear congruence with an odd step and a multiplier of 1 modulo 4 */
  for (uint32_t i = 0; i < SLOTS; i++) next[i] = (i * 1664525 + 1013904223) % SLOTS;
  uint32_t at = 0;
  for (int i = 0; i < STEPS; i++) {
    at = next[at];
    checksum += at ^ (uint32_t)i;
  }
  return mix(checksum, at);
}
