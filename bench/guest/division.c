/* What 32-bit code calls for a division of 64-bit numbers; elsewhere the compiler's own library has it. */
#ifdef __i386__
#include "bench.h"

struct division {
  uint64_t quotient, remainder;
};

/** By DIV, twice; the first remainder is below the divisor, so the second quotient fits. */
static inline struct division by_word(uint64_t dividend, uint32_t divisor) {
  uint32_t high = (uint32_t)(dividend >> 32), low = (uint32_t)dividend, rest = high % divisor;
  uint32_t quotient = low;
  __asm__("divl %[divisor]" : "+a"(quotient), "+d"(rest) : [divisor] "r"(divisor) : "cc");
  return (struct division){(uint64_t)(high / divisor) << 32 | quotient, rest};
}

static struct division by_bits(uint64_t dividend, uint64_t divisor) {
  struct division result = {0, 0};
  for (int bit = 63; bit >= 0; bit--) {
    int carry = (int)(result.remainder >> 63);
    result.remainder = result.remainder << 1 | (dividend >> bit & 1);
    if (!carry && result.remainder < divisor) continue;
    result.remainder -= divisor;
    result.quotient |= 1ull << bit;
  }
  return result;
}

uint64_t __udivdi3(uint64_t dividend, uint64_t divisor) {
  return divisor >> 32 ? by_bits(dividend, divisor).quotient : by_word(dividend, (uint32_t)divisor).quotient;
}

uint64_t __umoddi3(uint64_t dividend, uint64_t divisor) {
  return divisor >> 32 ? by_bits(dividend, divisor).remainder : by_word(dividend, (uint32_t)divisor).remainder;
}
#else
typedef int not_needed;
#endif
