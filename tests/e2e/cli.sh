#!/usr/bin/env bash
# cli.sh - the command line explains itself and tells misuse (exit 2) from failure (exit 1).
#
# usage: tests/e2e/cli.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

commands=(replay compare report trace profile fit predict policies devices models)

expect 0 --help
for command in "${commands[@]}"; do
  said "  $command "
done
expect 0 --version
said '^adaptivellm [0-9]+\.[0-9]+\.[0-9]+$'
expect 2
said '^usage: '
expect 2 repaly
said "no command 'repaly'.*did you mean 'replay'"

for command in "${commands[@]}"; do
  expect 0 "$command" --help
  said "^usage: adaptivellm $command"
  expect 2 "$command" --no-such-option
  said 'no-such-option'
done

expect 0 trace stat --workload fixed,n=500,clients=3
said '^  clients +3$'
expect 0 trace generate fixed,n=500,clients=3 --output "$work/three.jsonl"
expect 0 trace stat "$work/three.jsonl" --json
said '"n_clients": 3'

expect 0 profile --help
for command in import list merge; do
  said "^       adaptivellm profile $command "
done

# The help has the defaults that hold.
for command in replay 'trace generate'; do
  # shellcheck disable=SC2086 # two words
  expect 0 $command --help
  said 'gamma, weibull \(both cv=3\)' && said 'bursty \(on=10, off=30: mean seconds\)'
done
for arrival in gamma,cv=3 weibull,cv=3 bursty,on=10,off=30; do
  expect 0 trace generate fixed,n=200 --arrival "${arrival%%,*}" --output "$work/short.csv"
  expect 0 trace generate fixed,n=200 --arrival "$arrival" --output "$work/long.csv"
  cmp "$work/short.csv" "$work/long.csv"
done

printf 'arrival_s,n_prompt,n_output\n' >"$work/empty.csv"
expect 0 trace stat "$work/empty.csv"
said '^  there are no requests$'
[ "$(wc -l <"$work/said")" -eq 2 ] || { echo 'a table of no requests:' >&2 && cat "$work/said" >&2 && exit 1; }
printf 'arrived_at,num_prefill_tokens,num_decode_tokens\n0,4,2\n1.5,8,2\n' >"$work/vidur.csv"
expect 0 trace stat "$work/vidur.csv"
said ': Vidur CSV$' && said '^  duration, s +1.5$'

# Names may hold bytes that are no UTF-8, JSON may not.
cp "$work/three.jsonl" "$work/"$'tr\xffx.jsonl'
label=$'\xff\xfe'
odd=(--trace "$work/"$'tr\xffx.jsonl' --label "$label" --results "$work/odd.db" --quiet)
expect 0 trace stat "${odd[1]}" --json
for file in one two; do
  expect 0 replay "${odd[@]}" --json "$work/$file.json"
  python3 -c 'import json, sys
assert json.load(open(sys.argv[1]))["settings"]["trace"].endswith("tr\ufffdx.jsonl")' "$work/$file.json"
done
expect 0 compare --results "$work/odd.db" --label "$label" --json "$work/odd.json"
python3 -c 'import json, sys
assert json.load(open(sys.argv[1]))["runs"][0]["label"] == "\ufffd\ufffd"' "$work/odd.json"

for list in policies devices models; do
  expect 0 "$list"
done
expect 0 policies
said '^vllm-v0-recompute ' && said '^vllm-v0-swap ' && said '^vllm-v1 ' && said '^nano-vllm '
said '^  order +fcfs priority .* gittins$' && said '^  host_full +abort recompute$'
said '^With a prefix cache.*: adaptive vllm-v1 vllm-v1-offload nano-vllm\.$'
expect 0 devices
said '^h200 ' && said '^rtx-pro-6000 '
expect 0 models
said '^llama-3-8b ' && said '^opt-13b '
for list in devices models; do
  expect 2 "$list" all
  said "'all'"
  "$program" "$list" --json >"$work/list.json"
  expect 0 "$list"
  python3 -c 'import json, sys
