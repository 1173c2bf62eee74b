#!/usr/bin/env bash
# run.sh - runs each fuzzer for a while, starting from its corpus; two at a time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tests/builds.sh

usage() {
  cat <<'EOF'
usage: tests/fuzz/run.sh SECONDS [BUILD_FOLDER]

Builds the fuzzers (clang, AddressSanitizer, UBSan) in BUILD_FOLDER (default
build-asan) and runs each for SECONDS. What they find new is kept in
BUILD_FOLDER/fuzz/, an input that crashes one too. Exit 1 where one crashed.
Ends with the line `N passed, N failed, N skipped`.
EOF
}

case ${1:-} in
  -h | --help) usage && exit 0 ;;
  '' | *[!0-9]*) usage >&2 && exit 2 ;;
esac
seconds=$1
folder=${2:-build-asan}
max_len=65536 # beyond any buffer of a reader but its line limit, which has a unit test

build_sanitized "$folder" >"$folder.log" 2>&1 || { # not inside: the folder may be made anew
  cat "$folder.log" >&2
  exit 1
}
mv "$folder.log" "$folder/fuzz-build.log"

# fuzz NAME: one fuzzer, output to its log. fuzz_KIND_DETAIL starts from tests/fuzz/corpus/KIND.
fuzz() {
  local work=$folder/fuzz/$1 kind=${1#fuzz_}
  mkdir -p "$work/found"
  "${fixed_addresses[@]}" "$folder/tests/fuzz/$1" -max_total_time="$seconds" \
    -max_len="$max_len" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$work/" \
    "$work/found" "tests/fuzz/corpus/${kind%%_*}" >"$work/log" 2>&1 </dev/null
}

passed=0 failed=0
report() { # NAME STATUS
  local log=$folder/fuzz/$1/log runs
  if [ "$2" -eq 0 ]; then
    passed=$((passed + 1))
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "  $1: $runs inputs"
  else
    failed=$((failed + 1))
    echo "  $1: FAILED, $log:"
    tail -n 60 "$log"
  fi
}

mapfile -t names < <(find tests/fuzz -name 'fuzz_*.c' -printf '%f\n' | sed 's/\.c$//' | sort)
for ((i = 0; i < ${#names[@]}; i += 2)); do
  pair=("${names[@]:i:2}") pids=()
  for name in "${pair[@]}"; do
    fuzz "$name" &
    pids+=($!)
  done
  for j in "${!pair[@]}"; do
    wait "${pids[j]}" && result=0 || result=$?
    report "${pair[j]}" "$result"
  done
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
