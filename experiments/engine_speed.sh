#!/usr/bin/env bash
# engine_speed.sh - tokens per second of the CPU engine beside PyTorch; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
usage: experiments/engine_speed.sh [OUTPUT]

Writes a random Llama of 119 million float32 parameters, times a prefill of 512 tokens and
decodes at batch 8 after 512 tokens, with the CPU engine and with PyTorch, at 1 and 2 threads,
and writes a table to OUTPUT (results/engine_speed.md). The two take turns, ROUNDS (5) times, so
that both meet the same state of the machine. Takes about 3 minutes.
PYTHON (python3) names an interpreter that has torch and transformers; without these nothing is
timed, and the exit status is 77. BUILD (build) is the build folder.
EOF
}
case ${1:-} in
  -h | --help) usage && exit 0 ;;
  -*) usage >&2 && exit 2 ;;
esac
output=${1:-results/engine_speed.md}
rounds=${ROUNDS:-5}
python=${PYTHON:-python3}
build=${BUILD:-build}

versions=$("$python" -c 'import torch, transformers
print(f"torch {torch.__version__}, transformers {transformers.__version__}")' 2>/dev/null) || {
  echo "engine_speed.sh: skipped, $python has no torch and transformers (set PYTHON)" >&2
  exit 77
}

experiments/install_packages.sh quickstart
[ -f "$build/build.ninja" ] || meson setup "$build" >/dev/null
meson compile -C "$build" -j "${JOBS:-2}" bench_forward >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for ((round = 1; round <= rounds; round++)); do
  for threads in 1 2; do
    echo "round $round of $rounds, threads: $threads" >&2
    # The first call writes the model.
    "$build/tests/bench_forward" --threads "$threads" --keep "$work/model" 2>>"$work/provider" |
      awk -F, -v OFS=, '{ print $2, $1, $4, $5 }'
    "$python" tests/golden/bench_torch.py --threads "$threads" "$work/model"
  done
done >"$work/rows.csv"

# figures ENGINE OP THREADS: median, least and most tokens per second over the rounds.
figures() {
  awk -F, -v engine="$1" -v op="$2" -v threads="$3" \
    '$1 == engine && $2 == op && $3 == threads { print $4 }' "$work/rows.csv" | sort -n |
    awk '{ v[NR] = $1 } END { printf "%.1f %.1f %.1f\n", v[int((NR + 1) / 2)], v[1], v[NR] }'
}

row() { # MODE OP THREADS
  local ours torch
  read -ra ours <<<"$(figures "$1" "$2" "$3")"
  read -ra torch <<<"$(figures torch "$2" "$3")"
  printf '| %s | %s | %s | %s (%s, %s) | %s (%s, %s) | %s |\n' "$2" "$1" "$3" "${ours[@]}" \
    "${torch[@]}" "$(awk -v a="${ours[0]}" -v b="${torch[0]}" 'BEGIN { printf "%.2f", a / b }')"
}

{
  cat <<EOF
# The CPU engine beside PyTorch

Made by \`experiments/engine_speed.sh\` (ROUNDS=$rounds) with the random Llama of
\`tests/bench/bench_forward.c\`: 119 million parameters, float32 on both sides. Prefill: one
prompt of 512 tokens. Decode: batch 8, each after 512 tokens. Tokens per second: each round takes
the best of its repeats; median of the rounds (least, most). Ratio: engine over PyTorch.

$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores; $versions
(scaled_dot_product_attention; the faster of the dynamic and the static cache). Engine:
$(head -n 1 "$work/provider" | sed 's/^bench_forward: //').

| pass | mode of the engine | threads | engine, tokens/s | PyTorch, tokens/s | ratio |
| --- | --- | ---: | ---: | ---: | ---: |
EOF
  for op in prefill decode; do
    for mode in default deterministic; do
      row "$mode" "$op" 1
      row "$mode" "$op" 2
    done
  done
} >"$work/table.md"
mv "$work/table.md" "$output"
echo "wrote $output"
