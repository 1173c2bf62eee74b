#!/usr/bin/env bash
# quickstart.sh - from a bare machine to a table and figures; see --help.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: experiments/quickstart.sh [TRACE]

Installs what is missing, builds, and serves a request stream on a simulated H200 with a
tight KV cache under vllm-v0-recompute, vllm-v0-swap and vllm-v1; then the same at five
request rates. Without TRACE the requests are generated after the ShareGPT data. TRACE is
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

echo '1/4 packages and build'
experiments/install_packages.sh quickstart
[ -f build/build.ninja ] || quietly meson setup build
quietly meson compile -C build -j "${JOBS:-2}" adaptivellm
program=build/experiments/adaptivellm
mkdir -p out

# KV for 64,000 tokens, some 120 ShareGPT requests halfway through. At the first of the rates the
# pool is enough; at the last every policy preempts all the time.
pool=4000
policies=(vllm-v0-recompute vllm-v0-swap vllm-v1)
if [ -n "$trace" ]; then
  stream=(--trace "$trace" --limit 10000)
else
  stream=(--workload sharegpt --limit 10000)
fi

started=$(date -u +%FT%TZ) # sets this call's runs apart from earlier ones

# replay LABEL POLICY OPTION...: exit 1 is a result too (vLLM V0 ends when host memory is full),
# stored and in the table as such.
replay() {
  local label="$1 $started" policy=$2
  shift 2
  "$program" replay "${stream[@]}" --policy "$policy" --device h200 --model llama-3-8b \
    --kv-blocks "$pool" --results out/results.db --label "$label" "$@" ||
    echo "  $policy ended early, see above"
}

echo '2/4 three policies on one stream'
for policy in "${policies[@]}"; do
  replay quickstart "$policy" --quiet
done

echo '3/4 the same at five rates'
for rate in 5 10 20 30 40; do
  for policy in "${policies[@]}"; do
    replay quickstart-rates "$policy" --rate "$rate" --quiet
  done
done

echo '4/4 table and figures'
"$program" compare --results out/results.db --label "quickstart $started"
plots/render.sh out/results.db out
cat <<EOF

Look at out/cdf_weighted_turnaround.png (the price of waiting and preemption, by policy),
out/timeline.png (KV cache and queues over time) and out/rate_sweep.png. All runs are in
out/results.db; \`$program compare --results out/results.db --all\` shows every figure of
the latest two, \`$program replay --help\` how to make more.
EOF
