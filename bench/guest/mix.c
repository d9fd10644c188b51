/*
 * What small controllers spend their time on, in turn: a linked list that is searched, reversed and sorted, products of
 * matrices of small integers, a state machine over characters, and a CRC-16 of everything.
 */
#include "bench.h"

static uint16_t crc16(uint16_t crc, uint16_t value) {
  for (int bit = 0; bit < 16; bit++, value >>= 1) {
    int carry = (crc ^ value) & 1;
    crc >>= 1;
    if (carry) crc ^= 0xa001;
  }
  return crc;
}

/* Lists */

enum { ITEMS = 192 };

struct item {
  struct item *next;
  int16_t key, place;
};

static struct item items[ITEMS];

static struct item *make_list(uint64_t *state) {
  for (int i = 0; i < ITEMS; i++) {
    items[i].next = i + 1 < ITEMS ? &items[i + 1] : 0;
    items[i].key = (int16_t)(next_random(state) >> 8 & 0x3ff);
    items[i].place = (int16_t)i;
  }
  return items;
}

static struct item *reversed(struct item *list) {
  struct item *result = 0;
  while (list) {
    struct item *next = list->next;
    list->next = result;
    result = list;
    list = next;
  }
  return result;
}

static const struct item *find(const struct item *list, int16_t key) {
  while (list && list->key != key) list = list->next;
  return list;
}

static int by_key(const struct item *a, const struct item *b) { return a->key - b->key; }
static int by_place(const struct item *a, const struct item *b) { return a->place - b->place; }

typedef int order(const struct item *, const struct item *);

static struct item *merged(struct item *a, struct item *b, order *compare) {
  struct item *result = 0, **end = &result;
  while (a && b) {
    struct item **smaller = compare(a, b) <= 0 ? &a : &b;
    *end = *smaller;
    end = &(*smaller)->next;
    *smaller = *end;
  }
  *end = a ? a : b;
  return result;
}

__attribute__((noinline)) static struct item *sorted(struct item *list, order *compare) {
  if (!list || !list->next) return list;
  struct item *middle = list;
  for (struct item *end = list->next; end && end->next; end = end->next->next) middle = middle->next;
  struct item *second = middle->next;
  middle->next = 0;
  return merged(sorted(list, compare), sorted(second, compare), compare);
}

static uint16_t lists(uint16_t crc, uint64_t *state) {
  struct item *list = make_list(state);
  for (int i = 0; i < 24; i++) {
    const struct item *found = find(list, (int16_t)(next_random(state) & 0x3ff));
    crc = crc16(crc, found ? (uint16_t)found->place : 0xffff);
    list = reversed(list);
  }
  list = sorted(list, by_key);
  for (const struct item *at = list; at; at = at->next) crc = crc16(crc, (uint16_t)at->key);
  list = sorted(list, by_place);
  return crc16(crc, (uint16_t)list->key);
}

/* Matrices */

enum { SIZE = 20 };

static uint16_t matrices(uint16_t crc, uint64_t *state) {
  static int16_t a[SIZE][SIZE], b[SIZE][SIZE];
  static int32_t product[SIZE][SIZE];
  for (int i = 0; i < SIZE; i++)
    for (int j = 0; j < SIZE; j++) {
      a[i][j] = (int16_t)(next_random(state) & 0xff);
      b[i][j] = (int16_t)(a[i][j] - i * j);
    }
  for (int i = 0; i < SIZE; i++)
    for (int j = 0; j < SIZE; j++) {
      int32_t sum = 0;
      for (int k = 0; k < SIZE; k++) sum += a[i][k] * b[k][j];
      product[i][j] = sum;
    }
  for (int i = 0; i < SIZE; i++) crc = crc16(crc, (uint16_t)(product[i][SIZE - 1 - i] >> 3));
  return crc;
}

/* A state machine that sorts words into integers, fractions, numbers with exponents and what is none */

enum state { START, SIGN, INTEGER, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, POWER, INVALID, STATES };

static enum state after(enum state state, char c) {
  int digit = c >= '0' && c <= '9', sign = c == '+' || c == '-';
  switch (state) {
    case START: return digit ? INTEGER : sign ? SIGN : c == '.' ? POINT : INVALID;
    case SIGN: return digit ? INTEGER : c == '.' ? POINT : INVALID;
    case INTEGER: return digit ? INTEGER : c == '.' ? FRACTION : c == 'e' ? EXPONENT : INVALID;
    case POINT: return digit ? FRACTION : INVALID;
    case FRACTION: return digit ? FRACTION : c == 'e' ? EXPONENT : INVALID;
    case EXPONENT: return digit ? POWER : sign ? EXPONENT_SIGN : INVALID;
    case EXPONENT_SIGN: return digit ? POWER : INVALID;
    case POWER: return digit ? POWER : INVALID;
    default: return INVALID;
  }
}

static uint16_t words(uint16_t crc, uint64_t *random) {
  static char text[512];
  static const char alphabet[] = "0123456789+-.e,0123456789.,,,12x";
  uint16_t counts[STATES] = {0};
  for (unsigned i = 0; i < sizeof text; i++) text[i] = alphabet[next_random(random) >> 20 & 31];
  for (int pass = 0; pass < 4; pass++) {
    enum state state = START;
    for (unsigned i = 0; i < sizeof text; i++) {
      if (text[i] != ',') {
        state = after(state, text[i]);
        continue;
      }
      counts[state]++;
      state = START;
    }
    text[next_random(random) % sizeof text] = ',';
  }
  for (int i = 0; i < STATES; i++) crc = crc16(crc, counts[i]);
  return crc;
}

uint64_t integer_mix(void) {
  uint64_t state = 6, checksum = 0;
  uint16_t crc = 0xffff;
  for (int round = 0; round < 350; round++) {
    crc = lists(crc, &state);
    crc = matrices(crc, &state);
    crc = words(crc, &state);
    checksum = mix(checksum, crc);
  }
  return checksum;
}
