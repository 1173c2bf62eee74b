#!/usr/bin/env bash
# replay.sh - from a trace file to stored figures: whole runs, bad input, and what is stored then.
#
# usage: tests/e2e/replay.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
cd "$work"

policies=(vllm-v0-recompute vllm-v0-swap vllm-v1)
machine=(--device h200 --model llama-3-8b --seed 3 --quiet)

# same WHAT EXPECTED GOT
same() {
  [ "$2" = "$3" ] || { printf '%s: %s instead of %s\n' "$1" "$3" "$2" >&2 && exit 1; }
}

sql() {
  sqlite3 -batch -noheader results.db "$1"
}

# --- every request of a small pool ends finished or rejected, and is stored so
{
  echo arrival_s,n_prompt,n_output
  for i in $(seq 0 39); do echo "$i.5,$((100 + 37 * i)),$((20 + 11 * i))"; done
  echo 40.5,9000,10 # more than the pool below ever holds
} >small.csv
for policy in "${policies[@]}"; do
  expect 0 replay --trace small.csv --policy "$policy" "${machine[@]}" --kv-blocks 200 \
    --results results.db --json run.json --timeline timeline.json --log run.log
  grep -q '"weighted_turnaround_p99"' run.json
  grep -q '"traceEvents"' timeline.json
  [ -s run.log ]
done
grep -q '"n_cut_outputs": 0,' run.json
same runs 3 "$(sql "select count(*) from run where outcome = 'finished'")"
same requests 123 "$(sql 'select count(*) from request')"
same 'requests of a run' '41|40|1' \
  "$(sql 'select distinct n_requests, n_finished, n_rejected from run')"
# What was asked for and not served is said: a prompt that is too long, outputs that end early.
expect 0 replay --trace small.csv --device h200 --model llama-3-8b --kv-blocks 75 --json run.json
said '^  1[0-9] requests were rejected: their prompts leave no room within the 1184 tokens of --max-model-len'
said '^  [0-9]+ outputs were cut, by [0-9]+ tokens in all: a request ends at the 1184 tokens'
same 'cut outputs' "$(awk -F, 'NR > 1 && $2 < 1184 && $2 + $3 > 1184' small.csv | wc -l)" \
  "$(sed -n 's/.*"n_cut_outputs": \([0-9]*\).*/\1/p' run.json)"
same 'cut tokens' "$(awk -F, 'NR > 1 && $2 < 1184 && $2 + $3 > 1184 { n += $2 + $3 - 1184 } END { print n }' small.csv)" \
  "$(sed -n 's/.*"n_cut_tokens": \([0-9]*\).*/\1/p' run.json)"
expect 0 replay --workload fixed,n=1 --device a100-40g --model llama-3-70b --kv-gib 4
said '^note: 131.* GiB of weights and the KV are more than the 40.0 GiB of the device'
expect 0 replay --workload fixed,n=1 --device a100-40g --model llama-3-70b --kv-gib 4 --tp 8
! grep -q '^note' said || { echo 'a model that fits is said not to' >&2 && exit 1; }
same 'requests that finish before they arrive' 0 \
  "$(sql 'select count(*) from request where finish_s < arrival_s')"
same 'requests faster than alone' 0 \
  "$(sql 'select count(*) from run where weighted_turnaround_max < 1')"

# --- a gzip of the trace is the same trace
gzip -k small.csv
expect 0 replay --trace small.csv.gz --policy vllm-v1 "${machine[@]}" --kv-blocks 200 --log gz.log
cmp run.log gz.log

# --- a bad trace: where and what, exit 1, nothing stored; --skip-bad goes on
bad() { # CONTENT PATTERN
  printf '%b' "$1" >bad.trace
  expect 1 replay --trace bad.trace --policy vllm-v1 "${machine[@]}" --results results.db
  said "$2"
}
head='arrival_s,n_prompt,n_output\n0.5,10,10\n'
bad "$head"'1.5,10\n' 'bad\.trace:3'
bad "$head"'1.5,-3,10\n' 'bad\.trace:3.*n_prompt.*-3'
bad "$head"'1.5,99999999999,10\n' 'bad\.trace:3.*n_prompt.*99999999999'
bad "$head"'0.25,10,10\n' 'bad\.trace:3.*arrival_s.*0\.25'
bad "$head"'nan,10,10\n' 'bad\.trace:3.*arrival_s.*nan'
bad '' 'bad\.trace'
bad 'what,is,this\n1,2,3\n' 'bad\.trace:1'
head -c 150 small.csv.gz >cut.csv.gz
expect 1 replay --trace cut.csv.gz --policy vllm-v1 "${machine[@]}" --results results.db
said 'cut\.csv\.gz'
{ printf 'arrival_s,n_prompt,n_output\n0,1,' && head -c 1100000 /dev/zero | tr '\0' 1; } >long.csv
expect 1 replay --trace long.csv --policy vllm-v1 "${machine[@]}" --results results.db
said 'long\.csv:2'
same 'runs after bad traces' 3 "$(sql 'select count(*) from run')"

