/*
 * A program that writes code in the ways that programs do, and checks what the code computes. No C library: it runs on a
 * host and as the first process of a machine. It prints for each way
 *
 *   JIT <name> <rewrites> rewrites <wrong results> wrong <nanoseconds> ns
 *
 * and `JIT-OK` or `JIT-WRONG` at the end; the first process then powers off. Arguments: rewrites for the fastest ways
 * (10000; the others do a fraction of it), then the names of the ways to try (all).
 */
#include <stddef.h>
#include <stdint.h>

enum {
  SYS_read = 0,
  SYS_write = 1,
  SYS_mmap = 9,
  SYS_mprotect = 10,
  SYS_munmap = 11,
  SYS_pipe = 22,
  SYS_mremap = 25,
  SYS_getpid = 39,
  SYS_fork = 57,
  SYS_exit = 60,
  SYS_wait4 = 61,
  SYS_reboot = 169,
  SYS_clock_gettime = 228,
};
enum { PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4, PROT_ALL = 7 };
enum { MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 16, MAP_ANONYMOUS = 32, MREMAP_MAYMOVE = 1 };
enum { REBOOT_MAGIC1 = 0xfee1dead, REBOOT_MAGIC2 = 672274793, REBOOT_POWER_OFF = 0x4321fedc };
enum { CLOCK_MONOTONIC = 1, STDOUT = 1, PAGE = 4096, RING_PAGES = 64 };

static long system_call(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
#define CALL0(n) system_call(n, 0, 0, 0, 0, 0, 0)
#define CALL3(n, a, b, c) system_call(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)

// --- output ----------------------------------------------------------------------------------------------------------

static char line[240];
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
  CALL3(SYS_write, STDOUT, line, used);
  used = 0;
}
static void end(int status) {
  if (CALL0(SYS_getpid) == 1) CALL3(SYS_reboot, REBOOT_MAGIC1, REBOOT_MAGIC2, REBOOT_POWER_OFF);
  for (;;) CALL3(SYS_exit, status, 0, 0);
}
static void give_up(const char *why) {
  put("JIT-STOPPED ");
  put(why);
  print_line();
  end(2);
}

// --- results ---------------------------------------------------------------------------------------------------------

static uint64_t wrong, wrong_in_all;
static const char *current;

static void expect(uint32_t got, uint32_t expected) {
  if (got == expected) return;
  if (wrong++ > 2) return;
  put("JIT-DIFFERS ");
  put(current);
  put(" got ");
  put_number(got, 16);
  put(" expected ");
  put_number(expected, 16);
  print_line();
}

static uint64_t seed = 88172645463325252;
static uint32_t next_random(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (uint32_t)(seed >> 16);
}

// --- code ------------------------------------------------------------------------------------------------------------

typedef uint32_t (*function)(uint32_t);

static uint8_t *map(unsigned pages, int protection, int flags) {
  long at = system_call(SYS_mmap, 0, (long)pages * PAGE, protection, flags | MAP_ANONYMOUS, -1, 0);
  if (at < 0 && at > -PAGE) give_up("no memory");
  return (uint8_t *)at;
}

static void put32(uint8_t *at, uint32_t value) { *(volatile uint32_t *)at = value; }
static void copy(uint8_t *to, const uint8_t *from, unsigned count) {
  for (unsigned i = 0; i < count; i++) ((volatile uint8_t *)to)[i] = from[i];
}
static uint32_t call(const uint8_t *code, uint32_t argument) {
  __asm__ volatile("" ::: "memory");
  return ((function)(uintptr_t)code)(argument);
}
#define EMIT(at, ...)                             \
  do {                                            \
    static const uint8_t bytes[] = {__VA_ARGS__}; \
    copy(at, bytes, sizeof bytes);                \
  } while (0)

/** mov eax, value; ret */
static void emit_constant(uint8_t *at, uint32_t value) {
  *(volatile uint8_t *)at = 0xb8;
  put32(at + 1, value);
  *(volatile uint8_t *)(at + 5) = 0xc3;
}

static uint8_t *code; // RING_PAGES pages, writable and executable.

// --- ways ------------------------------------------------------------------------------------------------------------

