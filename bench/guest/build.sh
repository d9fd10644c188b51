#!/bin/sh
# Builds the guest benchmark into .cache/bench/: the program `bench`, which runs on the host as well, and
# `initramfs-bench.cpio`, where it is the first process. Needs gcc and Node 24 or later.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
output=$(dirname "$(dirname "$here")")/.cache/bench
mkdir -p "$output"

gcc -std=gnu11 -Wall -Wextra -Werror -O2 -march=x86-64 \
  -ffreestanding -fno-math-errno -fno-tree-loop-distribute-patterns \
  -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
  -fno-pie -no-pie -static -nostdlib -Wl,--build-id=none -s \
  "$here"/*.c -o "$output/bench"
node "$here/initramfs.ts" "$output/bench" "$output/initramfs-bench.cpio"
