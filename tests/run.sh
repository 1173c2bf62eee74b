#!/usr/bin/env bash
# run.sh - installs what is missing, builds, and runs the tests; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
usage: tests/run.sh [--full]

Quick (under 10 minutes on 2 cores): gcc build with --werror and all suites, the same
under AddressSanitizer and UBSan, each fuzzer for 5 s.
  --full   under 40 minutes: also clang with --werror, valgrind, ThreadSanitizer where
           there are threads, 60 s per fuzzer, equal logs from three builds, formatting,
           the CUDA programs and their bundle where there is nvcc

JOBS sets the number of parallel jobs (2). Ends with `N passed, N failed, N skipped`, summed
over all builds; the exit status is 0 where nothing failed. Logs are in build-logs/.
EOF
}

full=false
case ${1:-} in
  '') ;;
  --full) full=true ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac
exec </dev/null
. tests/builds.sh

passed=0 failed=0 skipped=0
logs=build-logs
clang_format_major=14 # another version would format otherwise

# Takes the counts of a stage from its last line, which reads as the last line of this script.
add_counts() { # LOG
  local p f s
  read -r p f s < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' \
    "$1" | tail -n 1) || return 1
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  counts="$p passed, $f failed, $s skipped"
}

# stage KIND TITLE COMMAND...: runs a stage with its output in a log, which is shown on failure.
#   step   a failure counts, a success does not (builds)
#   check  counts as one test
#   suite  ends with a line of counts
stage() {
  local kind=$1 title=$2 log start=$SECONDS result=0 counts='' verdict=ok
  shift 2
  log=$logs/${title//[^A-Za-z0-9]/_}.log
  "$@" >"$log" 2>&1 || result=$?
  if [ "$kind" = suite ] && add_counts "$log"; then
    :
  elif [ "$result" -ne 0 ]; then
    failed=$((failed + 1))
  elif [ "$kind" = check ]; then
    passed=$((passed + 1))
  fi
  [ "$result" -eq 0 ] || verdict=FAILED
  printf '%-7s %6d s  %s%s\n' "$verdict" $((SECONDS - start)) "$title" "${counts:+: $counts}"
  [ "$result" -eq 0 ] || tail -n 200 "$log"
  return "$result"
}

# A test that cannot run here, which counts as skipped, and one that has no object yet.
skip() { # TITLE WHY
  skipped=$((skipped + 1))
  printf 'skipped %8s  %s: %s\n' '' "$1" "$2"
}
nothing() { # TITLE WHY
  printf 'nothing %8s  %s: %s\n' '' "$1" "$2"
}

# Reads the log that `meson test` wrote. A cmocka program says how many of its tests passed, were
# skipped and failed; one without such lines is one test; one that ends badly although no count
# says so (killed, leaked, died before its summary) is one failure.
count_log() {
  awk '
    function finish() {
      if (!open) return
      if (!counted && ok) p++
      else if (!counted && skip) s++
      else if (!ok && !skip && !f_here) f++
    }
    /^=+ [0-9]+\/[0-9]+ =+$/ { finish(); open = 1; ok = skip = counted = f_here = 0; head = 1 }
    head && /^result: / { ok = /exit status 0$/; skip = /exit status 77$/; head = 0 }
    match($0, /^\[  (PASSED|FAILED|SKIPPED) *\] [0-9]+ test\(s\)/) {
      counted = 1
      if ($2 == "PASSED") p += $4
      if ($2 == "SKIPPED") s += $4
      if ($2 == "FAILED") { f += $4; f_here += $4 }
    }
    END { finish(); printf "%d passed, %d failed, %d skipped\n", p, f, s }
  ' "$1"
}

# suites FOLDER NAME OPTION...: `meson test`, the output of failed tests, and the counts.
suites() {
  local folder=$1 name=$2 result=0 log
  shift 2
  rm -f "$folder"/meson-logs/"$name"*.txt
  "${fixed_addresses[@]}" meson test -C "$folder" --no-rebuild --num-processes "$jobs" \
    --print-errorlogs --logbase "$name" "$@" || result=$?
  log=$(ls "$folder"/meson-logs/"$name"*.txt)
  count_log "$log"
  return "$result"
}

formatted() {
  local file result=0
  while read -r file; do
    clang-format "$file" | cmp -s - "$file" || { echo "$file" && result=1; }
  done < <(find . -path './build*' -prune -o \( -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' \
    -o -name '*.cuh' \) -print)
  [ "$result" -eq 0 ] || echo 'these differ from what clang-format -i makes of them'
  return "$result"
}

close() {
  echo
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
}

mkdir -p "$logs"
stage step 'packages' experiments/install_packages.sh tests || { close; exit 1; }

if stage step 'gcc: build' build build gcc -Dbuildtype=debugoptimized -Dwerror=true; then
  ln -sfn experiments/adaptivellm build/adaptivellm
  if $full && command -v nvcc >/dev/null; then # before the tests, one of which runs it
    stage step 'nvcc: build' meson compile -C build -j "$jobs" cuda_probe gpu_checks || true
  elif $full; then
    skip 'nvcc: build' 'there is no nvcc here'
  fi
  stage suite 'gcc: tests' suites build gcc || true
fi

fuzz_seconds=5
$full && fuzz_seconds=60
if stage step 'sanitizers: build' build_sanitized build-asan; then
  # The device's passes, a fiber for each thread of a kernel, take their time there.
  $full && left_out=() || left_out=(--no-suite slow --no-suite gpu)
  stage suite 'sanitizers: tests' suites build-asan asan --timeout-multiplier 5 \
    "${left_out[@]}" || true
  stage suite "fuzzers, $fuzz_seconds s each" \
    tests/fuzz/run.sh "$fuzz_seconds" build-asan || true
fi
$full || { close && exit; exit 1; }

if stage step 'clang -O0: build' build build-clang clang -Dcuda=disabled -Dbuildtype=debug -Dwerror=true; then
  stage suite 'clang -O0: tests' suites build-clang clang --timeout-multiplier 3 || true
fi

memcheck='valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite'
stage suite 'valgrind: unit tests' suites build valgrind --suite unit --timeout-multiplier 20 \
  --wrapper "$memcheck --errors-for-leak-kinds=definite" || true

if grep -rqE '^#include <(pthread|threads)\.h>' --include='*.[ch]' --exclude-dir='build*' .; then
  if stage step 'ThreadSanitizer: build' build build-tsan clang -Dcuda=disabled -Db_sanitize=thread \
    -Db_lundef=false; then
    # Those that start threads; the others have none to watch.
    stage suite 'ThreadSanitizer: tests' suites build-tsan tsan --timeout-multiplier 10 \
      cpu_executor cpu_runs cpu_engine forward golden_models || true
  fi
else
  nothing 'ThreadSanitizer' 'no source uses threads'
fi

if stage step 'gcc -O3: build' build build-release gcc -Dcuda=disabled -Dbuildtype=release; then
  stage check 'equal logs: gcc -O3, clang -O0, clang with sanitizers' \
    "${fixed_addresses[@]}" tests/e2e/determinism.sh build-release/experiments/adaptivellm \
    build-clang/experiments/adaptivellm build-asan/experiments/adaptivellm || true
fi

if command -v nvcc >/dev/null; then
  stage check 'bundle for a GPU: made, and starts on a bare system' \
    env JOBS="$jobs" BUILD=build-bundle experiments/gpu_bundle.sh build-bundle/adaptivellm-gpu.tar.gz || true
else
  skip 'bundle for a GPU' 'there is no nvcc here'
fi

if clang-format --version | grep -q "version $clang_format_major\."; then
  stage check 'clang-format' formatted || true
else
  skip 'clang-format' "the tree is laid out by version $clang_format_major"
fi

close
