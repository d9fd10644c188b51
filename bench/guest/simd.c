/* Packed work in SSE2 registers: bytes and words as an image's colours, numbers as vectors of them. */
#include "bench.h"

/* What the headers would take from a C library. */
#define _MM_MALLOC_H_INCLUDED
#include <emmintrin.h>

enum { PIXELS = 1 << 14 };

static inline __m128i load(const void *from) { return _mm_loadu_si128((const __m128i *)from); }
static inline void store(void *to, __m128i value) { _mm_storeu_si128((__m128i *)to, value); }

/** Sum of products of 16-bit lanes in 7 binary places behind the point. */
static inline __m128i weighted(__m128i r, __m128i g, __m128i b, int wr, int wg, int wb) {
  __m128i sum = _mm_mullo_epi16(r, _mm_set1_epi16((short)wr));
  sum = _mm_add_epi16(sum, _mm_mullo_epi16(g, _mm_set1_epi16((short)wg)));
  sum = _mm_add_epi16(sum, _mm_mullo_epi16(b, _mm_set1_epi16((short)wb)));
  return _mm_srai_epi16(sum, 7);
}

/** Brightness and difference of colours of 16 pixels, from planes of bytes. */
static void convert(const uint8_t *r, const uint8_t *g, const uint8_t *b, uint8_t *y, uint8_t *u) {
  const __m128i zero = _mm_setzero_si128(), middle = _mm_set1_epi16(128);
  __m128i vr = load(r), vg = load(g), vb = load(b);
  __m128i r0 = _mm_unpacklo_epi8(vr, zero), r1 = _mm_unpackhi_epi8(vr, zero);
  __m128i g0 = _mm_unpacklo_epi8(vg, zero), g1 = _mm_unpackhi_epi8(vg, zero);
  __m128i b0 = _mm_unpacklo_epi8(vb, zero), b1 = _mm_unpackhi_epi8(vb, zero);
  store(y, _mm_packus_epi16(weighted(r0, g0, b0, 38, 75, 15), weighted(r1, g1, b1, 38, 75, 15)));
  __m128i u0 = _mm_add_epi16(weighted(r0, g0, b0, -22, -42, 64), middle);
  __m128i u1 = _mm_add_epi16(weighted(r1, g1, b1, -22, -42, 64), middle);
  store(u, _mm_packus_epi16(u0, u1));
}

/** Sum of absolute differences of neighbouring pixels, how many are above a threshold, and the largest. */
static uint64_t compare(const uint8_t *a, const uint8_t *b) {
  __m128i sum = _mm_setzero_si128(), above = _mm_setzero_si128(), largest = _mm_setzero_si128();
  uint64_t result[2];
  for (int i = 0; i < PIXELS; i += 16) {
    __m128i x = load(a + i), y = load(b + i);
    __m128i difference = _mm_or_si128(_mm_subs_epu8(x, y), _mm_subs_epu8(y, x));
    sum = _mm_add_epi64(sum, _mm_sad_epu8(x, y));
    __m128i small = _mm_cmpeq_epi8(_mm_subs_epu8(difference, _mm_set1_epi8(40)), _mm_setzero_si128());
    above = _mm_add_epi64(above, _mm_sad_epu8(_mm_andnot_si128(small, _mm_set1_epi8(1)), _mm_setzero_si128()));
    largest = _mm_max_epu8(largest, difference);
  }
  store(result, _mm_xor_si128(_mm_add_epi64(sum, _mm_slli_epi64(above, 32)), _mm_shuffle_epi32(largest, 0x4e)));
  return mix(result[0], result[1]);
}

uint64_t simd_integer(void) {
  static uint8_t colours[3][PIXELS], brightness[PIXELS], difference[PIXELS];
  uint64_t state = 7, checksum = 0;
  for (int plane = 0; plane < 3; plane++)
    for (int i = 0; i < PIXELS; i++) colours[plane][i] = (uint8_t)next_random(&state);
  for (int round = 0; round < 1000; round++) {
    for (int i = 0; i < PIXELS; i += 16)
      convert(colours[0] + i, colours[1] + i, colours[2] + i, brightness + i, difference + i);
    checksum = mix(checksum, compare(brightness, difference));
    colours[round % 3][round] ^= (uint8_t)checksum;
  }
  return checksum;
}

enum { NUMBERS = 1 << 12 };

/** y = a x + y, in single precision. */
static void saxpy(float a, const float *x, float *y) {
  __m128 factor = _mm_set1_ps(a);
  for (int i = 0; i < NUMBERS; i += 4)
    _mm_storeu_ps(y + i, _mm_add_ps(_mm_mul_ps(factor, _mm_loadu_ps(x + i)), _mm_loadu_ps(y + i)));
}

/** Scalar product in double precision of single-precision vectors. */
static double dot(const float *x, const float *y) {
  __m128d low = _mm_setzero_pd(), high = _mm_setzero_pd();
  double both[2];
  for (int i = 0; i < NUMBERS; i += 4) {
    __m128 a = _mm_loadu_ps(x + i), b = _mm_loadu_ps(y + i);
    low = _mm_add_pd(low, _mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)));
    a = _mm_movehl_ps(a, a), b = _mm_movehl_ps(b, b);
    high = _mm_add_pd(high, _mm_mul_pd(_mm_cvtps_pd(a), _mm_cvtps_pd(b)));
  }
  _mm_storeu_pd(both, _mm_add_pd(low, high));
  return both[0] + both[1];
}

/** Brings all into [-1, 1]; returns which lay outside, as a sum of their places in fours. */
static int clamp(float *y) {
  const __m128 one = _mm_set1_ps(1), minus_one = _mm_set1_ps(-1);
  int outside = 0;
  for (int i = 0; i < NUMBERS; i += 4) {
    __m128 value = _mm_loadu_ps(y + i);
    __m128 inside = _mm_min_ps(_mm_max_ps(value, minus_one), one);
    outside += _mm_movemask_ps(_mm_cmpneq_ps(value, inside));
    _mm_storeu_ps(y + i, inside);
  }
  return outside;
}

/** Lengths of the vectors whose parts stand one after the other, as a sum. */
static float lengths(const float *x, const float *y) {
  __m128 sum = _mm_setzero_ps();
  float parts[4];
  for (int i = 0; i < NUMBERS; i += 4) {
    __m128 a = _mm_loadu_ps(x + i), b = _mm_loadu_ps(y + i);
    sum = _mm_add_ps(sum, _mm_sqrt_ps(_mm_add_ps(_mm_mul_ps(a, a), _mm_mul_ps(b, b))));
  }
  _mm_storeu_ps(parts, sum);
  return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

uint64_t simd_float(void) {
  static float x[NUMBERS], y[NUMBERS];
  uint64_t state = 8, checksum = 0;
  for (int i = 0; i < NUMBERS; i++) {
    x[i] = (float)(int32_t)next_random(&state) / 2147483648.0f;
    y[i] = (float)(int32_t)next_random(&state) / 2147483648.0f;
  }
  for (int round = 0; round < 2000; round++) {
    saxpy(0.25f - (float)(round & 7) * 0.0625f, x, y);
    checksum = mix_double(checksum, dot(x, y));
    checksum = mix_double(mix(checksum, (uint64_t)clamp(y)), (double)lengths(x, y));
  }
  return checksum;
}