printf '%b' "$head"'1.5,-3,10\n2.5,10,10\n' >bad.trace
expect 0 replay --trace bad.trace --policy vllm-v1 "${machine[@]}" --skip-bad --results results.db
same 'requests without the bad line' 2 \
  "$(sql 'select n_requests from run order by id desc limit 1')"

# --- a name that is not there: the nearest one, exit 2
nearest() { # SUGGESTION ARGUMENT...
  local suggestion=$1
  shift
  expect 2 replay --trace small.csv "$@"
  said "$suggestion"
}
nearest vllm-v1 --policy vlm-v1
nearest h200 --policy vllm-v1 --device h20
nearest llama-3-8b --policy vllm-v1 --model llama3-8b
expect 2 replay --workload sharegtp --policy vllm-v1
said sharegpt
expect 1 replay --trace nowhere.csv --policy vllm-v1 "${machine[@]}"
said 'nowhere\.csv'

# --- a database that is none stays as it is
echo 'my thesis' >thesis.db
expect 1 replay --trace small.csv --policy vllm-v1 "${machine[@]}" --results thesis.db
said 'thesis\.db'
same 'the file' 'my thesis' "$(cat thesis.db)"

# --- a seed gives the same bytes again, another seed others
for seed in 1 1 2; do
  expect 0 replay --workload sharegpt --limit 200 --seed "$seed" --policy vllm-v1 --device h200 \
    --model llama-3-8b --quiet --log "seed.$seed.$((n = ${n:-0} + 1))"
done
cmp seed.1.1 seed.1.2
if cmp -s seed.1.1 seed.2.3; then
  echo 'seeds 1 and 2 give the same log' >&2
  exit 1
fi

# --- prefixes that a trace shares are computed once, by adaptive as by vLLM V1
awk 'BEGIN {
  for (i = 0; i < 60; i++) {
    printf "{\"timestamp\": %d, \"input_length\": 4900, \"output_length\": 240, \"hash_ids\": [", 1000 * i
    for (k = 0; k < 8; k++) printf "%d, ", 100 * (i % 3) + k
    printf "%d, %d]}\n", 1000 + 2 * i, 1001 + 2 * i
  }
}' >shared.jsonl
shares() { # HITS POLICY OPTION...
  expect 0 replay --trace shared.jsonl --model llama-2-7b --max-model-len 6000 --auto-profile \
    --profile fits.db --policy "${@:2}" --json run.json --quiet
  same "hits of ${*:2}" "$1" "$(sed -n 's/.*"prefix_hit_tokens": \([0-9]*\).*/\1/p' run.json)"
}
for policy in vllm-v1 adaptive; do shares $((57 * 8 * 512)) $policy --log shared.$policy; done
shares 0 adaptive,prefix_cache=off
shares 0 cost-aware
cmp <(cut -d ' ' -f 1-5 shared.vllm-v1) <(cut -d ' ' -f 1-5 shared.adaptive) # the same steps
expect 0 replay --trace shared.jsonl --rate 20 --model llama-2-7b --max-model-len 6000 --profile fits.db \
  --policy adaptive --kv-blocks 1100 --host-gib 16 --json run.json --quiet
grep -q '"n_finished": 60,' run.json
[ "$(sed -n 's/.*"prefix_hit_tokens": \([0-9]*\).*/\1/p' run.json)" -gt 100000 ] || { echo 'no hits in a tight pool' >&2 && exit 1; }
[ "$(sed -n 's/.*"n_preemptions": \([0-9]*\).*/\1/p' run.json)" -gt 0 ] || { echo 'nothing was preempted' >&2 && exit 1; }
expect 0 replay "${machine[@]}" --workload sharegpt,n=300 --rate 40 --kv-blocks 900 --profile fits.db --auto-profile \
  --policy adaptive --log with.log
expect 0 replay "${machine[@]}" --workload sharegpt,n=300 --rate 40 --kv-blocks 900 --profile fits.db \
  --policy adaptive,prefix_cache=off --log without.log
cmp with.log without.log # nothing is shared
