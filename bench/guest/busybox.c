/* Programs that nobody wrote as a benchmark: BusyBox, as Debian builds it, beside this program. */
#include "bench.h"
#include "system-call.h"

enum { PAGE = 4096, AREA = 4 << 20 };

static const char *const environment[] = {"LC_ALL=C", 0};

static int failed(long result) { return result < 0 && result > -PAGE; }

/** `busybox` in this program's directory. */
static const char *busybox_path(void) {
  static char path[512];
  unsigned length = 0, directory = 0;
  for (; program_path[length] && length < sizeof path - sizeof "busybox"; length++) {
    path[length] = program_path[length];
    if (path[length] == '/') directory = length + 1;
  }
  for (int i = 0; i < (int)sizeof "busybox"; i++) path[directory + (unsigned)i] = "busybox"[i];
  return path;
}

static char *new_area(void) {
  long area = system_call(SYS_mmap, 0, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  return failed(area) ? 0 : (char *)area;
}

/** A file without a name that holds the bytes; negative where there is none to be had. */
static long file_of(const char *bytes, long length) {
  long file = system_call(SYS_memfd_create, (long)"input", 0, 0, 0);
  for (long done = 0, step; !failed(file) && done < length; done += step) {
    step = system_call(SYS_write, file, (long)(bytes + done), length - done, 0);
    if (step <= 0) return -1;
  }
  return file;
}

static long start(const char *const *arguments, long input, const int *output) {
  long child = system_call(SYS_fork, 0, 0, 0, 0);
  if (child != 0) return child;
  system_call(SYS_dup2, input, 0, 0, 0);
  system_call(SYS_dup2, output[1], 1, 0, 0);
  system_call(SYS_close, output[0], 0, 0, 0);
  system_call(SYS_close, output[1], 0, 0, 0);
  system_call(SYS_execve, (long)busybox_path(), (long)arguments, (long)environment, 0);
  system_call(SYS_exit, 1, 0, 0, 0);
  return -1;
}

static long read_all(int from, char *to, long size) {
  long used = 0, step;
  while (used < size && (step = system_call(SYS_read, from, (long)(to + used), size - used, 0)) > 0) used += step;
  return used;
}

/** Eight bytes at a time; what lies behind `length` is zero in a fresh area. */
static uint64_t checksum_of(const char *bytes, long length) {
  uint64_t checksum = (uint64_t)length;
  for (long at = 0; at < length; at += 8) {
    uint64_t word;
    __builtin_memcpy(&word, bytes + at, sizeof word);
    checksum = mix(checksum, word);
  }
  return checksum;
}

/** Feeds the input to the command; returns a checksum of what it prints, 0 if it fails. */
static uint64_t filter(const char *const *arguments, long input) {
  int output[2], status = 1;
  char *area = new_area();
  if (!area || failed(input) || system_call(SYS_pipe, (long)output, 0, 0, 0)) return 0;
  system_call(SYS_lseek, input, 0, 0, 0);
  long child = start(arguments, input, output);
  system_call(SYS_close, output[1], 0, 0, 0);
  long length = read_all(output[0], area, AREA);
  system_call(SYS_close, output[0], 0, 0, 0);
  int ended = system_call(SYS_wait4, child, (long)&status, 0, 0) == child && status == 0;
  uint64_t checksum = checksum_of(area, length);
  system_call(SYS_munmap, (long)area, AREA, 0, 0);
  return ended && length > 0 ? checksum : 0;
}

/** Text of invented words, the short ones more often, `lines` lines of `words` words; returns its length. */
static long write_text(char *to, uint64_t seed, int lines, int words) {
  static const char syllables[32][4] = {
      "ka", "lo", "mi", "ne", "ru", "sa", "ti", "vo", "be", "do", "fa", "gi", "hu", "je", "la", "mo",
      "na", "pe", "qui", "ro", "su", "ta", "ul", "ve", "wi", "xa", "yo", "ze", "bri", "sto", "gle", "kna"};
  char *at = to;
  for (int line = 0; line < lines; line++)
    for (int word = 0; word < words; word++) {
      uint64_t draw = next_random(&seed) >> 16;
      /* Of 512 words, the product of two draws makes those with small numbers the frequent ones */
      uint32_t number = (uint32_t)(draw & 31) * (uint32_t)(draw >> 5 & 15);
      for (int i = 0; i <= (int)(number % 3); i++, number = number * 5 + 7)
        for (const char *syllable = syllables[number & 31]; *syllable; syllable++) *at++ = *syllable;
      *at++ = word + 1 < words ? ' ' : '\n';
    }
  return at - to;
}

static long input_of(uint64_t seed, int lines, int words) {
  char *area = new_area();
  if (!area) return -1;
  long file = file_of(area, write_text(area, seed, lines, words));
  system_call(SYS_munmap, (long)area, AREA, 0, 0);
  return file;
}

static long gzip_input, sort_input;

void busybox_gzip_input(void) { gzip_input = input_of(9, 24000, 12); }
void busybox_sort_input(void) { sort_input = input_of(10, 40000, 4); }

uint64_t busybox_gzip(void) {
  static const char *const arguments[] = {"busybox", "gzip", "-c", 0};
  return filter(arguments, gzip_input);
}

uint64_t busybox_sort(void) {
  static const char *const arguments[] = {"busybox", "sort", 0};
  return filter(arguments, sort_input);
}