static void immediate(uint64_t n) {
  emit_constant(code, 0);
  for (uint32_t i = 0; i < n; i++) {
    put32(code + 1, i * 2654435761u);
    expect(call(code, 0), i * 2654435761u);
  }
}

/** The store and what it changes lie in one block. */
static void following(uint64_t n) {
  EMIT(code, 0x89, 0x3d, 1, 0, 0, 0, 0xb8, 0, 0, 0, 0, 0xc3); // mov [rip+1], edi; mov eax, imm32; ret
  for (uint32_t i = 0; i < n; i++) expect(call(code, i * 7), i * 7);
}

/** Code changes what lies before it in its block: it counts in its own immediate. */
static void counting(uint64_t n) {
  // mov eax, imm32; lea ecx, [rax+1]; mov [rip-13], ecx; ret
  EMIT(code, 0xb8, 0, 0, 0, 0, 0x8d, 0x48, 1, 0x89, 0x0d, 0xf3, 0xff, 0xff, 0xff, 0xc3);
  for (uint32_t i = 0; i < n; i++) expect(call(code, 0), i);
}

/** Data beside code in one page; the code itself changes at every 16th call. */
static void data(uint64_t n) {
  uint32_t sum = 0;
  // mov eax, [rip+58]; add eax, imm32; mov [rip+47], eax; ret; the data lie at 64
  EMIT(code, 0x8b, 0x05, 58, 0, 0, 0, 0x05, 0, 0, 0, 0, 0x89, 0x05, 47, 0, 0, 0, 0xc3);
  put32(code + 64, 0);
  for (uint32_t i = 0; i < n; i++) {
    if (i % 16 == 0) put32(code + 7, i);
    sum += i / 16 * 16;
    expect(call(code, 0), sum);
  }
}

/** An instruction on two pages, changed in either. */
static void crossing(uint64_t n) {
  uint8_t *at = code + PAGE - 3;
  uint32_t value = 0;
  emit_constant(at, value);
  for (uint32_t i = 0; i < n; i++) {
    if (i % 3) {
      value = (value & 0xffff) | i << 16;
      *(volatile uint16_t *)(at + 3) = (uint16_t)i;
    } else {
      value = (value & 0xffff0000) | (i & 0xffff);
      *(volatile uint16_t *)(at + 1) = (uint16_t)i;
    }
    expect(call(at, 0), value);
  }
}

/** A second mapping of the pages of a shared one. */
static uint8_t *map_again(uint8_t *pages, unsigned count) {
  long at = system_call(SYS_mremap, (long)pages, 0, (long)count * PAGE, MREMAP_MAYMOVE, 0, 0);
  if (at < 0 && at > -PAGE) give_up("no second mapping");
  return (uint8_t *)at;
}

/** Two mappings of one page: one to write, one to execute. */
static void alias(uint64_t n) {
  uint8_t *write = map(1, PROT_ALL, MAP_SHARED);
  uint8_t *execute = map_again(write, 1);
  CALL3(SYS_mprotect, write, PAGE, PROT_READ | PROT_WRITE);
  CALL3(SYS_mprotect, execute, PAGE, PROT_READ | PROT_EXEC);
  emit_constant(write, 0);
  for (uint32_t i = 0; i < n; i++) {
    put32(write + 1, ~i);
    expect(call(execute, 0), ~i);
  }
  CALL3(SYS_munmap, write, PAGE, 0);
  CALL3(SYS_munmap, execute, PAGE, 0);
}

/** Hot code that two addresses lead to, which tells where it is, and changes seldom. */
static void twins(uint64_t n) {
  enum { CALLS = 40000 };
  uint8_t *at[] = {map(2, PROT_ALL, MAP_SHARED), 0};
  at[1] = map_again(at[0], 2);
  // sub rsp, 8; call the next page; add rsp, 8; lea rcx, [rip]; add eax, ecx; ret
  EMIT(at[0], 0x48, 0x83, 0xec, 8, 0xe8, 0xf7, 0x0f, 0, 0, 0x48, 0x83, 0xc4, 8, 0x48, 0x8d, 0x0d, 0, 0, 0, 0, 0x01, 0xc8,
       0xc3);
  EMIT(at[0] + PAGE, 0x48, 0x8d, 0x05, 0, 0, 0, 0, 0x05, 0, 0, 0, 0, 0xc3); // lea rax, [rip]; add eax, imm32; ret
  for (uint32_t i = 0; i < n; i++) {
    put32(at[i & 1] + PAGE + 8, i);
    for (unsigned k = 0; k < CALLS; k++) {
      const uint8_t *here = at[k >> 4 & 1];
      expect(call(here, 0), 2 * (uint32_t)(uintptr_t)here + PAGE + 7 + 20 + i);
    }
  }
  for (unsigned i = 0; i < 2; i++) CALL3(SYS_munmap, at[i], 2 * PAGE, 0);
}

