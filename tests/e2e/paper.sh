#!/usr/bin/env bash
# paper.sh - experiments/paper/ at a small scale: what the tables say follows from the runs.
#
# usage: tests/e2e/paper.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
if ! [[ $(parallel --version 2>/dev/null </dev/null) = *'GNU parallel'* ]] || ! command -v gnuplot >/dev/null; then
  echo 'paper.sh: GNU parallel or gnuplot is missing: experiments/install_packages.sh sweep'
  exit 77
fi
paper=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../experiments/paper")
out=$work/out
scale=(--program "$program" --out "$out" --page "$work/page.md" --requests 300 --jobs 2)
options=("${scale[@]}" --cases llama-2-7b_h200_sharegpt --seeds 2
  --roles 'v0-recompute,v0-swap,v1,adaptive,bound' --as 'adaptive=vllm-v1,watermark=0.02'
  --as 'bound=vllm-v1,watermark=0.05')
program=bash # so that expect runs the scripts

fail() {
  printf 'paper.sh: %s\n' "$1" >&2
  exit 1
}

query() { # DB SQL
  sqlite3 -batch -noheader -bail "$out/$1.db" "$2"
}

# same WHAT ONE OTHER: two numbers agree to a millionth.
same() {
  awk -v a="$2" -v b="$3" 'BEGIN { d = a - b; exit !(a != "" && d < 1e-6 * b && -d < 1e-6 * b) }' ||
    fail "$1: $2 instead of $3"
}

# of_run FIGURE POLICY LOAD SEED [LEVEL]: from the runs as they are stored, found by their settings.
of_run() {
  local load="settings ->> 'rate' IS NULL" pool
  [ "$3" = all ] || load="abs(settings ->> 'rate' - $3 * $capacity / 100) < 1e-4"
  pool=$(awk -v level="${5:-p25}" '$2 == level { print $3 }' "$out/memory.tsv")
  query results "SELECT $1 FROM run WHERE policy = '$2' AND seed = $4 AND $load
    AND settings ->> 'kv_blocks' = $pool"
}

measured() { # COLUMN POLICY LOAD NAME
  query tables "SELECT $1 FROM measure WHERE level = 'p25' AND variant = '' AND policy = '$2'
    AND load = '$3' AND name = '$4'"
}

# --- what is misuse
expect 2 "$paper/page.sh" "${scale[@]}" --cases llama-2-7b
said "^page\.sh: a case is MODEL_DEVICE_WORKLOAD, not 'llama-2-7b'"
expect 2 "$paper/page.sh" "${scale[@]}" --sedes 2
said "^page\.sh: no option '--sedes'"
expect 2 "$paper/page.sh" "${scale[@]}" --seeds 0
said '^page\.sh: --requests, --seeds and --jobs are numbers above 0'
expect 2 "$paper/throughput.sh" "${options[@]}" --as fastest=vllm-v1
said '^throughput\.sh: --as fastest=vllm-v1: there is no such role'

# --- the page, from nothing
expect 0 "$paper/page.sh" "${options[@]}"
said '^ *[0-9]+ s  wrote '
for figure in throughput.png turnaround.svg; do
  [ -s "$work/page/$figure" ] || fail "there is no $figure"
done
expect 2 "$paper/page.sh" "${options[@]}" --requests 200
said 'was made with --requests 300'

# --- the pools preempt what they are named for, as a run by hand shows
adaptivellm=$(realpath "$1")
while read -r _ level blocks _ share _; do
  preempted=0
  for seed in 1 2; do
    "$adaptivellm" replay --device h200 --model llama-2-7b --noise 0.005 --seed "$seed" --quiet \
      --workload sharegpt,n=300,arrival=all-at-once --host-gib 256 --kv-blocks "$blocks" \
      --policy vllm-v0-recompute --results "$work/own-$level-$seed.db"
    preempted=$(sqlite3 "$work/own-$level-$seed.db" "SELECT $preempted +
      0.5 * sum(n_preemptions > 0) / count(*) FROM request WHERE outcome = 'finished'")
  done
  awk -v a="$preempted" -v b="$share" 'BEGIN { exit !(a - b < 1e-4 && b - a < 1e-4) }' ||
    fail "$level: $share of the requests are preempted in the table, $preempted by hand"
  case $level in
    p10 | p25 | p50) awk -v a="$preempted" -v b="0.${level#p}" 'BEGIN { d = a - b; exit !(d * d < 4e-4) }' ||
      fail "$level preempts $preempted" ;;
  esac
