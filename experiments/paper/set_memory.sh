#!/usr/bin/env bash
# set_memory.sh - finds KV pools in which vLLM V0 preempts a given share of the requests.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/set_memory.sh [OPTION...]

For each case, finds the pools in which vllm-v0-recompute, with all requests at once, preempts
10, 25 and 50 % of the requests that it serves (mean over the seeds; a request counts once),
by cutting intervals of --kv-blocks. Writes DIR/memory.tsv; a case in it is left as it is.

A share that no pool reaches is not in the table, with the reason in DIR/memory_notes.tsv:
admission-bound (the smallest pool that holds the longest request of the model preempts fewer:
prompts wait instead), or short (all the memory of the device preempts more).
END
}

grid_points=12   # of the first pass
inner_points=4   # within an interval, in each of the passes after it
n_passes=4
close_enough=0.004

# Prints whole numbers from low to high in equal ratios.
geometric() { # LOW HIGH N
  awk -v a="$1" -v b="$2" -v n="$3" 'BEGIN {
    for (i = 0; i < n; i++) printf "%d\n", a * (b / a) ^ (i / (n - 1)) + 0.5 }' | uniq
}

# Sets low to the smallest pool that holds a request of the model's full context beside the
# watermark of vLLM V0, and whole to what the device holds.
find_limits() {
  local context
  context=$("$program" models | awk -v name="$model" '$1 == name { print $11 }')
  low=$(awk "BEGIN { print int($context / 16 / 0.98) + 2 }")
  "$program" replay --workload fixed,n=1 --device "$device" --model "$model" --quiet \
    --json "$out/limits.json"
  whole=$(query :memory: "SELECT json_extract(readfile('$out/limits.json'), '\$.settings.kv_blocks')")
  [ "$whole" -gt "$low" ] || stop 1 "$model on $device: a full context does not fit"
}

# Keeps the share of each run and forgets the rows of its requests.
harvest() {
  query "$out/memory.db" "
    CREATE TABLE IF NOT EXISTS pool(run_id INTEGER PRIMARY KEY, case_name TEXT, kv_blocks INTEGER,
      seed INTEGER, share REAL);
    INSERT INTO pool(run_id, case_name, kv_blocks, seed, share)
      SELECT id, replace(substr(label, 7, length(label) - 23), '_memory', ''),
        settings ->> 'kv_blocks', seed,
        (SELECT 1.0 * sum(n_preemptions > 0) / count(*) FROM request WHERE run_id = id
          AND request.outcome = 'finished')
      FROM run WHERE outcome = 'finished' AND id NOT IN (SELECT run_id FROM pool);
    DELETE FROM request;"
}

# Serves the case in pools of these sizes.
try() { # CASE KV_BLOCKS...
  local name=$1
  shift
  write_sweep "$out/sweeps/${name}_memory.sweep" "device=$device" "model=$model" "noise=$noise" \
    "workload=$workload,n=$requests,arrival=all-at-once" "host-gib=$(host_gib_of "$device")" \
    policy=vllm-v0-recompute -- "seed = ${seeds[*]}" "kv-blocks = $*"
  run_sweep "$out/memory.db" "$out/sweeps/${name}_memory.sweep" "$name, $# pools"
  harvest
}

# Prints what is known of a case: the largest pool that preempts a share, and the next larger.
bracket() { # CASE SHARE
  query "$out/memory.db" "
    WITH one AS (SELECT kv_blocks, avg(share) AS share FROM pool WHERE case_name = '$1'
        AND seed <= ${seeds[-1]} GROUP BY kv_blocks HAVING count(*) = ${seeds[-1]}),
      low AS (SELECT max(kv_blocks) AS b FROM one WHERE share >= $2)
    SELECT b || ' ' || ifnull((SELECT min(kv_blocks) FROM one WHERE kv_blocks > b), 0)
    FROM low WHERE b IS NOT NULL AND (SELECT min(abs(share - $2)) FROM one) > $close_enough;"
}

