#!/usr/bin/env bash
# self_consistency.sh - how well the predictor learns virtual devices; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
usage: experiments/self_consistency.sh [OUTPUT]

For a few devices and models: profiles the simulated device with 0.5 % noise on every
time, fits, then replays requests it has never seen, once as it is and once on a device
that gets 20 % slower in mid-run. Writes a table to OUTPUT (results/self_consistency.md).
Takes about 20 s.
EOF
}
case ${1:-} in
  -h | --help) usage && exit 0 ;;
  -*) usage >&2 && exit 2 ;;
esac
output=${1:-results/self_consistency.md}

experiments/install_packages.sh quickstart
[ -f build/build.ninja ] || meson setup build >/dev/null
meson compile -C build -j "${JOBS:-2}" adaptivellm >/dev/null
program=build/experiments/adaptivellm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# percent FILE JSON_PATH: a fraction out of a JSON file, in percent.
percent() {
  sqlite3 :memory: "SELECT printf('%.2f', 100 * json_extract(readfile('$1'), '$2'))"
}

row() { # DEVICE MODEL
  local device=$1 model=$2 db="$work/$1-$2.db" seconds
  local common=(--device "$device" --model "$model" --noise 0.005 --host-gib 64)
  "$program" profile "${common[@]}" --profile "$db" --quiet
  seconds=$({ TIMEFORMAT=%R; time "$program" fit --profile "$db" --device "$device" \
    --model "$model" --quiet --json "$work/fit.json"; } 2>&1)
  local replay=("$program" replay --workload sharegpt,n=2000 --rate 8 --max-seqs 128 "${common[@]}"
    --profile "$db")
  "${replay[@]}" --json "$work/replay.json" --quiet
  "${replay[@]}" --drift 1.2@60 >"$work/drift.txt"
  local off
  off=$(sed -nE 's/.*mean of [0-9]+\): ([0-9]+) iterations.*/\1/p' "$work/drift.txt")
  printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$device" "$model" \
    "$(percent "$work/fit.json" '$.iteration.mape')" \
    "$(percent "$work/fit.json" '$.swap_out.mape')" \
    "$(percent "$work/fit.json" '$.swap_in.mape')" \
    "$(percent "$work/replay.json" '$.predictor_mape_iteration')" "$off" "$seconds"
}

{
  cat <<'EOF'
# The predictor on virtual devices

Made by `experiments/self_consistency.sh`. Every time of the simulated device carries 0.5 % noise
(standard deviation), so the mean absolute error of a perfect prediction of single iterations is
0.4 %. The predictor sees what `profile` measured, never the simulator's formulas.

Held out: 5-fold cross-validation over the samples, mean absolute percentage error, %. Replay: error
over all iterations of 2,000 ShareGPT-like requests that the fit never saw, %. Slow-down: the device
gets 20 % slower after 60 s; iterations at whose end the mean error of the last 50 was above 2 %.
Fit: wall seconds of all fits of the device and model.

| device | model | iteration, held out | swap out | swap in | replay | slow-down | fit, s |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
EOF
  row h200 llama-3-8b
  row h200 llama-2-7b
  row h200 opt-13b
  row h100-80g llama-2-7b
  row a100-40g llama-2-7b
  row a100-80g llama-2-13b
  row l40s mistral-7b
  row rtx4090 opt-6.7b
  row rtx-pro-6000 llama-3-8b
} >"$work/table.md"
mv "$work/table.md" "$output"
echo "wrote $output"
