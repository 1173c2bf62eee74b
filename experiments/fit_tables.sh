#!/usr/bin/env bash
# fit_tables.sh - writes results/fit_errors.md: held-out errors of the fits on measured tables.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: experiments/fit_tables.sh [BUILD_FOLDER]

Imports measured operator tables, fits them, and writes the errors on samples that the fits did
not see to results/fit_errors.md, and two figures. BUILD_FOLDER (default: build) is a configured
build. The tables are read from $ADAPTIVELLM_SHARED_DATA (default: ../shared/data).
EOF
}

case "${1:-}" in
-h | --help)
  usage
  exit 0
  ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${1:-$root/build}
tables=${ADAPTIVELLM_SHARED_DATA:-$root/../shared/data}/profiles
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ninja -C "$build" experiments/adaptivellm tests/bench_predict >/dev/null
adaptivellm=$build/experiments/adaptivellm
mkdir -p "$root/results"
out=$root/results/fit_errors.md

# import DB FORMAT FILE...
import() {
  local db=$1 format=$2
  shift 2
  "$adaptivellm" profile import "$format" "$@" --profile "$work/$db.db" --quiet
}

# fit TITLE DB DEVICE MODEL TP ("" for no model): a section with the table and the time it took.
fit() {
  local title=$1 db=$2 device=$3 model=$4 tp=$5 start end
  printf '\n## %s\n\n```\n' "$title"
  start=$(date +%s.%N)
  "$adaptivellm" fit --profile "$work/$db.db" --device "$device" ${model:+--model "$model"} --tp "$tp" \
    --points "$work/points" | sed '/^$/,$d'
  end=$(date +%s.%N)
  printf '```\n\nWhole fit: %.2f s.\n' "$(echo "$end - $start" | bc)"
}

import vidur vidur "$tables"/vidur/h100/llama-2-7b_mlp.csv
import vidur vidur "$tables"/vidur/a100/llama-2-7b_mlp.csv "$tables"/vidur/a100/llama-3-8b_mlp.csv
for device in h200_sxm h100_sxm; do
  import kernels aiconfigurator "$tables"/aiconfigurator/$device/{gemm,context_attention,generation_attention}_perf.csv.gz
done
import rtx llmservingsim "$tables"/llmservingsim/rtxpro6000/llama-3.1-8b_tp1_{dense,attention,per_sequence}.csv
import copies pcie "$tables"/pcie/rtx6000_turing_copy.csv

# How much a matrix product changes from m rows to m + 1 below 17 rows, on average over all shapes:
# nothing but the choice of the kernel and the repeat can differ there. Percent.
gemm_jitter() { # DEVICE
  zcat "$tables/aiconfigurator/$1/gemm_perf.csv.gz" | awk -F, '
    $6 == "bfloat16" && $7 < 17 {t[$8 "," $9 "," $7] = $10}
    END {
      for (key in t) {
        split(key, a, ",")
        after = a[1] "," a[2] "," a[3] + 1
        if (!(after in t)) continue
        d = log(t[after] / t[key])
        sum += d < 0 ? -d : d
        n++
      }
      printf "%.1f", 100 * sum / n
    }'
}

figure() { # NAME TITLE: of the last fit
  if command -v gnuplot >/dev/null; then
    gnuplot -c "$root/plots/fit.gp" "$work/points" "$root/results/$1" "$2"
    printf '\n![predicted against measured](%s.png)\n' "$1"
  fi
}

{
  cat <<'EOF'
# Errors of the fits on measured tables

Made by `experiments/fit_tables.sh`. Held out: the whole fit, choices included, was repeated
without a fifth of the different points and judged on that fifth, five times over. All numbers
are percentages. `repeat` is the standard deviation of one repeat of the measurement, where the
table has it; `covered` the share of held-out points within the predicted 90 % interval; `terms` the
terms of the formula. `iteration, put together` sums all operators at the points where all were
measured.

- Vidur's tables here are those of layers without attention. Its times are in steps of half a microsecond or one: at small sizes a step is 5 to 50 % of `emb`,
  `add`, `attn_rope` and the norms. A kernel choice that shows at one point alone
  (`attn_post_proj`, `mlp_down_proj` on H100) cannot be foretold from the others.
- aiconfigurator has one time for each shape, mostly at sizes a factor of 1.1 to 2 apart. Where rows go from m
  to m + 1 below 17, with the same work and the same weights to read, its times differ by
EOF
  echo "  $(gemm_jitter h200_sxm) % (H200) and $(gemm_jitter h100_sxm) % (H100) on average. No fit of m can foretell that, and 2 % is not reached on"
  cat <<'EOF'
  its matrix products. Its attention sizes are a factor of 2 apart; held-out corners are
  extrapolated. There are no repeats in the table to tell noise from structure.
- Mixed attention on RTX PRO 6000: sizes are 1.5 to 2.25 apart on four axes (two lattices without
  their product), too far for the steps of a kernel between them.
- The copy table has 21 points a factor of 2 apart, without repeats; to the device they are uneven
  between 1 and 32 KiB.
EOF
  for tp in 1 2 4 8; do
    fit "H100, Llama-2-7B, tensor parallel $tp (vidur)" vidur h100-80g llama-2-7b $tp
    [[ $tp != 1 ]] || figure fit_h100_llama-2-7b "H100, Llama-2-7B, tensor parallel 1 (vidur)"
  done
  for model in llama-2-7b llama-3-8b; do
    for tp in 1 2 4 8; do
      fit "A100, $model, tensor parallel $tp (vidur)" vidur a100-80g $model $tp
    done
  done
  fit "RTX PRO 6000, Llama-3.1-8B (LLMServingSim)" rtx rtx-pro-6000 llama-3-8b 1
  figure fit_rtx-pro-6000_llama-3-8b "RTX PRO 6000, Llama-3.1-8B (LLMServingSim)"
  for device in h200 h100-80g; do
    for model in llama-2-7b llama-3-8b opt-13b; do
      fit "$device, $model, kernels at the nearest shapes (aiconfigurator)" kernels $device $model 1
    done
  done
  fit "PCIe 3.0 copies, pinned memory (cse554)" copies rtx6000_turing "" 1
  printf '\n## Time of one prediction\n\nAll times of this page: %s.\n\n```\n' \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), one core, shared"
  "$build"/tests/bench_predict
  printf '```\n'
} >"$out.new"
mv "$out.new" "$out"
echo "wrote results/fit_errors.md"