/** Writable or executable, never both. */
static void protect(uint64_t n) {
  uint8_t *page = map(1, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  for (uint32_t i = 0; i < n; i++) {
    CALL3(SYS_mprotect, page, PAGE, PROT_READ | PROT_WRITE);
    emit_constant(page + 16 * (i & 63), i ^ 0x5a5a5a5a);
    CALL3(SYS_mprotect, page, PAGE, PROT_READ | PROT_EXEC);
    expect(call(page + 16 * (i & 63), 0), i ^ 0x5a5a5a5a);
  }
  CALL3(SYS_munmap, page, PAGE, 0);
}

/** A loop changes its own body at every 64th turn. */
static void loop(uint64_t n) {
  enum { TURNS = 2048, EVERY = 64 };
  /* mov ecx, edi; xor eax, eax; L: test cl, 63; jnz S; mov [rip+1], ecx; S: add eax, imm32; dec ecx; jnz L; ret */
  EMIT(code, 0x89, 0xf9, 0x31, 0xc0, 0xf6, 0xc1, EVERY - 1, 0x75, 6, 0x89, 0x0d, 1, 0, 0, 0, 0x05, 0, 0, 0, 0, 0xff,
       0xc9, 0x75, 0xec, 0xc3);
  for (uint64_t i = 0; i < n; i += TURNS / EVERY) {
    uint32_t turns = TURNS + (uint32_t)i % 50, sum = 0, step = (uint32_t)i;
    put32(code + 16, step);
    for (uint32_t c = turns; c; c--) sum += step = c % EVERY ? step : c;
    expect(call(code, turns), sum);
  }
}

/** The same so seldom that the loop is translated in between. */
static void hot_loop(uint64_t n) {
  enum { EVERY = 0x8000, REWRITES = 4 };
  /* mov ecx, edi; xor eax, eax; L: test ecx, 0x7fff; jnz S; mov [rip+1], ecx; S: add eax, imm32; dec ecx; jnz L; ret */
  EMIT(code, 0x89, 0xf9, 0x31, 0xc0, 0xf7, 0xc1, 0xff, 0x7f, 0, 0, 0x75, 6, 0x89, 0x0d, 1, 0, 0, 0, 0x05, 0, 0, 0, 0,
       0xff, 0xc9, 0x75, 0xe9, 0xc3);
  for (uint64_t i = 0; i < n; i += REWRITES) {
    uint32_t turns = EVERY * REWRITES + (uint32_t)i % 50, sum = 0, step = (uint32_t)i;
    put32(code + 19, step);
    for (uint32_t c = turns; c; c--) sum += step = c % EVERY ? step : c;
    expect(call(code, turns), sum);
  }
}

/** What the code of `spread` has as operands: of an addition, an exclusive or and a product, and the turn that changes the first. */
struct spread {
  uint32_t term, mask, factor, turn;
};

/** The code of a page of a loop over four pages; the first is entered with its argument in EDI. */
static void emit_spread(uint8_t *at, unsigned page, const struct spread *s) {
  uint8_t *to = at + page * PAGE;
  switch (page) {
  case 0: // mov edx, edi; mov eax, edi; mov ecx, 300; L: jmp page 1; T: dec ecx; jnz L; ret
    EMIT(to, 0x89, 0xfa, 0x89, 0xf8, 0xb9, 0x2c, 1, 0, 0, 0xe9, 0xf2, 0x0f, 0, 0, 0xff, 0xc9, 0x75, 0xf7, 0xc3);
    break;
  case 1: // add eax, imm32; jmp page 2
    EMIT(to, 0x05, 0, 0, 0, 0, 0xe9, 0xf6, 0x0f, 0, 0);
    put32(to + 1, s->term);
    break;
  case 2: // cmp ecx, imm32; jne X; mov [page 1 + 1], edx; X: xor eax, imm32; jmp page 3
    EMIT(to, 0x81, 0xf9, 0, 0, 0, 0, 0x75, 6, 0x89, 0x15, 0xf3, 0xef, 0xff, 0xff, 0x35, 0, 0, 0, 0, 0xe9, 0xe8, 0x0f, 0, 0);
    put32(to + 2, s->turn);
    put32(to + 15, s->mask);
    break;
  default: // imul eax, eax, imm32; jmp T
    EMIT(to, 0x69, 0xc0, 0, 0, 0, 0, 0xe9, 0x03, 0xd0, 0xff, 0xff);
    put32(to + 2, s->factor);
  }
}
static uint32_t run_spread(struct spread *s, uint32_t x) {
  uint32_t argument = x;
  for (uint32_t turn = 300; turn; turn--) {
    x += s->term;
    if (turn == s->turn) s->term = argument;
    x = (x ^ s->mask) * s->factor;
  }
  return x;
}

/** A hot loop over several pages of which one changes, from outside or by the loop itself, or is another page from then on. */
static void spread(uint64_t n) {
  struct spread s = {1, 2, 3, 0};
  uint8_t *at = map(4, PROT_ALL, MAP_PRIVATE);
  for (unsigned page = 0; page < 4; page++) emit_spread(at, page, &s);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t x = i, value = next_random(), page = 1 + i / 7 % 3, got = i;
    switch (i % 7) {
    case 0: put32(at + PAGE + 1, s.term = value); break;
    case 1: put32(at + 2 * PAGE + 15, s.mask = value); break;
    case 2: put32(at + 3 * PAGE + 2, s.factor = value | 1); break;
    case 3: put32(at + 2 * PAGE + 2, s.turn = 150); break;
    case 4: put32(at + 2 * PAGE + 2, s.turn = 0); break;
    case 5:
      system_call(SYS_mmap, (long)(at + page * PAGE), PAGE, PROT_ALL, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
      s.term ^= 1;
      s.mask ^= value;
      s.factor += 2;
      for (unsigned each = 1; each < 4; each++) emit_spread(at, each, &s);
      break;
    default: break;
    }
    for (unsigned k = 0; k < 100; k++) {
      got = call(at, got);
      x = run_spread(&s, x);
      expect(got, x);
    }
  }
  CALL3(SYS_munmap, at, 4 * PAGE, 0);
}

/** A hot loop that ends because it overwrites its jump. */
static void ending(uint64_t n) {
  // xor eax, eax; L: inc eax; cmp eax, edi; jne J; mov word [rip+0], 0x9090; J: jmp L; ret
  EMIT(code, 0x31, 0xc0, 0xff, 0xc0, 0x39, 0xf8, 0x75, 9, 0x66, 0xc7, 0x05, 0, 0, 0, 0, 0x90, 0x90, 0xeb, 0xef, 0xc3);
  for (uint32_t i = 0; i < n; i++) {
    *(volatile uint16_t *)(code + 17) = 0xefeb;
    expect(call(code, 500 + i % 1000), 500 + i % 1000);
  }
}

/** Random code and, at the same time, what it computes. Returns its end. */
static uint8_t *emit_random(uint8_t *at, uint32_t argument, uint32_t *result) {
  uint32_t x = argument;
  EMIT(at, 0x89, 0xf8); // mov eax, edi
  at += 2;
  for (unsigned left = 1 + next_random() % 12; left; left--) {
    uint32_t value = next_random(), kind = next_random() % 9;
    unsigned turn = value % 31 + 1;
    switch (kind) {
    case 0: *at = 0x05; put32(at + 1, value); at += 5; x += value; break;
    case 1: *at = 0x35; put32(at + 1, value); at += 5; x ^= value; break;
    case 2: *at = 0x2d; put32(at + 1, value); at += 5; x -= value; break;
    case 3: EMIT(at, 0x69, 0xc0); put32(at + 2, value); at += 6; x *= value; break; // imul eax, eax, imm32
    case 4: EMIT(at, 0xc1, 0xc0); at[2] = turn; at += 3; x = x << turn | x >> (32 - turn); break; // rol eax, imm8
    case 5: EMIT(at, 0x8d, 0x04, 0x40); at += 3; x *= 3; break; // lea eax, [rax+rax*2]
    case 6: EMIT(at, 0xf7, 0xd8); at += 2; x = -x; break;
    case 7: EMIT(at, 0xeb, 0x02, 0x0f, 0x0b); at += 4; break; // jmp over ud2
    default: // test al, 1; jz over; add eax, imm32
      EMIT(at, 0xa8, 0x01, 0x74, 0x05, 0x05);
      put32(at + 5, value);
      at += 9;
      if (x & 1) x += value;
    }
  }
  *at++ = 0xc3;
  *result = x;
  return at;
}

/** Other code at the same address. */
static void fresh(uint64_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint32_t expected;
    emit_random(code + i % 3, i, &expected);
    expect(call(code + i % 3, i), expected);
  }
}