refine() { # CASE
  local pass share a b inner
  for ((pass = 1; pass < n_passes; pass++)); do
    inner=''
    for share in 0.1 0.25 0.5; do
      read -r a b < <(bracket "$1" "$share") || continue
      [ "$b" -gt $((a + 1)) ] || continue
      inner+=" $(geometric "$a" "$b" $((inner_points + 2)) | sed '1d;$d' | tr '\n' ' ')"
    done
    inner=$(tr ' ' '\n' <<<"$inner" | sort -nu | tr '\n' ' ')
    [ -n "${inner// /}" ] || return 0
    # shellcheck disable=SC2086 # sizes are words
    try "$1" $inner
  done
}

# Chooses the pool of a level; nothing, and a note, where there is none.
choose() { # CASE LEVEL SHARE
  query "$out/memory.db" "
    WITH one AS (SELECT kv_blocks, avg(share) AS share FROM pool WHERE case_name = '$1'
      AND seed <= ${seeds[-1]} GROUP BY kv_blocks HAVING count(*) = ${seeds[-1]})
    SELECT CASE WHEN (SELECT max(share) FROM one) < $3 - 0.02 THEN
        printf('admission-bound: at most %.1f %% are preempted', (SELECT 100 * max(share) FROM one))
      WHEN (SELECT share FROM one WHERE kv_blocks = $whole) > $3 + 0.02 THEN
        printf('short: %.1f %% are preempted with all its memory',
          (SELECT 100 * share FROM one WHERE kv_blocks = $whole))
      ELSE (SELECT kv_blocks FROM one ORDER BY round(abs(share - $3), 2), kv_blocks DESC LIMIT 1) END;"
}

# Prints the row of a pool, with the shares over the seeds.
row() { # CASE LEVEL KV_BLOCKS
  query "$out/memory.db" "SELECT replace(printf('%s %s %d %.4f %.4f %.4f %.4f', '$1', '$2', $3,
    1.0 * $3 / $whole, avg(share), min(share), max(share)), ' ', char(9))
    FROM pool WHERE case_name = '$1' AND kv_blocks = $3 AND seed <= ${seeds[-1]};"
}

find_pools() { # CASE
  local pair level pool kept=() notes=()
  split_case "$1"
  find_limits
  # shellcheck disable=SC2046 # sizes are words
  try "$1" $(geometric "$low" "$whole" "$grid_points")
  refine "$1"
  for pair in 'p10 0.1' 'p25 0.25' 'p50 0.5'; do
    # shellcheck disable=SC2086 # a level and its share
    pool=$(choose "$1" $pair)
    level=${pair% *}
    if [[ $pool =~ ^[0-9]+$ ]]; then
      kept+=("$level $pool")
    else
      notes+=("$1"$'\t'"$level"$'\t'"$pool")
    fi
  done
  for pair in "${kept[@]}" "whole $whole"; do
    # shellcheck disable=SC2086 # a level and its pool
    row "$1" $pair
  done >"$out/memory.new"
  cat "$out/memory.new" >>"$out/memory.tsv"
  [ ${#notes[@]} -eq 0 ] || printf '%s\n' "${notes[@]}" >>"$out/memory_notes.tsv"
}

begin "$@"
[ -f "$out/memory.db" ] || rm -f "$out/memory.tsv" "$out/memory_notes.tsv" "$out"/sweeps/done/*_memory.*
touch "$out/memory_notes.tsv"
[ -f "$out/memory.tsv" ] ||
  printf 'case\tlevel\tkv_blocks\tof_whole\tshare\tshare_low\tshare_high\n' >"$out/memory.tsv"
for name in "${cases[@]}"; do
  [ -z "$(look_up memory.tsv "$name" whole kv_blocks)" ] || continue
  find_pools "$name"
  say "$name: $(awk -F '\t' -v name="$name" '$1 == name { printf "%s %d blocks (%.1f %%)  ", $2, $3, 100 * $5 }' \
    "$out/memory.tsv")$(awk -F '\t' -v name="$name" '$1 == name { printf "%s %s  ", $2, $3 }' "$out/memory_notes.tsv")"
done
