#!/usr/bin/env bash
# quickstart.sh - from a bare machine to a table and figures; see --help.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: experiments/quickstart.sh [TRACE]

Installs what is missing, builds, and serves a request stream on a simulated H200 with a
tight KV cache under vllm-v0-recompute, vllm-v0-swap, vllm-v1 and adaptive; then the same at
five request rates; then a small random model, computed on this machine. Without TRACE the requests are generated after the ShareGPT data. TRACE is
a file that `adaptivellm trace stat` reads, gzip or not; of a long one the first 10,000
requests are taken.

Prints one table and writes into out/: results.db, and the figures as PNG and SVG.
EOF
}

case ${1:-} in
  -h | --help) usage && exit 0 ;;
  -*) usage >&2 && exit 2 ;;
esac
[ $# -le 1 ] || { usage >&2 && exit 2; }
trace=${1:+$(realpath "$1")}
[ -z "$trace" ] || [ -r "$trace" ] || { echo "quickstart.sh: cannot read $1" >&2 && exit 1; }
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# quietly COMMAND...: its output only where it fails.
quietly() {
  local output
  output=$("$@" 2>&1) || { printf '%s\n' "$output" >&2 && return 1; }
}

echo '1/5 packages and build'
experiments/install_packages.sh quickstart
[ -f build/build.ninja ] || quietly meson setup build
quietly meson compile -C build -j "${JOBS:-2}" adaptivellm
program=build/experiments/adaptivellm
ln -sfn experiments/adaptivellm build/adaptivellm
mkdir -p out

policies=(vllm-v0-recompute vllm-v0-swap vllm-v1 adaptive)
if [ -n "$trace" ]; then
  stream=(--trace "$trace" --limit 10000)
else
  # Near the most that the device below can serve, so that policies differ.
  stream=(--workload 'sharegpt,rate=28' --limit 10000)
fi
started=$(date -u +%FT%TZ) # sets this call's runs apart from earlier ones

# replay LABEL POLICY OPTION...: exit 1 is a result too (vLLM V0 stops when host memory is full),
# which is stored and in the table.
replay() {
  local label="$1 $started" policy=$2
  shift 2
  # Ours asks a predictor: it is measured and fitted by the first run that needs it.
  [ "$policy" != adaptive ] || set -- "$@" --auto-profile --profile out/profiles.db
  "$program" replay "${stream[@]}" --policy "$policy" --device h200 --model llama-3-8b --quiet \
    --results out/results.db --label "$label" "$@" || echo "  $policy ended early, see above"
}

# Of the latest run.
sql() {
  sqlite3 -batch out/results.db "SELECT $1 run_id = (SELECT max(id) FROM run)"
}

echo '2/5 the stream with all of the device memory, then with a tight KV pool'
replay quickstart-plenty vllm-v1
# Tight: little above what the stream holds on average when memory is plenty, so that its peaks do
# not fit; but enough for the longest request that the model takes (8,192 tokens, 512 blocks).
pool=$(sql 'max(512, CAST(1.4 * avg(kv_used_blocks) AS INTEGER)) FROM sample WHERE')
own_rate=$(sql '(count(*) - 1) / (max(arrival_s) - min(arrival_s)) FROM request WHERE')
for policy in "${policies[@]}"; do
  replay quickstart "$policy" --kv-blocks "$pool"
done

echo '3/5 the same at five rates'
[ -n "$own_rate" ] || echo '  left out: all requests come at once, so there is no rate'
for factor in ${own_rate:+0.4 0.7 1 1.3 1.6}; do
  rate=$(awk -v r="$own_rate" -v f="$factor" 'BEGIN { printf "%.3g", r * f }')
  for policy in "${policies[@]}"; do
    replay quickstart-rates "$policy" --kv-blocks "$pool" --rate "$rate"
  done
done

echo "4/5 table and figures; the KV pool has $pool blocks of 16 tokens"
"$program" compare --results out/results.db --label "quickstart $started"
plots/render.sh out/results.db out
echo '5/5 a small random model, computed on this machine with a tight KV pool'
rm -rf out/tiny out/cpu.db
small=(--model out/tiny --max-seqs 32 --max-model-len 256 --max-batched-tokens 512)
quietly "$program" models init llama --layers 2 --hidden 128 --heads 4 --kv-heads 2 --vocab 1024 out/tiny
quietly "$program" profile --backend cpu "${small[@]}" --kv-blocks 600 --host-blocks 600 \
  --iterations 80 --copies 24 --copies-beside 8 --repeats 4 --precision 0.2 --profile out/cpu.db --quiet
quietly "$program" fit --profile out/cpu.db --device cpu --model tiny --quiet
for policy in vllm-v1 vllm-v0-swap adaptive; do
  "$program" replay --backend cpu "${small[@]}" --workload fixed,prompt=48,output=64 --arrival all-at-once \
    --limit 64 --kv-blocks 60 --host-blocks 400 --policy "$policy" --profile out/cpu.db \
    --deterministic --outputs "out/tokens.$policy" --quiet --results out/results.db \
    --label "quickstart-cpu $started"
  cmp out/tokens.vllm-v1 "out/tokens.$policy"
  sqlite3 -batch out/results.db "SELECT printf('  %-14s %3d preemptions, %4d blocks swapped in, ' ||
    '%5d tokens recomputed, mean weighted turnaround %.2f', policy, n_preemptions, n_swap_in_blocks,
    recomputed_tokens, weighted_turnaround_mean) FROM run ORDER BY id DESC LIMIT 1"
done
echo '  the same tokens came out under each policy, whatever was swapped or recomputed'
cat <<EOF

Look at out/cdf_weighted_turnaround.png (the price of waiting and preemption, by policy),
out/timeline.png (KV cache and queues over time) and out/rate_sweep.png. All runs are in
out/results.db. To see every figure of these, or to make more:
  $program compare --results out/results.db --label 'quickstart $started' --all
  $program replay --help
EOF
