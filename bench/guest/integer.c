/* Integer work: arithmetic, calls, tables, a sieve, unpredictable branches, an interpreter's dispatch. */
#include "bench.h"

static uint64_t power_modulo(uint64_t base, uint64_t exponent, uint64_t modulus) {
  uint64_t result = 1;
  for (; exponent; exponent >>= 1) {
    if (exponent & 1) result = result * base % modulus;
    base = base * base % modulus;
  }
  return result;
}

static unsigned collatz_length(uint64_t n) {
  unsigned length = 0;
  for (; n != 1; length++) n = n & 1 ? 3 * n + 1 : n >> 1;
  return length;
}

uint64_t integer_arithmetic(void) {
  uint64_t checksum = 0;
  for (uint64_t n = 2; n < 100000; n++) checksum = mix(checksum, collatz_length(n));
  for (uint64_t n = 2; n < 20000; n++) checksum = mix(checksum, power_modulo(n, 1000003, 2147483647));
  return checksum;
}

__attribute__((noinline, optimize("no-inline", "no-optimize-sibling-calls"))) static uint64_t fibonacci(unsigned n) {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

uint64_t integer_calls(void) { return fibonacci(32); }

uint64_t integer_crc32(void) {
  static uint32_t table[256];
  static uint8_t data[1 << 16];
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  uint64_t state = 1;
  for (unsigned i = 0; i < sizeof data; i++) data[i] = (uint8_t)next_random(&state);
  uint32_t crc = ~0u;
  for (int round = 0; round < 160; round++)
    for (unsigned i = 0; i < sizeof data; i++) crc = table[(crc ^ data[i]) & 0xff] ^ (crc >> 8);
  return ~crc;
}

uint64_t integer_sieve(void) {
  enum { LIMIT = 1 << 20 };
  static uint8_t composite[LIMIT];
  uint64_t checksum = 0;
  for (uint32_t round = 0; round < 5; round++) {
    for (uint32_t i = 0; i < LIMIT; i++) composite[i] = 0;
    uint32_t count = 0, last = 0;
    for (uint32_t i = 2; i < LIMIT - round; i++) {
      if (composite[i]) continue;
      count++, last = i;
      for (uint32_t multiple = i * 2; multiple < LIMIT - round; multiple += i) composite[multiple] = 1;
    }
    checksum = mix(mix(checksum, count), last);
  }
  return checksum;
}

static void quicksort(int32_t *a, int lo, int hi) {
  while (lo < hi) {
    int32_t pivot = a[lo + (hi - lo) / 2];
    int i = lo, j = hi;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i > j) break;
      int32_t swapped = a[i];
      a[i++] = a[j];
      a[j--] = swapped;
    }
    quicksort(a, lo, j);
    lo = i;
  }
}

uint64_t integer_sort(void) {
  enum { COUNT = 1 << 16 };
  static int32_t numbers[COUNT];
  uint64_t state = 2, checksum = 0;
  for (int round = 0; round < 8; round++) {
    for (int i = 0; i < COUNT; i++) numbers[i] = (int32_t)next_random(&state);
    quicksort(numbers, 0, COUNT - 1);
    for (int i = 0; i < COUNT; i += 997) checksum = mix(checksum, (uint32_t)numbers[i]);
  }
  return checksum;
}

enum opcode { ADD, SUB, XOR, SHIFT, LOAD, STORE, LOOP, STOP };

struct operation {
  uint8_t opcode, to, from, spare;
};

static uint64_t interpret(const struct operation *program, uint64_t *registers, uint64_t *memory) {
  for (const struct operation *at = program;; at++) {
    uint64_t *to = &registers[at->to], from = registers[at->from];
    switch ((enum opcode)at->opcode) {
      case ADD: *to += from; break;
      case SUB: *to -= from; break;
      case XOR: *to ^= from; break;
      case SHIFT: *to = *to << 5 | *to >> 59; break;
      case LOAD: *to = memory[from & 255]; break;
      case STORE: memory[from & 255] = *to; break;
      case LOOP:
        if (--registers[7]) at = program - 1;
        break;
      case STOP: return registers[0];
    }
  }
}

uint64_t integer_bytecode(void) {
  static uint64_t memory[256];
  static const struct operation program[] = {
      {ADD, 0, 1, 0},   {XOR, 1, 0, 0},  {SHIFT, 0, 0, 0}, {LOAD, 2, 0, 0}, {ADD, 2, 1, 0}, {STORE, 2, 1, 0},
      {SUB, 1, 2, 0},   {SHIFT, 1, 0, 0}, {XOR, 3, 2, 0},   {LOAD, 4, 3, 0}, {ADD, 0, 4, 0}, {LOOP, 0, 0, 0},
      {STOP, 0, 0, 0},
  };
  uint64_t registers[8] = {1, 2, 3, 4, 5, 6, 7, 700000};
  for (int i = 0; i < 256; i++) memory[i] = (uint64_t)i * 0x9e3779b97f4a7c15;
  return interpret(program, registers, memory);
}
