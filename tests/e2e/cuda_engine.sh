#!/usr/bin/env bash
# cuda_engine.sh - the CUDA backend on a tiny model: outputs that no policy changes, with its
# captured graphs and without, recorded times that a simulation replays to the byte, refusals.
#
# usage: tests/e2e/cuda_engine.sh ADAPTIVELLM. The program is linked with the fake of CUDA
# (tests/cuda_fake): a device on which each thread of a kernel is a fiber.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
model=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../golden/llama")
tight=(--model "$model" --kv-blocks 22 --host-blocks 40 --block-size 4 --max-seqs 8
  --max-model-len 40 --max-batched-tokens 40 --quiet)
crowd=(--workload 'fixed,prompt=9,output=18' --rate 1000000 --limit 9 --seed 3)
db=$work/p.db

# Profile and fit of this device.
measure "$db" cuda llama --model "$model" --kv-blocks 300 --host-blocks 64 --block-size 4 \
  --max-seqs 8 --max-batched-tokens 40 --max-model-len 40 --iterations 30 --copies 24 --copies-beside 12 \
  --repeats 2 --precision 0.5

# serve NAME POLICY OPTION...: on the device, then simulated on the recorded times.
serve() {
  local name=$1 policy=$2
  shift 2
  local run=("${tight[@]}" "${crowd[@]}" --policy "$policy" --profile "$db")
  expect 0 replay --backend cuda "${run[@]}" "$@" --outputs "$work/$name.tokens" \
    --step-times "$work/times" --log "$work/real" --json "$work/$name.json"
  expect 0 replay --backend sim --device cuda "${run[@]}" --step-times "$work/times" \
    --log "$work/replayed"
  cmp "$work/real" "$work/replayed" || { echo "$name: replayed otherwise" >&2 && exit 1; }
}

# Bits do not depend on the schedule: recomputes and swaps change nothing, nor does sampling.
for policy in vllm-v1 vllm-v0-swap vllm-v0-recompute adaptive,min_service=1; do
  serve "$policy" "$policy" --deterministic --temperature 0.8
  cmp "$work/vllm-v1.tokens" "$work/$policy.tokens" ||
    { echo "$policy changes tokens" >&2 && exit 1; }
done
grep -q '"n_preemptions": [1-9]' "$work/vllm-v0-swap.json" || { echo 'nothing was swapped' >&2 && exit 1; }

# With graphs and iterations ahead: the same without preemption and with swaps, which change no
# bit of KV. (In 16 bit another batch may round otherwise, so one request is served alone.)
crowd=(--workload 'fixed,prompt=9,output=18' --limit 1 --seed 3)
serve graphs vllm-v1
serve graphs_again vllm-v1
cmp "$work/graphs.tokens" "$work/graphs_again.tokens" || { echo 'graphs change tokens' >&2 && exit 1; }
serve half vllm-v1 --dtype fp16

# Algorithms are found once: further starts look them up. A database that cannot be written costs
# time at the next start, no run.
algorithms() { sqlite3 -batch -noheader "$1" 'select count(*) from algorithm'; }
found=$(algorithms "$db")
[ "$found" -gt 0 ] || { echo 'no algorithm is kept' >&2 && exit 1; }
serve again vllm-v1
[ "$(algorithms "$db")" -eq "$found" ] || { echo 'algorithms are found anew' >&2 && exit 1; }
cp "$db" "$work/full.db"
sqlite3 -batch "$work/full.db" "delete from algorithm; create trigger full before insert on algorithm
  begin select raise(abort, 'no room'); end"
expect 0 replay --backend cuda "${tight[@]}" "${crowd[@]}" --profile "$work/full.db"
said 'algorithms of products are not kept: .*no room'

# Shapes by name need weights that are made up; both are for this backend.
expect 2 replay --backend cuda "${crowd[@]}" --model llama-2-7b
said 'weights random'
expect 1 replay --backend cuda "${crowd[@]}" --model llama-2-7b --weights random --kv-gib 1
said 'GiB of weights and activations and .* GiB'
expect 2 replay --backend cpu "${crowd[@]}" --model "$model" --weights random
expect 2 replay --backend cuda "${crowd[@]}" --model "$model" --dtype fp8
said 'bf16 or fp16'
expect 2 replay --backend cuda "${crowd[@]}" --model "$model" --threads 2
expect 2 replay --backend cuda "${crowd[@]}" --model "$model" --device h200
expect 2 replay --backend sim --device cuda "${crowd[@]}" --model "$model"
said 'step-times'
echo "the CUDA engine on the fake: one output under 4 policies, replayed to the byte"
