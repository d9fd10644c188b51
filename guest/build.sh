#!/bin/sh
# Builds the embedded guest from Debian 12's sources into guest/images/: the kernel (linux-source, kernel.config), and
# the initramfs (busybox, busybox.config, linked with musl; rootfs/). Run it as root on Debian 12; Node 24 or later must
# be on the PATH. Options: --initramfs (leave the kernel as it is).
#
# All work is in .cache/guest-build/. JOBS (default: the number of processors) sets how many compilers run at once.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(dirname "$here")/.cache/guest-build
images=$here/images
jobs=${JOBS:-$(nproc)}
packages="build-essential dpkg-dev flex bison bc libelf-dev libssl-dev xz-utils lz4 linux-source-6.1 linux-libc-dev musl-tools"

say() { echo "guest/build.sh: $*" >&2; }
version_of() { dpkg-query --show --showformat='${Version}' "$1"; }

# Fails where a line of fragment $1 did not make it into configuration $2: an option that is gone or lacks another.
check_config() {
  sed 's/^\(CONFIG_[A-Z0-9_]*\)=n$/# \1 is not set/' "$1" | grep -E '^(# )?CONFIG_' | grep -vxFf "$2" >"$work/lost" || return 0
  say "these lines of $1 had no effect:"
  cat "$work/lost" >&2
  exit 1
}

install_packages() {
  # shellcheck disable=SC2086
  dpkg-query --show $packages >/dev/null 2>&1 && return
  say 'installing build packages'
  apt-get -q update
  DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends $packages
}

# An apt of our own that knows the source packages of the archives that the machine uses.
source_apt() {
  mkdir -p "$work/apt/parts" "$work/apt/lists/partial" "$work/apt/archives/partial"
  for list in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    [ -f "$list" ] && sed 's/^Types:.*/Types: deb-src/; s/^deb /deb-src /' "$list" >"$work/apt/parts/${list##*/}"
  done
  [ ! -f "$work/apt/parts/sources.list" ] || mv "$work/apt/parts/sources.list" "$work/apt/parts/debian.list"
  cat >"$work/apt/apt.conf" <<EOF
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$work/apt/parts";
Dir::State::lists "$work/apt/lists";
Dir::Cache "$work/apt";
Acquire::Languages "none";
APT::Sandbox::User "root";
EOF
  export APT_CONFIG="$work/apt/apt.conf"
}

# No clock, user or host name gets into the results: the time is that of Debian's source.
export KBUILD_BUILD_USER=trapeze KBUILD_BUILD_HOST=trapeze KBUILD_BUILD_VERSION=1
export LC_ALL=C

build_kernel() {
  archive=/usr/src/linux-source-6.1.tar.xz
  source=$work/linux-source-6.1
  output=$work/linux
  if [ ! -f "$source/.unpacked" ]; then
    say "unpacking $archive"
    tar -C "$work" -xf "$archive"
    touch "$source/.unpacked"
  fi
  KBUILD_BUILD_TIMESTAMP=$(date -u -r "$archive" '+%Y-%m-%d')
  export KBUILD_BUILD_TIMESTAMP
  mkdir -p "$output"
  make -s -C "$source" O="$output" KCONFIG_ALLCONFIG="$here/kernel.config" allnoconfig
  check_config "$here/kernel.config" "$output/.config"
  say 'building the kernel'
  make -s -C "$source" O="$output" -j "$jobs" bzImage
  cp "$output/arch/x86/boot/bzImage" "$images/vmlinuz-x86_64"
  cp "$source/COPYING" "$images/licences/linux-COPYING"
  cp "$source/LICENSES/preferred/GPL-2.0" "$source/LICENSES/exceptions/Linux-syscall-note" "$images/licences/"
  echo "vmlinuz-x86_64: Debian source package linux $(version_of linux-source-6.1)" >"$work/sources-kernel"
}

configure_busybox() {
  make -s -C "$1" O="$2" defconfig >/dev/null
  sed -n 's/^\(CONFIG_[A-Z0-9_]*\)=.*/\1/p' "$here/busybox.config" >"$2/names"
  grep -vwFf "$2/names" "$2/.config" >"$2/rest"
  sed 's/^\(CONFIG_[A-Z0-9_]*\)=n$/# \1 is not set/' "$here/busybox.config" | cat "$2/rest" - >"$2/.config"
  yes '' | make -s -C "$2" oldconfig >/dev/null
  check_config "$here/busybox.config" "$2/.config"
}

build_busybox() {
  source=$work/busybox-source
  output=$work/busybox
  if [ ! -f "$source/.unpacked" ]; then
    say 'fetching the source of busybox'
    source_apt
    apt-get -q update || say 'some source lists failed; trying with the rest'
    (cd "$work" && rm -f busybox_* && apt-get -q source --download-only busybox)
    rm -rf "$source"
    dpkg-source --no-check -x "$work"/busybox_*.dsc "$source"
    touch "$source/.unpacked"
  fi
  SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l "$source/debian/changelog" -S Timestamp)
  export SOURCE_DATE_EPOCH
  # The kernel's headers, which musl-gcc does not look for in the system's own place
  mkdir -p "$output/headers"
  for headers in linux asm-generic mtd x86_64-linux-gnu/asm; do
    ln -sfn "/usr/include/$headers" "$output/headers/${headers##*/}"
  done
  configure_busybox "$source" "$output"
  say 'building busybox'
  make -s -C "$output" -j "$jobs" CC=musl-gcc CONFIG_EXTRA_LDFLAGS=-no-pie \
    CONFIG_EXTRA_CFLAGS="-fno-pie -idirafter $output/headers" busybox >"$work/busybox.log" 2>&1 ||
    { tail -n 20 "$work/busybox.log" >&2; exit 1; }
  cp "$source/LICENSE" "$images/licences/busybox-LICENSE"
  cp /usr/share/doc/musl-dev/copyright "$images/licences/musl-copyright"
  node "$here/initramfs.ts" "$output/busybox" "$images/initramfs-x86_64.cpio"
  {
    echo "initramfs-x86_64.cpio: Debian source package busybox $(dpkg-parsechangelog -l "$source/debian/changelog" -S Version)"
    echo "initramfs-x86_64.cpio: Debian source package musl $(version_of musl-dev)"
  } >"$work/sources-initramfs"
}

mkdir -p "$work" "$images/licences"
install_packages
if [ "${1:-}" != --initramfs ]; then
  build_kernel
elif [ ! -f "$work/sources-kernel" ]; then
  grep '^vmlinuz' "$images/SOURCES" >"$work/sources-kernel"
fi
build_busybox
{ cat "$work/sources-kernel" "$work/sources-initramfs"; gcc --version | sed -n '1s/^/compiler: /p'; } >"$images/SOURCES"
(cd "$images" && sha256sum vmlinuz-x86_64 initramfs-x86_64.cpio >SHA256SUMS && cat SHA256SUMS)
