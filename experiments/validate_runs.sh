#!/usr/bin/env bash
# validate_runs.sh - writes results/validation.md: the simulator against runs of real servers.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: experiments/validate_runs.sh [BUILD_FOLDER]

Imports measured tables, replays the measured runs under vllm-v1 on measured devices and writes
results/validation.md with figures in results/validation/. BUILD_FOLDER (default: build) is a
configured build. Tables and runs are read from $ADAPTIVELLM_SHARED_DATA (default: ../shared/data).
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
data=${ADAPTIVELLM_SHARED_DATA:-$root/../shared/data}/profiles
runs=$data/measured_runs
[[ -d $runs ]] || { echo "validate_runs.sh: there are no measured runs in $runs" >&2 && exit 1; }
ninja -C "$build" experiments/adaptivellm >/dev/null
bin=$build/experiments/adaptivellm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

import() { "$bin" profile import "$@" --quiet >/dev/null; } # FORMAT FILE... --profile DB
import llmservingsim "$data"/llmservingsim/rtxpro6000/*.csv --profile "$work/rtx.db"
import llmservingsim "$data"/llmservingsim/rtxpro6000/*_{attention,dense,per_sequence}.csv \
  --profile "$work/noskew.db"
import vidur "$data"/vidur/h100/{llama-2-7b,codellama-34b}_mlp.csv --profile "$work/h100.db"
import aiconfigurator "$data"/aiconfigurator/h100_sxm/*.gz --profile "$work/h100.db"

mkdir -p "$root/results/validation"
rtx() { # MODEL DB OPTION...
  local run=$runs/vllm_rtxpro6000_$1 db=$2
  shift 2
  "$bin" compare --validate "${run}_requests.jsonl" --settings "${run}_meta.json" \
    --timeseries "${run}_timeseries.csv" --device rtx-pro-6000 --profile "$db" "$@"
}
h100() { # MODEL KV_BLOCKS HOST_US OPTION...
  local model=$1 blocks=$2 host=$3
  shift 3
  "$bin" compare --validate "$runs/vllm_${model}_requests.csv" --model "$model" \
    --kv-blocks "$blocks" --host-step-us "$host" --device h100-80g --max-seqs 256 \
    --max-batched-tokens 4096 --policy vllm-v1,full_isl=off --profile "$work/h100.db" "$@"
}
llama2() { h100 llama-2-7b 7438 "$@"; }     # 119,008 tokens of KV
codellama() { h100 codellama-34b 2537 "$@"; } # 40,592
figure() { # NAME TITLE
  gnuplot -c "$root/plots/validate.gp" "$work/points" "$root/results/validation/$1" "$2"
}
error_of() { awk -v name="$1" '$1 == name {print $NF + 0}'; } # in per cent, of a printed table

# The host time per step that makes the mean TPOT right: the error is linear in it.
fit_host() { # RUN
  local none some
  none=$("$1" 0 | error_of tpot_s_mean)
  some=$("$1" 1000 | error_of tpot_s_mean)
  awk -v a="$none" -v b="$some" 'BEGIN {printf "%.0f", 1000 * a / (a - b)}'
}
both() { awk '{e[$1] = $NF} END {print e["tpot_s_mean"] ", " e["e2e_s_mean"]}'; }
row() { # TEXT, a printed table on standard input
  awk -v text="$1" '{e[$1] = $NF} END {printf "| %s | %s | %s | %s | %s | %s |\n", text,
    e["makespan_s"], e["ttft_s_mean"], e["tpot_s_mean"], e["e2e_s_mean"], e["ttft_unsaturated_s_mean"]}'
}

llama3_table=$(rtx llama-3.1-8b "$work/rtx.db" --points "$work/points")
figure llama-3.1-8b "Llama-3.1-8B on an RTX PRO 6000, vLLM 0.19: measured and simulated"
qwen_table=$(rtx qwen3-32b "$work/rtx.db" --points "$work/points")
figure qwen3-32b "Qwen3-32B on two RTX PRO 6000, vLLM 0.19: measured and simulated (scaled)"
llama2_table=$(llama2 0)
codellama_table=$(codellama 0)
llama2_host=$(fit_host llama2)
codellama_host=$(fit_host codellama)

out=$root/results/validation.md
cat >"$out.new" <<EOF
# The simulator against real servers

Made by \`experiments/validate_runs.sh\`. Each run is replayed request by request, with its settings,
under \`vllm-v1\` on a device that is looked up in measured tables of that device (\`--latency measured\`).
The tables time single operators; no constant is fitted to any of these runs. Times count from the
arrival. The clocks of a .jsonl run are joined by its smallest queued - arrival time; \`queued_ts\`
itself is when the engine's loop looked, and is not used for times. The first request warms the server
up: it counts in all figures but the unsaturated part, which ends before the first request that was
queued for a second. Percentiles are interpolated in the same way on both sides.

## Llama-3.1-8B, RTX PRO 6000, vLLM 0.19

\`\`\`
$llama3_table
\`\`\`

![queues and distributions](validation/llama-3.1-8b.png)

What decides it (errors of the simulation without it):

| | makespan | TTFT mean | TPOT mean | end to end mean | TTFT unsaturated |
| --- | --- | --- | --- | --- | --- |
$(row "all of it" <<<"$llama3_table")
$(rtx llama-3.1-8b "$work/noskew.db" | row "contexts taken as equal")
$(rtx llama-3.1-8b "$work/rtx.db" --policy vllm-v1 | row "synchronous scheduling")
$(rtx llama-3.1-8b "$work/rtx.db" --host-step-us 1000 | row "1 ms of host time per step")

- The largest difference of the queues, in running requests is in the drain at the end, where the simulated steps of
  60 to 120 sequences are a few per cent slow: the attention tables have nothing between 64 and 128
  decodes. On the mean the queues are within one request.
- The prompts of the runs are not published here, so prefix-cache hits between prompts are missing: 4 % of
  the tokens, by the log of a simulation of the Qwen3-32B requests with their prompts
  (casys-kaist/LLMServingSim, bench/examples/RTXPRO6000/Qwen3-32B/outputs/sim.log).

## Qwen3-32B, two RTX PRO 6000 (tensor parallelism 2), vLLM 0.19: scaled, not measured

There are no tables at tensor parallelism 2. Each operator's time on one device is multiplied by what
the same operator of Llama-3.1-8B gains from one device to two at as many tokens; unequal contexts cost
what they do for Llama-3.1-8B; all-reduces take 20 us + bytes / 16 GB/s, which the authors of the run
set for their own simulator (\`base/core/device_spec.c\`).

\`\`\`
$qwen_table
\`\`\`

![queues and distributions](validation/qwen3-32b.png)

- Read from both logs by hand: steps of 128 decodes are right, 17 a second on both sides. A step of 2048 prefill tokens takes 0.36 to
  0.38 s here and 0.354 to 0.372 s on the server, of which all-reduces are 0.17 s: 2 % is what the
  nominal rate of the link is good for.
- The 4 % of prompt tokens that hit the prefix cache in reality are computed here. Prefill is a third of
  the run, so the hits are worth about 1.2 % of the makespan. Both together are about 3.2 of the 3.5 % of the
  makespan, and more of the time to first token, which is the sum of the steps before.

## Llama-2-7B and CodeLlama-34B, H100, vLLM 0.11

Operators from microsoft/vidur, attention and output head from ai-dynamo/aiconfigurator. The arrivals
fill the makespan, so throughput says nothing here; the errors per request do. No host time is added.

\`\`\`
Llama-2-7B
$llama2_table
\`\`\`
\`\`\`
CodeLlama-34B
$codellama_table
\`\`\`

Both runs take about 3 % longer per token than the kernels say: the host works between the steps, as
vLLM 0.11 schedules synchronously. 3 % are 0.2 ms of the smaller model and 0.9 ms of the larger one, so
it is not a constant, or not the host alone; one fitted on one run does not carry over to the other:

| host time per step, fitted on the mean TPOT of | Llama-2-7B: TPOT, end to end mean | CodeLlama-34B: TPOT, end to end mean |
| --- | --- | --- |
| none | $(llama2 0 | both) | $(codellama 0 | both) |
| Llama-2-7B: $llama2_host us | (fitted) | $(codellama "$llama2_host" | both) |
| CodeLlama-34B: $codellama_host us | $(llama2 "$codellama_host" | both) | (fitted) |

- About 2 ms of every TTFT are the server's front end (TTFT less queueing and prefill in the records): 4 %
  of the median of Llama-2-7B. The simulator has none. The first request of Llama-2-7B is a warm-up of
  0.27 s, where others of its length take 0.04 s. What else is in the per-request errors of TTFT (P90) was
  not traced to a cause.
- Llama-2-7B has 32 key-value heads; decode attention was measured for 8. Four times as many sequences
  of 8 heads stand for it.
EOF
mv "$out.new" "$out"
echo "wrote results/validation.md"
