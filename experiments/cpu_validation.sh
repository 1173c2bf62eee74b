#!/usr/bin/env bash
# cpu_validation.sh - the simulator against the CPU engine of this machine; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
usage: experiments/cpu_validation.sh [OUTPUT]

Profiles the CPU engine with a random Llama of 29 million parameters, fits the predictor, serves
one trace under four policies on the engine and on a device simulated from that profile, and
writes errors and the machine's own noise to OUTPUT (results/cpu_validation.md). Takes about 8
minutes, and is worth what the machine's quiet is worth.
BUILD (build) is the build folder; ITERATIONS (120), COPIES (40) and COPIES_BESIDE (80, beside
iterations) are points of each profile.
EOF
}
case ${1:-} in
  -h | --help) usage && exit 0 ;;
  -*) usage >&2 && exit 2 ;;
esac
output=${1:-results/cpu_validation.md}
build=${BUILD:-build}
iterations=${ITERATIONS:-120} copies=${COPIES:-40} copies_beside=${COPIES_BESIDE:-80}

experiments/install_packages.sh quickstart
[ -f "$build/build.ninja" ] || meson setup "$build" >/dev/null
ninja -C "$build" experiments/adaptivellm >/dev/null
program=$build/experiments/adaptivellm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { echo "$((SECONDS)) s  $*" >&2; }

"$program" models init llama --layers 6 --hidden 512 --heads 8 --vocab 4096 "$work/tiny" >/dev/null
limits=(--model "$work/tiny" --max-seqs 32 --max-batched-tokens 512 --max-model-len 512)

profile() { # SEED DB
  say "profile, seed $1"
  "$program" profile --backend cpu --threads 1 "${limits[@]}" --kv-blocks 1200 --host-blocks 600 \
    --iterations "$iterations" --copies "$copies" --copies-beside "$copies_beside" --precision 0.02 --repeats 10 --seed "$1" \
    --profile "$2" --quiet
}
for seed in 1 2 3; do profile "$seed" "$work/profiles.db"; done
profile 1 "$work/again.db"
"$program" fit --profile "$work/profiles.db" --device cpu --model tiny --quiet

sql() { sqlite3 -batch -bail "$work/$1" "$2"; }
# Held-out error, repeat noise, and the distance of the same points measured minutes apart.
predictor_rows() {
  sql profiles.db "
    ATTACH '$work/again.db' AS again;
    WITH pair AS (SELECT operation, abs(b.seconds / a.seconds - 1) AS d,
        percent_rank() OVER (PARTITION BY operation ORDER BY abs(b.seconds / a.seconds - 1)) AS rank
      FROM sample AS a JOIN again.sample AS b USING (id, operation) WHERE a.profile_id = 1),
    distance AS (SELECT operation, avg(d) AS mean, max(d) FILTER (WHERE rank <= 0.5) AS median
      FROM pair GROUP BY operation),
    repeats AS (SELECT operation, avg(deviation_s / seconds) AS deviation FROM sample GROUP BY operation)
    SELECT printf('| %s | %.1f | %.1f | %.1f, %.1f |', operation, 100 * held_out_mape, 100 * deviation,
        100 * mean, 100 * median)
      FROM fit JOIN distance USING (operation) JOIN repeats USING (operation) ORDER BY fit.id"
}

serve() { # BACKEND POLICY OPTION...
  local backend=$1 policy=$2
  shift 2
  "$program" replay --backend "$backend" --device cpu "${limits[@]}" --workload alpaca,arrival=all-at-once \
    --limit 160 --seed 5 --kv-blocks 150 --host-blocks 1200 --policy "$policy" \
    --profile "$work/profiles.db" --results "$work/results.db" --label "$policy" --quiet "$@" >/dev/null
}
policies=(vllm-v0-recompute vllm-v0-swap vllm-v1 adaptive)
for policy in "${policies[@]}"; do
  say "$policy"
  serve cpu "$policy" --threads 1
  serve sim "$policy" --latency measured --noise 0
  serve cpu "$policy" --threads 1
done

# A line for each policy: engine, engine again, simulation, its error, the engine's spread.
rows_of() { # FIGURE TEXT
  sql results.db "
    WITH side AS (SELECT policy, min(id) AS first, max(id) AS last FROM run GROUP BY policy)
    SELECT printf('| %s | %s | %.4g | %.4g | %.4g | %s | %.1f |', a.policy, '$2', a.$1, b.$1, s.$1,
        ifnull(printf('%+.1f', 100 * (2.0 * s.$1 / (a.$1 + b.$1) - 1)), '-'),
        200.0 * abs(a.$1 - b.$1) / max(a.$1 + b.$1, 1e-9))
      FROM side JOIN run AS a ON a.id = first JOIN run AS b ON b.id = last
        JOIN run AS s ON s.policy = a.policy AND s.backend = 'sim' ORDER BY first"
}

mkdir -p "$(dirname "$output")"
{
  cat <<EOF
# The simulator against the CPU engine

Made by \`experiments/cpu_validation.sh\` on $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, one thread of compute and one
per direction of copies. A random Llama of 29 million parameters in float32 (24 KiB of KV per token).

## The predictor on this machine

Fitted to three profiles of $iterations batches, $copies copies and $copies_beside copies beside batches, 5-fold cross-validation. The
machine's own noise stands beside it: one repeat against the next, and the same points measured again minutes later, which no fit can beat.

| operation | held-out error, % | standard deviation of a repeat, % | measured again: mean, median distance, % |
| --- | ---: | ---: | ---: |
EOF
  predictor_rows
  cat <<EOF

An iteration of new tokens is what a recompute costs: batches of the profile are chunks, decodes, and both.

## One trace, four policies

160 requests with lengths like Alpaca's, all at once, 150 KV blocks. The simulated device looks its times up in the
profile above (\`--latency measured\`) and runs the same policy. The engine ran before and after the simulation:
error is that of the simulation to the mean of both, spread their distance.

| policy | figure | engine | engine again | simulated | error, % | spread, % |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
EOF
  rows_of output_throughput_tokens_per_s 'output tokens/s'
  rows_of ttft_s_mean 'TTFT, mean, s'
  rows_of tpot_s_mean 'TPOT, mean, s'
  rows_of turnaround_s_mean 'turnaround, mean, s'
  rows_of turnaround_s_p99 'turnaround, p99, s'
  rows_of n_preemptions 'preemptions'
} >"$output"
say "wrote $output"
