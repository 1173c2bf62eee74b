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
Takes about 20 s. With the tables of measured devices in ../shared/data (or in
$ADAPTIVELLM_SHARED_DATA), one of those too.
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

data=${ADAPTIVELLM_SHARED_DATA:-../shared/data}/profiles/llmservingsim/rtxpro6000

# percent FILE JSON_PATH: a fraction out of a JSON file, in percent.
percent() {
  sqlite3 :memory: "SELECT printf('%.2f', 100 * json_extract(readfile('$1'), '$2'))"
}

# Profiles, fits, replays without and with a slow-down; one line of a table.
row() { # NAME DEVICE MODEL DB OPTION...
  local name=$1 device=$2 model=$3 db=$4 seconds off
  shift 4
  local common=(--device "$device" --model "$model" --host-gib 64 "$@")
  "$program" profile "${common[@]}" --profile "$db" --quiet
  seconds=$({ TIMEFORMAT=%R; time "$program" fit --profile "$db" --device "$device" \
    --model "$model" --quiet --json "$work/fit.json"; } 2>&1)
  local replay=("$program" replay --workload sharegpt,n=2000 --rate 8 --max-seqs 128 "${common[@]}"
    --profile "$db")
  "${replay[@]}" --json "$work/replay.json" --quiet
  "${replay[@]}" --drift 1.2@60 >"$work/drift.txt"
  off=$(sed -nE 's/.*mean of [0-9]+\): ([0-9]+) iterations.*/\1/p' "$work/drift.txt")
  printf '| %s | %s | %s | %s | %s | %s | %s | %s |\n' "$name" "$model" \
    "$(percent "$work/fit.json" '$.iteration.mape')" \
    "$(percent "$work/fit.json" '$.swap_out.mape')" \
    "$(percent "$work/fit.json" '$.swap_in.mape')" \
    "$(percent "$work/replay.json" '$.predictor_mape_iteration')" "$off" "$seconds"
}

virtual() { # DEVICE MODEL
  row "$1" "$1" "$2" "$work/$1-$2.db" --noise 0.005
}

# Throughput with padding over that without, all requests at once.
padding() { # NAME DEVICE MODEL DB OPTION...
  local name=$1 common=(--workload "sharegpt,n=3000,arrival=all-at-once" --device "$2" --model "$3"
    --profile "$4" --quiet)
  shift 4
  "$program" replay "${common[@]}" "$@" --json "$work/bare.json"
  "$program" replay "${common[@]}" "$@" --pad-tokens 64 --json "$work/padded.json"
  sqlite3 :memory: "SELECT printf('| %s | %.5f |', '$name',
    json_extract(readfile('$work/padded.json'), '\$.total_throughput_tokens_per_s') /
    json_extract(readfile('$work/bare.json'), '\$.total_throughput_tokens_per_s'))"
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
Fit: wall seconds of all fits of the device and model
EOF
  echo "($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), one core, shared)."
  cat <<'EOF'

| device | model | iteration, held out | swap out | swap in | replay | slow-down | fit, s |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
EOF
  virtual h200 llama-3-8b
  virtual h200 llama-2-7b
  virtual h200 opt-13b
  virtual h100-80g llama-2-7b
  virtual a100-40g llama-2-7b
  virtual a100-80g llama-2-13b
  virtual l40s mistral-7b
  virtual rtx4090 opt-6.7b
  virtual rtx-pro-6000 llama-3-8b
  if [ -d "$data" ]; then
    db=$work/measured.db
    "$program" profile import llmservingsim "$data"/llama-3.1-8b_tp1_*.csv --profile "$db" \
      --quiet >/dev/null
    row 'rtx-pro-6000, measured' rtx-pro-6000 llama-3-8b "$db" --latency measured
    busier=$("$program" replay --workload sharegpt,n=2000 --rate 9.6 --max-seqs 128 --host-gib 64 \
      --device rtx-pro-6000 --model llama-3-8b --latency measured --profile "$db" |
      sed -nE 's/.*mean of [0-9]+\): ([0-9]+) iterations.*/\1/p')
    cat <<EOF

The last line is a device that looks its times up in measured tables
(casys-kaist/LLMServingSim, RTXPRO6000, Llama-3.1-8B): no noise is added there, the steps of the
real kernels are in it. Its count of iterations is not the slow-down's: a slower device is a fuller
one, and with 20 % more requests instead of a slow-down there are $busier: the fit is off by more in large
batches that are mixed with prefill.
EOF
    cat <<'EOF'

## Padding

Filling iterations with chunks up to a multiple of 64 tokens where the predictor says that it
saves 1 % or more: throughput with over without, 3,000 ShareGPT-like requests at once. It does
not pay on these devices: a full tile costs no less than a part of one.

| device | ratio |
| --- | ---: |
EOF
    padding h200 h200 llama-3-8b "$work/h200-llama-3-8b.db"
    padding 'rtx-pro-6000, measured' rtx-pro-6000 llama-3-8b "$db" --latency measured
  else
    echo "self_consistency.sh: $data is not here: the measured device is left out" >&2
  fi
} >"$work/table.md"
mv "$work/table.md" "$output"
echo "wrote $output"
