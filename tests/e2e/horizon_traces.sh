#!/usr/bin/env bash
# horizon_traces.sh - recorded traces give the same log with and without the horizon.
#
# usage: tests/e2e/horizon_traces.sh ADAPTIVELLM [--full]
# --full replays whole traces under more settings instead of the first 1500 requests.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
. "$(dirname "${BASH_SOURCE[0]}")/shared_traces.sh"

policies=(vllm-v0-recompute vllm-v0-swap 'vllm-v0-swap,chunked=on,host_full=recompute' vllm-v1)
limit=(--limit 1500)
if [ "${2:-}" = --full ]; then
  policies+=('vllm-v0-recompute,fcfs_resort=on' 'vllm-v1,full_isl=off,watermark=0.01'
    'vllm-v1,prefix_cache=off,long_prefill_threshold=512' nano-vllm trtllm-no-evict
    trtllm-max-utilization)
  limit=()
fi

for trace in "${trace_files[@]}"; do
  read -ra pool <<<"${tight[$trace]}"
  for policy in "${policies[@]}"; do
    settings=(--trace "$traces_dir/$trace" "${pool[@]}" "${limit[@]}" --policy "$policy"
      --noise 0.02 --quiet)
    expect 0 replay "${settings[@]}" --log "$work/with.log"
    expect 0 replay "${settings[@]}" --log "$work/without.log" --no-horizon
    if ! cmp -s "$work/with.log" "$work/without.log"; then
      echo "$policy on $trace: with the horizon (<) and without (>) differ from here:" >&2
      diff "$work/with.log" "$work/without.log" | head -n 6 >&2
      exit 1
    fi
  done
done
