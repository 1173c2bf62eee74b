#!/usr/bin/env bash
# replay_traces.sh - every request of the recorded traces ends under every policy, with pools that
# are short of blocks; and the prefix cache finds what a trace says can be found.
#
# usage: tests/e2e/replay_traces.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
. "$(dirname "${BASH_SOURCE[0]}")/shared_traces.sh"
cd "$work"

# figure NAME: of the run just written to run.json.
figure() {
  sqlite3 -batch -noheader :memory: "select json_extract(readfile('run.json'), '$.$1')"
}

# same WHAT EXPECTED GOT
same() {
  [ "$2" = "$3" ] || { printf '%s: %s instead of %s (%s)\n' "$1" "$3" "$2" "$last" >&2 && exit 1; }
}

# replay STATUS TRACE ARGUMENT...
replay() {
  local want=$1 trace=$2
  shift 2
  expect "$want" replay --trace "$traces_dir/$trace" "$@" --quiet --json run.json \
    --results results.db --keep-requests 100
}

# --- every line becomes a request, and every request ends
policies=(vllm-v0-recompute vllm-v0-swap 'vllm-v0-recompute,chunked=on'
  'vllm-v0-swap,chunked=on' vllm-v1 'vllm-v1,full_isl=off')
for trace in "${trace_files[@]}"; do
  read -ra pool <<<"${tight[$trace]}"
  for policy in "${policies[@]}"; do
    replay 0 "$trace" "${pool[@]}" --policy "$policy"
    same 'lines' "$(data_lines "$trace")" $(($(figure n_requests) + $(figure n_skipped_lines)))
    same 'requests that ended' "$(figure n_requests)" \
      $(($(figure n_finished) + $(figure n_rejected)))
    same 'preempts' 1 $(($(figure n_preemptions) > 0))
  done
done
same 'runs that finished' $((${#trace_files[@]} * ${#policies[@]})) \
  "$(sqlite3 results.db "select count(*) from run where outcome = 'finished'")"

# --- a full host pool ends vLLM V0, and only vLLM V0
for trace in "${trace_files[@]}"; do
  read -ra pool <<<"${tight[$trace]}"
  replay 1 "$trace" "${pool[@]}" --policy vllm-v0-swap --host-blocks 8
  said 'vLLM V0 aborts: no room on the host.*host_full=recompute'
  same 'outcome' aborted "$(figure outcome)"
  same 'stored outcome' aborted \
    "$(sqlite3 results.db 'select outcome from run order by id desc limit 1')"
  replay 0 "$trace" "${pool[@]}" --policy vllm-v0-swap,host_full=recompute --host-blocks 8
  same 'requests that ended' "$(figure n_requests)" \
    $(($(figure n_finished) + $(figure n_rejected)))
done

# --- what an unbounded prefix cache finds of Mooncake's conversations
# By its ids, 36.6 % of all blocks came before. The cache keeps full blocks only and never gives
# a whole prompt, as one token at least must be computed for the first output; so it finds less.
# A request that is admitted finds all blocks of those before it: they have been planned.
mooncake=mooncake_conversation.jsonl
expect 0 trace stat "$traces_dir/$mooncake"
said 'reused with an unbounded cache 36\.6 %'
read -r expected n_ids < <(awk '
  {
    match($0, /"input_length": *[0-9]+/)
    n_prompt = substr($0, RSTART, RLENGTH)
    sub(/.*[: ]/, "", n_prompt)
    ids = $0
    sub(/.*"hash_ids": *\[/, "", ids)
    sub(/\].*/, "", ids)
    n_ids += split(ids, id, /, */)
    n_may_hit = int((n_prompt - 1) / 512)
    for (n = 0; n < n_may_hit && ((n, id[n + 1]) in seen); n++) hit += 512
    for (n = 0; n < int(n_prompt / 512); n++) seen[n, id[n + 1]]
  }
  END { printf "%d %d\n", hit, n_ids }' "$traces_dir/$mooncake")
for rate in 0.5 6; do
  replay 0 "$mooncake" --policy vllm-v1 --block-size 512 --kv-blocks 400000 \
    --max-model-len 131072 --rate "$rate"
  same 'requests that finished' "$(data_lines "$mooncake")" "$(figure n_finished)"
  same 'tokens that the cache gave' "$expected" "$(figure prefix_hit_tokens)"
done
echo "prefix cache: $expected tokens, $((expected / 512)) of $n_ids blocks"
