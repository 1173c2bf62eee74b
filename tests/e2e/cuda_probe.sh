#!/usr/bin/env bash
# cuda_probe.sh - the probe starts without a device, says so in one line, and writes no table.
#
# usage: tests/e2e/cuda_probe.sh PROBE. Skips where it was not built.
set -euo pipefail
probe=$1
[ -x "$probe" ] || { echo 'skipped: the probe is not built: meson compile -C BUILD cuda_probe' && exit 77; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CUDA_VISIBLE_DEVICES='' # none, where there are some too

fail() {
  echo "$*" >&2
  exit 1
}

# runs STATUS ARGUMENT...: with that exit status; output to $work/out and $work/err.
runs() {
  local expected=$1 result=0
  shift
  "$probe" "$@" >"$work/out" 2>"$work/err" </dev/null || result=$?
  [ "$result" -eq "$expected" ] || fail "cuda_probe $*: exit $result, not $expected: $(cat "$work/err")"
}

runs 0 --help
grep -q -- '--quick' "$work/out" || fail '--help does not name --quick'
for wrong in --fast '--device x' '--only all' --out; do
  # shellcheck disable=SC2086 # an option and its value
  runs 2 $wrong
  [ "$(wc -l <"$work/err")" -eq 1 ] || fail "misuse in more than one line: $(cat "$work/err")"
done

for mode in --quick --full; do
  runs 1 "$mode" --date today --out "$work/table.csv"
  [ "$(wc -l <"$work/err")" -eq 1 ] || fail "not one line: $(cat "$work/err")"
  grep -qE '^cuda_probe: no CUDA (driver|device)|the driver is for' "$work/err" || fail "$(cat "$work/err")"
  [ ! -s "$work/out" ] || fail 'a table without a device'
  [ ! -e "$work/table.csv" ] || fail 'a file without a device'
done

# It is to start on a bare system.
needed=$(ldd "$probe" | sed -nE 's/^\s*(\S+).*/\1/p' | grep -vE '^(linux-vdso|.*/ld-linux|lib(m|c|dl|rt|pthread)\.so)' || true)
[ -z "$needed" ] || fail "the probe needs more than the C library: $needed"
