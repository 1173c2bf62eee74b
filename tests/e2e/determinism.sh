#!/usr/bin/env bash
# determinism.sh - equal seeds and settings give equal logs from differently built binaries.
#
# usage: tests/e2e/determinism.sh ADAPTIVELLM [OTHER_BUILD...]
# With one binary it is compared with itself: two runs, the second with another environment.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
builds=("$@")
[ $# -gt 1 ] || builds+=("$1")

policies=(vllm-v0-recompute vllm-v0-swap vllm-v1)
workloads=('sharegpt,rate=40' 'longdoc,rate=8') # both preempt below
n=0
for policy in "${policies[@]}"; do
  for workload in "${workloads[@]}"; do
    first=
    for i in "${!builds[@]}"; do
      program=$(realpath "${builds[i]}")
      log=$work/$i.log
      RUN_NUMBER=$i expect 0 replay --workload "$workload" --limit 300 --seed 7 --device h200 \
        --model llama-3-8b --policy "$policy" --kv-blocks 1500 --noise 0.03 --log "$log" --quiet
      [ -s "$log" ] || { echo "$program wrote no log" >&2 && exit 1; }
      if [ -z "$first" ]; then
        first=$log
      elif ! cmp "$first" "$log"; then
        echo "$policy on $workload: ${builds[0]} and ${builds[i]} differ from here:" >&2
        diff "$first" "$log" | head -n 5 >&2
        exit 1
      fi
      n=$((n + 1))
    done
  done
done
echo "$n logs, equal for equal settings"
