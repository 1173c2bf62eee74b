#!/usr/bin/env bash
# install_packages.sh - installs what the build, the run or the tests need and the machine lacks.
#
# Each need is a line PACKAGE|PROBE. The probe asks for the tool itself, not for the package, so
# that tools from elsewhere count and a host without apt works as long as it has them.
# Package names are those of Debian 12 and Ubuntu 24.04.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: experiments/install_packages.sh [quickstart|sweep|tests]

Installs the missing packages, as root or with sudo, on Debian 12, Ubuntu 24.04 and
what derives from them. Elsewhere it only checks, and names what is missing.
  quickstart  what it takes to build, run and draw (default)
  sweep       that, and what experiments/sweep.sh uses
  tests       all of these, and what the tests use
EOF
}

quickstart_needs='
gcc|command -v gcc
libc6-dev|compiles gcc stdio.h
meson|meson_is_recent
ninja-build|command -v ninja
pkg-config|command -v pkg-config
libgsl-dev|pkg-config --exists gsl
libsqlite3-dev|pkg-config --exists sqlite3
libjansson-dev|pkg-config --exists jansson
zlib1g-dev|pkg-config --exists zlib
libopenblas-dev|pkg-config --exists openblas
gnuplot-nox|command -v gnuplot
sqlite3|command -v sqlite3'

sweep_needs='
parallel|is_gnu_parallel
util-linux|has_lock_and_setpriv'

tests_needs='
libcmocka-dev|pkg-config --exists cmocka
g++|command -v g++
clang|command -v clang
libclang-rt-dev|makes_fuzzers
clang-format|command -v clang-format
valgrind|command -v valgrind'

compiles() {
  echo "#include <$2>" | "$1" -fsyntax-only -x c -
}

meson_is_recent() {
  [ "$(printf '%s\n' 1.0 "$(meson --version)" | sort -V | head -n 1)" = 1.0 ]
}

# moreutils has another program of this name.
is_gnu_parallel() {
  [[ $(parallel --version) = *'GNU parallel'* ]]
}

has_lock_and_setpriv() {
  command -v flock && command -v setpriv
}

makes_fuzzers() {
  echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !d || !n; }' |
    clang -fsanitize=fuzzer,address,undefined -x c - -o /dev/null
}

# Prints the packages whose probe fails.
missing() {
  local package probe
  while IFS='|' read -r package probe; do
    [ -n "$package" ] || continue
    # shellcheck disable=SC2086 # a probe is a command with its arguments
    $probe </dev/null >/dev/null 2>&1 || echo "$package"
  done <<<"$needs"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

stop() {
  printf 'install_packages.sh: %s\n' "$@" >&2
  exit 1
}

# Runs quietly; shows what was said where it fails.
quietly() {
  local output
  output=$("$@" 2>&1) || {
    printf '%s\n' "$output" >&2
    return 1
  }
}

case ${1:-quickstart} in
  quickstart) needs=$quickstart_needs ;;
  sweep) needs=$quickstart_needs$sweep_needs ;;
  tests) needs=$quickstart_needs$sweep_needs$tests_needs ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

mapfile -t packages < <(missing)
[ ${#packages[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null ||
  stop "this host has no apt-get; what these Debian packages hold is missing: ${packages[*]}" \
    "install it by the means of this host (Meson must be 1.0 or newer) and run again"
[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
  stop "missing packages: ${packages[*]}" \
    "neither root nor sudo: ask an administrator to install them, then run again"

echo "installing ${packages[*]}"
apt=(as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
{ quietly "${apt[@]}" update &&
  quietly "${apt[@]}" install -y --no-install-recommends "${packages[@]}"; } ||
  stop "apt-get failed (see above); mend that, or install by hand: ${packages[*]}"

mapfile -t packages < <(missing)
[ ${#packages[@]} -eq 0 ] ||
  stop "installed, but still not usable: ${packages[*]}" \
    "Meson must be 1.0 or newer and clang must link -fsanitize=fuzzer"
