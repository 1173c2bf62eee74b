#!/usr/bin/env bash
# cpu_engine.sh - the CPU backend on a tiny model: outputs that no policy changes, recorded times
# that a simulation replays to the byte, and refusals that say what to do.
#
# usage: tests/e2e/cpu_engine.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
model=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../golden/llama")
small=(--model "$model" --kv-blocks 40 --host-blocks 80 --block-size 4 --max-seqs 16
  --max-model-len 64 --quiet)
crowd=(--workload 'fixed,prompt=12,output=40' --rate 20000 --limit 40 --seed 3)
db=$work/p.db

# Profile and fit of this machine.
measure "$db" cpu llama --model "$model" --kv-blocks 600 --host-blocks 300 --block-size 4 \
  --max-seqs 16 --max-batched-tokens 128 --max-model-len 64 --iterations 60 --copies 24 --copies-beside 12 \
  --repeats 4 --precision 0.2 --threads 1

# Under every policy the same tokens; simulated on the recorded times, the same decisions.
first=
for policy in vllm-v1 vllm-v0-swap vllm-v0-recompute always-swap adaptive,min_service=1; do
  run=("${small[@]}" "${crowd[@]}" --policy "$policy" --profile "$db")
  expect 0 replay --backend cpu "${run[@]}" --threads 1 --deterministic --temperature 0.8 \
    --outputs "$work/tokens.$policy" --step-times "$work/times" --log "$work/real"
  expect 0 replay --backend sim --device cpu "${run[@]}" --step-times "$work/times" \
    --log "$work/replayed"
  cmp "$work/real" "$work/replayed" || { echo "$policy: replayed otherwise" >&2 && exit 1; }
  [ "$(wc -l <"$work/tokens.$policy")" -eq 40 ] || { echo "$policy: not 40 outputs" >&2 && exit 1; }
  first=${first:-$work/tokens.$policy}
  cmp "$first" "$work/tokens.$policy" || { echo "$policy changes tokens" >&2 && exit 1; }
done
[ "$(head -n 1 "$first" | wc -w)" -eq 41 ] || { echo "an output is not of 40 tokens" >&2 && exit 1; }

# Ends of sequences that no trace knows are in the record.
expect 0 replay --backend cpu "${small[@]}" "${crowd[@]}" --eos --temperature 1 --threads 1 \
  --outputs "$work/eos" --step-times "$work/times" --log "$work/real"
expect 0 replay --backend sim --device cpu "${small[@]}" "${crowd[@]}" --step-times "$work/times" \
  --log "$work/replayed"
cmp "$work/real" "$work/replayed"
[ "$(awk 'NF < 41' "$work/eos" | wc -l)" -gt 0 ] || { echo "no request ended early" >&2 && exit 1; }
expect 1 replay --backend sim --device cpu "${small[@]}" "${crowd[@]}" --step-times "$work/times" \
  --policy vllm-v0-swap
said 'not of this run'
sed -i '5s/.*/i 7/' "$work/times"
expect 1 replay --backend sim --device cpu "${small[@]}" "${crowd[@]}" --step-times "$work/times"
said 'times:5: no line of step times'

# Measured samples simulate this machine, too; its fits weigh turnarounds.
expect 0 replay --backend sim --device cpu "${small[@]}" "${crowd[@]}" --latency measured \
  --profile "$db" --results "$work/results.db"
expect 0 replay --backend cpu "${small[@]}" "${crowd[@]}" --threads 1 --profile "$db" --json - \
  --results "$work/results.db"
said '"weighted_turnaround_mean": [0-9]'
expect 0 replay --backend cpu "${small[@]}" "${crowd[@]}" --threads 1 --json -
said '"weighted_turnaround_mean": null'

# Both are stored: the measured run comes first.
expect 0 compare --results "$work/results.db" --validate 2 1 --all
said '^TTFT, s, mean( +[0-9.e-]+){2} +[+-][0-9.]+ ?%$'
grep -q warning "$work/said" && cat "$work/said" >&2 && exit 1
expect 1 compare --results "$work/results.db" --validate 1 2
said 'run 1 was simulated, not measured'

# Refusals.
expect 2 replay --backend cpu "${crowd[@]}"
said 'needs --model DIR'
expect 2 replay --backend cpu "${crowd[@]}" --model "$work/nowhere"
said 'no directory'
expect 2 replay --backend cpu "${crowd[@]}" --model "$model" --device h200
said "not on 'h200'"
expect 2 replay --backend cpu "${crowd[@]}" --model "$model" --tp 2
expect 2 replay --backend cpu "${crowd[@]}" --model "$model" --noise 0.1
expect 2 replay --backend cpu "${crowd[@]}" --model "$model" --top-p 2
said 'top_p|top-p'
expect 2 replay --backend sim --device cpu "${small[@]}" "${crowd[@]}"
said 'step-times'
expect 2 replay --backend sim "${crowd[@]}" --outputs "$work/x"
said 'a simulation has no tokens'
expect 2 replay --backend cpu "${small[@]}" "${crowd[@]}" --policy oracle-bound
said 'only a simulation'
expect 2 replay --backend cpu "${small[@]}" "${crowd[@]}" --policy srpt-oracle --profile "$db" --eos
said 'nobody knows'
expect 1 replay --backend cpu --model "$model" "${crowd[@]}" --kv-gib 9000
said 'GiB of KV pools .* GiB are available'
echo "the CPU engine: one output under 5 policies, replayed to the byte"
