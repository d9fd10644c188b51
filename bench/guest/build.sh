#!/bin/sh
# Builds the guest benchmark, a static program without a C library, into the file named: for `x86_64`, which runs on the
# host as well, or for `i386`. Needs gcc alone.
set -eu

if [ $# -ne 2 ]; then
  echo "usage: sh bench/guest/build.sh x86_64|i386 OUTPUT" >&2
  exit 2
fi
case $1 in
  x86_64) target='-march=x86-64' ;;
  # SSE2 for all floating point: 64 bits of precision in x87 registers would give other results
  i386) target='-m32 -march=i686 -msse2 -mfpmath=sse' ;;
  *) echo "$1: give x86_64 or i386" >&2; exit 2 ;;
esac

# shellcheck disable=SC2086 # options of the target are several words
gcc -std=gnu11 -Wall -Wextra -Werror -O2 $target \
  -ffreestanding -fno-math-errno -fno-tree-loop-distribute-patterns \
  -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
  -fno-pie -no-pie -static -nostdlib -Wl,--build-id=none -s \
  "$(dirname "$0")"/*.c -o "$2"