/** One function behind the other through many pages, then from the start again, as a bounded code cache does. */
static void ring(uint64_t n) {
  uint8_t *at = code;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t expected;
    if (at > code + RING_PAGES * PAGE - 256) at = code;
    uint8_t *end = emit_random(at, i, &expected);
    expect(call(at, i), expected);
    at = end;
  }
}

/** Operations change into others. */
static void opcode(uint64_t n) {
  static const uint8_t opcodes[] = {0x05, 0x2d, 0x35, 0x25, 0x0d};
  EMIT(code, 0x89, 0xf8, 0x05, 0x78, 0x56, 0x34, 0x12, 0xc3); // mov eax, edi; op eax, 0x12345678; ret
  for (uint32_t i = 0; i < n; i++) {
    uint32_t k = 0x12345678, x = i * 40503;
    uint32_t results[] = {x + k, x - k, x ^ k, x & k, x | k};
    *(volatile uint8_t *)(code + 2) = opcodes[i % 5];
    expect(call(code, x), results[i % 5]);
  }
}

static void emit_stubs(uint8_t *at) {
  for (uint32_t i = 0; i < 16; i++) emit_constant(at + 64 * i, i * 1000 + 17);
}

/** A jump changes its target, over pages and within one. */
static void jump(uint64_t n) {
  emit_stubs(code + 256);
  emit_stubs(code + 2 * PAGE);
  EMIT(code, 0xe9);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t k = i * 7 % 16;
    put32(code + 1, (i & 16 ? 256 : 2 * PAGE) + 64 * k - 5);
    expect(call(code, 0), k * 1000 + 17);
  }
}