done < <(sed 1d "$out/memory.tsv")
grep -q p25 "$out/memory.tsv" || fail 'there is no pool p25'

# --- capacity, ratios and shares of gaps, with their spread, from the runs
capacity=$(awk '$2 == "p25" { print $3 }' "$out/capacity.tsv")
n=$(query results 'SELECT count(*) FROM run')
[ "$n" = "$(query results 'SELECT count(DISTINCT label) FROM run')" ] || fail 'runs are doubled'
ours=vllm-v1,watermark=0.02
sums='SELECT 0' lows='' wide='SELECT NULL AS gap' recompute=0 swap=0
for seed in 1 2; do
  a=$(of_run request_throughput_per_s vllm-v0-recompute all "$seed")
  b=$(of_run request_throughput_per_s vllm-v0-swap all "$seed")
  c=$(of_run request_throughput_per_s "$ours" all "$seed")
  d=$(of_run request_throughput_per_s vllm-v1,watermark=0.05 all "$seed")
  sums+=" + 0.5 * $c / max($a, $b)"
  lows+="${lows:+, }$c / max($a, $b)"
  wide+=" UNION ALL SELECT 100 * ($c - max($a, $b)) / ($d - max($a, $b)) AS gap
    WHERE $d > 1.01 * max($a, $b)"
  recompute+=" + 0.5 * $a" swap+=" + 0.5 * $b"
done
same 'throughput over better V0' "$(measured mean "$ours" all throughput/v0)" "$(query results "$sums")"
same 'its lowest' "$(measured low "$ours" all throughput/v0)" "$(query results "SELECT min($lows)")"
same 'its highest' "$(measured high "$ours" all throughput/v0)" "$(query results "SELECT max($lows)")"
awk "BEGIN { a = $recompute; b = $swap; m = a > b ? a : b; d = m - $capacity; exit !(d * d < 1e-9 * m * m) }" ||
  fail "the capacity is $capacity, the runs have $recompute and $swap"
gap=$(query results "SELECT avg(gap) FROM ($wide)")
[ -n "$gap" ] || fail 'the gap is narrow for all seeds: take another bound'
same 'share of the gap' "$(measured mean "$ours" all 'throughput gap')" "$gap"
for load in 110 100 90 70; do
  sums='SELECT 0'
  for seed in 1 2; do
    a=$(of_run weighted_turnaround_mean vllm-v0-recompute "$load" "$seed")
    b=$(of_run weighted_turnaround_mean vllm-v0-swap "$load" "$seed")
    c=$(of_run weighted_turnaround_mean "$ours" "$load" "$seed")
    sums+=" + 0.5 * $c / min($a, $b)"
  done
  same "turnaround at $load %" "$(measured mean "$ours" "$load" turnaround/v0)" "$(query results "$sums")"
done
text=$(measured text "$ours" all throughput/v0-swap)
grep -F llama-2-7b_h200_sharegpt "$work/page.md" | grep -F "| p25" | grep -qF " $text " ||
  fail "the page does not say $text"

# --- the same again runs nothing; so does a run after its marks are lost
expect 0 "$paper/page.sh" "${options[@]}"
rm "$out"/sweeps/done/*_open.*
expect 0 "$paper/turnaround.sh" "${options[@]}"
[ "$n" = "$(query results 'SELECT count(*) FROM run')" ] || fail 'runs were made twice'

# --- one run less is one run to do
query results "PRAGMA foreign_keys = ON; DELETE FROM run WHERE id = (SELECT max(id) FROM run)"
rm "$out"/sweeps/done/*
expect 0 "$paper/turnaround.sh" "${options[@]}"
[ "$n" = "$(query results 'SELECT count(*) FROM run')" ] || fail 'a run that was lost was not made again'
echo "$n runs, the tables follow from them"
