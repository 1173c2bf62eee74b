#!/usr/bin/env bash
# cuda_failures.sh - what the CUDA backend says of devices that it cannot use, of one that is lost
# in mid-run, of an interrupt.
#
# usage: tests/e2e/cuda_failures.sh ADAPTIVELLM, which is linked with the fake of CUDA; its
# environment sets what is wrong with the device (tests/cuda_fake/fake_cuda.h).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
model=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../golden/llama")
run=(replay --backend cuda --model "$model" --kv-blocks 22 --host-blocks 40 --block-size 4 --max-seqs 8
  --max-model-len 40 --max-batched-tokens 40 --quiet --policy vllm-v0-swap)
crowd=(--workload 'fixed,prompt=9,output=18' --rate 1000000 --limit 9 --seed 3)

# One line, exit 1, before anything is loaded.
refused() { # WORDS VARIABLE...
  local words=$1
  shift
  # shellcheck disable=SC2163 # they are NAME=VALUE
  export "$@"
  expect 1 "${run[@]}" "${crowd[@]}"
  said "$words"
  [ "$(wc -l <"$work/said")" -eq 1 ] || { echo "more than a line for $*" >&2 && exit 1; }
  unset "${@%%=*}"
}
refused 'no CUDA driver' FAKE_CUDA_DRIVER=0
refused 'driver is for CUDA 12.8; .* needs 13.0' FAKE_CUDA_DRIVER=12080
refused 'no CUDA device' FAKE_CUDA_DEVICES=0
refused 'capability 7.5; .* needs 8.0' FAKE_CUDA_CAPABILITY=75
refused 'busy' FAKE_CUDA_BUSY=1

# Lost in mid-run: what had been done by then is stored, with the cause in a line.
stored() { # SQL: of the latest run
  sqlite3 -batch -noheader "$work/results.db" "select $1 from run order by id desc limit 1"
}
lost() { # OPTION...
  FAKE_CUDA_LOST_IN=advance FAKE_CUDA_LOST_AT=9 expect 1 "${run[@]}" "${crowd[@]}" \
    --results "$work/results.db" "$@"
  said 'an illegal memory access'
  [ "$(stored outcome)" = failed ] || { echo "a lost device: stored as $(stored outcome)" >&2 && exit 1; }
  [ "$(stored n_iterations)" -eq 8 ] ||
    { echo "lost in iteration 9, stored with $(stored n_iterations)" >&2 && exit 1; }
}
export FAKE_CUDA_LOST_IN FAKE_CUDA_LOST_AT
lost --deterministic
lost

# An interrupt: the iteration at hand ends, the run is stored.
"$program" "${run[@]}" --workload 'fixed,prompt=9,output=18' --rate 1000000 --limit 100000 \
  --results "$work/results.db" --log "$work/log" >"$work/said" 2>&1 </dev/null &
last='an interrupt'
until [ -s "$work/log" ]; do # it is under way then
  kill -0 $! 2>/dev/null || { cat "$work/said" >&2 && exit 1; }
  sleep 0.05
done
kill -INT $!
wait $! && { echo 'an interrupted run ended well' >&2 && exit 1; }
said 'interrupted'
[ "$(stored outcome)" = interrupted ] || { echo "interrupted: stored as $(stored outcome)" >&2 && exit 1; }
[ "$(stored n_iterations)" -gt 0 ] || { echo 'interrupted before the first iteration' >&2 && exit 1; }

# So do microbenchmarks: the points that are done are stored.
"$program" profile --backend cuda --model "$model" --kv-blocks 300 --host-blocks 64 --block-size 4 --max-seqs 8 \
  --max-batched-tokens 40 --max-model-len 40 --iterations 100000 --profile "$work/p.db" >"$work/said" 2>&1 </dev/null &
last='an interrupted profile'
until [ "$(sqlite3 -batch -noheader "$work/p.db" 'select count(*) from algorithm' 2>/dev/null)" -gt 0 ] 2>/dev/null; do
  kill -0 $! 2>/dev/null || { cat "$work/said" >&2 && exit 1; }
  sleep 0.1
done
sleep 1 # the points come when algorithms are found
kill -INT $!
wait $! && { echo 'an interrupted profile ended well' >&2 && exit 1; }
said 'interrupted after [1-9][0-9]* of'
n=$(sed -nE 's/.*interrupted after ([0-9]+) of.*/\1/p' "$work/said")
[ "$(sqlite3 -batch -noheader "$work/p.db" 'select count(*) from sample')" -eq "$n" ] ||
  { echo "$n points are not stored" >&2 && exit 1; }
echo 'the CUDA engine: five devices refused, two lost, a run and a profile interrupted'