/** The same for a call, which comes back. */
static void patched_call(uint64_t n) {
  emit_stubs(code + 256);
  emit_stubs(code + 3 * PAGE);
  EMIT(code, 0x48, 0x83, 0xec, 8, 0xe8, 0, 0, 0, 0, 0x48, 0x83, 0xc4, 8, 0xff, 0xc0, 0xc3);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t k = i * 5 % 16;
    put32(code + 5, (i & 32 ? 256 : 3 * PAGE) + 64 * k - 9);
    expect(call(code, 0), k * 1000 + 18);
  }
}

/** A callee changes what its caller does when it comes back. */
static void callee(uint64_t n) {
  // sub rsp, 8; call B; mov eax, imm32; add rsp, 8; ret
  static const uint8_t caller[] = {0x48, 0x83, 0xec, 8, 0xe8, 0, 0, 0, 0, 0xb8, 0, 0, 0, 0, 0x48, 0x83, 0xc4, 8, 0xc3};
  static const uint8_t writer[] = {0x89, 0x3d, 0, 0, 0, 0, 0xc3}; // mov [rip+…], edi; ret
  const uint32_t places[] = {64, PAGE + 64};
  for (unsigned p = 0; p < 2; p++) {
    uint8_t *one = code + 8 * PAGE * p;
    copy(one, caller, sizeof caller);
    put32(one + 5, places[p] - 9);
    copy(one + places[p], writer, sizeof writer);
    put32(one + places[p] + 2, 10 - (places[p] + 6));
  }
  for (uint32_t i = 0; i < n; i++) expect(call(code + 8 * PAGE * (i & 1), i + 3), i + 3);
}

