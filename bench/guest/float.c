/* Double-precision work in SSE2 registers. */
#include "bench.h"

uint64_t float_mandelbrot(void) {
  enum { SIZE = 320, LIMIT = 200 };
  uint64_t checksum = 0;
  for (int row = 0; row < SIZE; row++)
    for (int column = 0; column < SIZE; column++) {
      double cr = 3.0 * column / SIZE - 2.0, ci = 2.0 * row / SIZE - 1.0, zr = 0, zi = 0;
      int n = 0;
      for (; n < LIMIT && zr * zr + zi * zi <= 4.0; n++) {
        double next = zr * zr - zi * zi + cr;
        zi = 2.0 * zr * zi + ci;
        zr = next;
      }
      checksum = mix_double(mix(checksum, (uint64_t)n), zr);
    }
  return checksum;
}

struct body {
  double position[3], velocity[3], mass;
};

static void attract(struct body *a, struct body *b, double step) {
  double distance[3], square = 0.01;
  for (int k = 0; k < 3; k++) {
    distance[k] = a->position[k] - b->position[k];
    square += distance[k] * distance[k];
  }
  double magnitude = step / (square * __builtin_sqrt(square));
  for (int k = 0; k < 3; k++) {
    a->velocity[k] -= distance[k] * b->mass * magnitude;
    b->velocity[k] += distance[k] * a->mass * magnitude;
  }
}

uint64_t float_nbody(void) {
  enum { BODIES = 6, STEPS = 100000 };
  struct body bodies[BODIES];
  uint64_t checksum = 0;
  for (int i = 0; i < BODIES; i++)
    for (int k = 0; k < 3; k++) {
      bodies[i].position[k] = 1.0 + i * 1.5 + k * (i % 3);
      bodies[i].velocity[k] = 0.1 * (i - k);
      bodies[i].mass = 1.0 / (1 + i);
    }
  for (int step = 0; step < STEPS; step++) {
    for (int i = 0; i < BODIES; i++)
      for (int j = i + 1; j < BODIES; j++) attract(&bodies[i], &bodies[j], 0.001);
    for (int i = 0; i < BODIES; i++)
      for (int k = 0; k < 3; k++) bodies[i].position[k] += 0.001 * bodies[i].velocity[k];
  }
  for (int i = 0; i < BODIES; i++) checksum = mix_double(checksum, bodies[i].position[i % 3]);
  return checksum;
}
