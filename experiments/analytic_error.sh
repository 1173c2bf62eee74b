#!/usr/bin/env bash
# analytic_error.sh - writes results/analytic_error.md: the analytic kernel times against measured ones.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: experiments/analytic_error.sh [BUILD_FOLDER]

Compares the analytic latency source with measured operator tables and writes
results/analytic_error.md. BUILD_FOLDER (default: build) is a configured build.
The tables are read from $ADAPTIVELLM_SHARED_DATA (default: ../shared/data).
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
export ADAPTIVELLM_SHARED_DATA=${ADAPTIVELLM_SHARED_DATA:-$root/../shared/data}

ninja -C "$build" tests/analytic_error >/dev/null
table=$("$build/tests/analytic_error")
# The aim is a median under 15 % on H200 and H100: how many lines meet it, and which do not.
under_15() { # of the lines of H200 and H100 whose source matches
  awk -F'|' -v source="$1" '$2 ~ /h[12]00/ && $6 ~ source {n++; if ($8 + 0 < 15) ok++}
    END {print ok + 0 " of " n + 0}' <<<"$table"
}
fitted=$(under_15 aiconfigurator)
held_out=$(under_15 'vidur|inference-sim')
above=$(awk -F'|' '$2 ~ /h[12]00/ && $8 + 0 >= 15 {print "  -" $2 "," $3 "," $4 "(" $6 "):" $8 "%"}' \
  <<<"$table" | tr -s ' ' | sed 's/^ /  /; s/ ,/,/g; s/ )/)/g; s/( /(/g')
mkdir -p "$root/results"
out=$root/results/analytic_error.md
cat >"$out.new" <<EOF
# The analytic device against measured kernels

Made by \`experiments/analytic_error.sh\`. One line per device, operator and model: relative error of
\`sim/gemm_model.c\` and \`sim/attention_model.c\` over all rows of that shape in the measured table.
Bias is the median of analytic / measured - 1.

- On H200 and H100, $fitted fitted lines and $held_out held-out ones have a median under 15 %.
  Above it:
$above
- The constants of H200, H100 and A100 were fitted to ai-dynamo/aiconfigurator, those of RTX 4090
  and RTX PRO 6000 to casys-kaist/LLMServingSim, over all shapes together: those lines show how well
  the formulas bend to the kernels, not a forecast. microsoft/vidur (older kernels, fp16) and
  inference-sim/inference-sim were not used in any kernel's fit: those lines are one.
- Matrix products are compared at the shape in the table nearest to the model's. Decode attention
  with as many key-value heads as heads is tabled by aiconfigurator for up to 8 heads only: one
  rank of tensor parallelism 4 for Llama-2-7B.

$table
EOF
mv "$out.new" "$out"
echo "wrote results/analytic_error.md"