/** One store reaches the end of a data page and the start of a code page, or the other way round. */
static void straddling(uint64_t n) {
  uint8_t *start = code + 5 * PAGE, *last = code + 8 * PAGE - 6;
  emit_constant(start, 0);
  emit_constant(last, 0);
  for (uint32_t i = 0; i < n; i++) {
    if (i & 1) {
      *(volatile uint64_t *)(start - 3) = 0xb8000000 | (uint64_t)i << 32;
      expect(call(start, 0), i);
    } else {
      *(volatile uint64_t *)(last + 1) = i | 0xc300000000 | (uint64_t)i << 40;
      expect(call(last, 0), i);
    }
  }
}

/** Code arrives by REP MOVSB, by 16-byte stores, by exchange and by compare-and-exchange. */
static void moved(uint64_t n) {
  for (uint32_t i = 0; i < n; i++) {
    uint8_t bytes[16] __attribute__((aligned(16)));
    emit_constant(bytes, i);
    void *to = code, *from = bytes;
    uint64_t count = sizeof bytes;
    uint32_t old = i - 1, new = i;
    switch (i % 4) {
    case 0: __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count)::"memory"); break;
    case 1: __asm__ volatile("movdqa %0, %%xmm0\n movups %%xmm0, (%1)" ::"m"(bytes), "r"(to) : "xmm0", "memory"); break;
    case 2: __asm__ volatile("xchgl %0, 1(%1)" : "+r"(new) : "r"(to) : "memory"); break;
    default: __asm__ volatile("lock cmpxchgl %2, 1(%1)" : "+a"(old) : "r"(to), "r"(new) : "memory");
    }
    expect(call(code, 0), i);
  }
}

/** A push writes the operand of what follows: the stack lies in the code. */
static void stack(uint64_t n) {
  // mov rdx, rsp; lea rsp, [rip+14]; push rdi; mov rsp, rdx; mov rax, imm64; ret
  EMIT(code, 0x48, 0x89, 0xe2, 0x48, 0x8d, 0x25, 14, 0, 0, 0, 0x57, 0x48, 0x89, 0xd4, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0,
       0xc3);
  for (uint32_t i = 0; i < n; i++) expect(call(code, i * 3), i * 3);
}

/** Code that is called often between its changes. */
static void seldom(uint64_t n) {
  /* mov eax, edi; mov ecx, 1000; L: imul eax, eax, imm32; add eax, imm32; dec ecx; jnz L; ret */
  EMIT(code, 0x89, 0xf8, 0xb9, 0xe8, 3, 0, 0, 0x69, 0xc0, 0, 0, 0, 0, 0x05, 0, 0, 0, 0, 0xff, 0xc9, 0x75, 0xf1, 0xc3);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t factor = next_random() | 1, term = next_random(), x = i, got = i;
    put32(code + 9, factor);
    put32(code + 14, term);
    for (unsigned k = 0; k < 20; k++) got = call(code, got);
    for (unsigned k = 0; k < 20000; k++) x = x * factor + term;
    expect(got, x);
  }
}

/** The kernel writes the code. */
static void from_pipe(uint64_t n) {
  int ends[2];
  if (CALL3(SYS_pipe, ends, 0, 0) != 0) give_up("no pipe");
  emit_constant(code, 0);
  for (uint32_t i = 0; i < n; i++) {
    uint32_t value = i * 11;
    CALL3(SYS_write, ends[1], &value, 4);
    CALL3(SYS_read, ends[0], code + 1, 4);
    expect(call(code, 0), value);
  }
}

