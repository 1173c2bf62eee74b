#!/usr/bin/env bash
# decision_regret.sh - what wrong predictions cost when swap or recompute is chosen; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
usage: experiments/decision_regret.sh [OUTPUT]

For a few devices and models: profiles the simulated device with 0.5 % noise on every time,
fits, lets the fits choose between swap and recompute in random cases, runs both choices to
their ends, and writes to OUTPUT (results/decision_regret.md) what the choices lost.
CASES (10000) and SEED (1) come from the environment. Takes about 90 s.
EOF
}
case ${1:-} in
  -h | --help) usage && exit 0 ;;
  -*) usage >&2 && exit 2 ;;
esac
output=${1:-results/decision_regret.md}
cases=${CASES:-10000}
seed=${SEED:-1}
echo "SEED=$seed"

experiments/install_packages.sh quickstart
[ -f build/build.ninja ] || meson setup build >/dev/null
meson compile -C build -j "${JOBS:-2}" adaptivellm decision_regret >/dev/null
program=build/experiments/adaptivellm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rows() { # DEVICE MODEL
  local device=$1 model=$2 db="$work/$1-$2.db"
  "$program" profile --device "$device" --model "$model" --noise 0.005 --host-gib 64 \
    --seed "$seed" --profile "$db" --quiet
  "$program" fit --profile "$db" --device "$device" --model "$model" --quiet
  build/tests/decision_regret "$db" "$device" "$model" "$cases" "$seed"
}

{
  rows h200 llama-3-8b
  rows h200 llama-2-7b
  rows h200 opt-13b
  rows h100-80g llama-2-7b
  rows a100-40g llama-2-7b
  rows a100-80g llama-2-13b
  rows l40s mistral-7b
  rows rtx4090 opt-6.7b
  rows rtx-pro-6000 llama-3-8b
} >"$work/rows.md"

# table NUMBER: its rows.
table() {
  sed -n "s/^$1 //p" "$work/rows.md"
}

{
  cat <<EOF
# What wrong choices cost: swap or recompute

Made by \`experiments/decision_regret.sh\` (CASES=$cases SEED=$seed), for each device and model.

A case: a sequence of 16 to 6,000 tokens whose KV is on the host, with tokens still to generate;
0 to 128 others that decode, each with its own context and tokens to come; copies queued on the
link; the other direction busy in a quarter of the cases; 512, 2,048 or 8,192 tokens per
iteration. It is copied back beside the decodes, or computed again in chunks beside them. Both
ways are run to the end of all sequences on the virtual device with 0.5 % noise, equal in both;
the better one has the smaller sum of finish times. Half of the cases are near the crossover: the
prices of the two ways are within 25 % of each other. A price is what a way adds to the sum of
finish times of a run in which the KV is on the device already.

The predictor sees what \`profile\` measured with 0.5 % noise, never the simulator's formulas. It
predicts both totals from the batch, the queue and the lengths to come, which are taken as known:
this is about times, not about lengths.

Wrong: choices that were not the better one. Lost: sum over all cases of what the choice took
beyond the better one, as a share of what the better ones took, in % of all finish times and in
% of the prices alone. The second is the stricter: it leaves out the decoding that no choice
changes. Near: the cases near the crossover alone. Worst: the most that one case lost, in % of its
finish times, and (it may be another case) in ms of their sum.

| device | model | swap is better, % | wrong, anywhere, % | wrong, near, % | lost of total, % | lost of prices, % | of prices, near, % | worst, % | worst, ms | always swap: of total | of prices | always recompute: of total | of prices |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
EOF
  table 1
  cat <<'EOF'

## Predictions made wrong

Lost of the total, % (of the prices, %). -/+: copies are believed to be that much cheaper and
recomputed chunks that much dearer than predicted; +/-: the reverse; random: each wrong by its own
factor, anew in each case, uniform up to that much either way.

| device | model | 5 %: -/+ | +/- | random | 10 %: -/+ | +/- | random | 20 %: -/+ | +/- | random |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
EOF
  table 2
  cat <<'EOF'

## The other measures

The sum of finish times decides which way is better. This is by how much, in %, the makespan and
the finish of the restored sequence alone are longer than under the better choices. Negative: a
choice that is worse for all together may be better for one.

| device | model | always swap: makespan | restored | always recompute: makespan | restored | predicted: makespan | restored |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
EOF
  table 3
} >"$work/table.md"
mv "$work/table.md" "$output"
echo "wrote $output"