table = [line.split()[0] for line in open(sys.argv[2]) if line[0].islower()]
names = [entry["name"] for entry in json.load(open(sys.argv[1]))]
assert len(names) > 5 and set(names) <= set(table), (names, table)' "$work/list.json" "$work/said"
  got=0
  "$program" "$list" --json 2>"$work/said" >/dev/full || got=$?
  [ "$got" -eq 1 ] || { echo "$list --json >/dev/full: exit $got instead of 1" >&2 && exit 1; }
done

# Who is refused a number learns which there are.
for rate in 1e300 2e9 0 -1; do
  expect 2 replay --workload fixed,n=1 --rate "$rate"
  said "^adaptivellm replay: --rate: '$rate' is not a number of requests/s from 1e-9 to 1e9"
done
expect 0 replay --workload fixed,n=2 --rate 1e9
for seqs in 0 4294967295 99999999999999999999 x; do
  expect 2 replay --workload fixed,n=1 --max-seqs "$seqs"
  said "--max-seqs needs a whole number from 1 to 4294967294, not '$seqs'"
done
expect 2 replay --workload fixed,n=1 --kv-gib 1e12
said "--kv-gib needs a number from 0 to below 1e12, not '1e12'"
expect 2 predict --profile db --device d --prefill 100000000
said '--prefill is N or N@CACHED, N from 1 and CACHED from 0 to 16777216'
expect 2 predict --profile db --device d --decodes 4@0
said '--decodes is N or N@CONTEXT, both from 1 to 16777216'
expect 2 predict --profile db --device d --swap-in 16777217
said 'the blocks of a copy are a whole number from 1 to 16777216'

# Progress is for terminals.
if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
  script -qec "$program replay --workload fixed,n=400000 --rate 1000" /dev/null >"$work/terminal" </dev/null
  grep -qE '\[#+\.*\] +[0-9]+ %  [0-9]+ of 400000 requests' "$work/terminal" || {
    echo 'no progress on a terminal:' >&2 && cat "$work/terminal" >&2 && exit 1
  }
else
  echo 'cli.sh: there is no terminal to be had: progress is not looked at'
fi
expect 0 replay --workload fixed,n=20000 --rate 1000
! grep -q $'\r' "$work/said" || { echo 'progress where there is no terminal' >&2 && exit 1; }

expect 0 models init --help
said '^usage: adaptivellm models init'
expect 0 models show --help
said '^usage: adaptivellm models show'
expect 0 models init qwen3 "$work/model" --layers 3 --hidden 64 --heads 4 --kv-heads 2 \
  --vocab 100 --ffn 96 --head-dim 24 --dtype bf16 --tied
expect 0 models show "$work/model" --check-weights
said '^architecture +Qwen3ForCausalLM$' && said '^heads +4, of them KV 2, each 24 wide$'
said '^parameters +117584$' && said '^KV bytes per block +18432, of 16 tokens$'
expect 0 models show "$work/model" --json --block-size 32
said '"n_parameters": 117584' && said '"kv_bytes_per_block": 36864'
expect 1 models init qwen3 "$work/model"
said 'config.json: is there already'
truncate -s -2 "$work/model/model.safetensors"
expect 1 models show "$work/model"
said 'model.safetensors: tensor .* ends at 235168, but the file has 235166 bytes'
expect 1 models show "$work/none"
said 'none/config.json: No such file'
expect 2 models init qwen "$work/other"
said "no architecture 'qwen'.*did you mean 'qwen2'"
expect 2 models init llama "$work/other" --heads 7
said 'no multiple of 7 heads'
expect 1 models init llama "$work/other" --hidden 1000000 --layers 1000
said 'other: the model takes 64000[0-9]{12} bytes, but [0-9]+ are free; make it smaller'
[ ! -e "$work/other" ] || { echo 'a directory is left of the model without room' >&2 && exit 1; }
expect 2 models shwo
said "no command 'shwo'.*did you mean 'show'"