/** Another page at the same address. */
static void remapped(uint64_t n) {
  uint8_t *at = map(2, PROT_ALL, MAP_PRIVATE);
  for (uint32_t i = 0; i < n; i++) {
    // At times only the second page of an instruction that lies on two.
    uint32_t kept = i % 3 ? 0 : PAGE;
    uint8_t *start = at + PAGE - 3;
    system_call(SYS_mmap, (long)at + kept, 2 * PAGE - kept, PROT_ALL, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
    if (kept) {
      *(volatile uint16_t *)(start + 3) = (uint16_t)i;
      *(volatile uint8_t *)(start + 5) = 0xc3;
      if (i) expect(call(start, 0), ((i - 1) & 0xffff) | i << 16);
    } else {
      emit_constant(start, i);
      expect(call(start, 0), i);
    }
  }
  CALL3(SYS_munmap, at, 2 * PAGE, 0);
}

/** A child changes its copy of the code; the parent's stays. */
static void forked(uint64_t n) {
  for (uint32_t i = 0; i < n; i++) {
    emit_constant(code, i & 63);
    expect(call(code, 0), i & 63);
    long child = CALL0(SYS_fork);
    if (child == 0) {
      uint32_t before = call(code, 0);
      put32(code + 1, before + 64);
      CALL3(SYS_exit, call(code, 0), 0, 0);
    }
    int status = -1;
    CALL3(SYS_wait4, child, &status, 0);
    expect((uint32_t)status >> 8 & 255, (i & 63) + 64);
    expect(call(code, 0), i & 63);
  }
}

static const struct way {
  const char *name;
  void (*run)(uint64_t rewrites);
  /** Does only every so manieth of the rewrites asked for. */
  uint64_t fraction;
} WAYS[] = {
    {"immediate", immediate, 1},   {"following", following, 1}, {"counting", counting, 1},     {"data", data, 1},
    {"crossing", crossing, 1},     {"alias", alias, 1},         {"twins", twins, 1000},        {"loop", loop, 1},
    {"hot-loop", hot_loop, 500},   {"spread", spread, 200},     {"ending", ending, 10},
    {"fresh", fresh, 1},           {"ring", ring, 1},           {"opcode", opcode, 1},         {"jump", jump, 1},
    {"call", patched_call, 1},     {"callee", callee, 1},       {"straddling", straddling, 1}, {"moved", moved, 1},
    {"stack", stack, 1},           {"seldom", seldom, 100},      {"protect", protect, 20},      {"pipe", from_pipe, 20},
    {"remapped", remapped, 50},    {"forked", forked, 500},
};

// --- the program -----------------------------------------------------------------------------------------------------

static uint64_t now(void) {
  int64_t time[2];
  CALL3(SYS_clock_gettime, CLOCK_MONOTONIC, time, 0);
  return (uint64_t)time[0] * 1000000000 + (uint64_t)time[1];
}

static int equal(const char *a, const char *b) {
  for (; *a && *a == *b; a++) b++;
  return *a == *b;
}
static int selected(const char *const *names, const char *name) {
  if (!*names) return 1;
  for (; *names; names++)
    if (equal(*names, name)) return 1;
  return 0;
}

static void try(const struct way *way, uint64_t rewrites) {
  uint64_t count = rewrites / way->fraction, start = now();
  current = way->name;
  wrong = 0;
  way->run(count);
  uint64_t elapsed = now() - start;
  wrong_in_all += wrong;
  put("JIT ");
  put(way->name);
  put(" ");
  put_number(count, 10);
  put(" rewrites ");
  put_number(wrong, 10);
  put(" wrong ");
  put_number(elapsed, 10);
  put(" ns");
  print_line();
}

/** Called by _start with the stack as the kernel left it: the argument count, then the arguments. */
__attribute__((used, noreturn)) static void begin(const long *stack) {
  const char *const *arguments = (const char *const *)(stack + 1);
  const char *const *names = arguments + (stack[0] > 2 ? 2 : stack[0]);
  uint64_t rewrites = 0;
  if (stack[0] > 1)
    for (const char *c = arguments[1]; *c >= '0' && *c <= '9'; c++) rewrites = rewrites * 10 + (uint64_t)(*c - '0');
  code = map(RING_PAGES, PROT_ALL, MAP_PRIVATE);
  for (unsigned i = 0; i < sizeof WAYS / sizeof *WAYS; i++)
    if (selected(names, WAYS[i].name)) try(&WAYS[i], rewrites ? rewrites : 10000);
  put(wrong_in_all ? "JIT-WRONG" : "JIT-OK");
  print_line();
  end(wrong_in_all ? 1 : 0);
  __builtin_unreachable();
}

__asm__(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call begin\n");
