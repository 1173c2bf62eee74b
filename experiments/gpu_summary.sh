#!/usr/bin/env bash
# gpu_summary.sh - the page about what gpu_validation.sh measured; see --help.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: gpu_summary.sh FOLDER

Prints summary.md from steps.txt, figures.txt, probe.csv and log.txt, which gpu_validation.sh
wrote into FOLDER. Nothing is run; it may be called again elsewhere.
USAGE
}
case ${1:-} in
  -h | --help) usage && exit 0 ;;
  '' | -*) usage >&2 && exit 2 ;;
esac
folder=$1
steps=$folder/steps.txt figures=$folder/figures.txt log=$folder/log.txt probe=$folder/probe.csv
[ -r "$steps" ] || { echo "gpu_summary.sh: there is no $steps" >&2 && exit 1; }

# figures.txt has lines KEY NAME VALUE, of which the last counts. Keys are settings, fit/MODEL,
# pool/MODEL and run/MODEL/POLICY/LOAD/SIDE.
setting() { awk -v name="$1" '$1 == "settings" && $2 == name { v = $3 } END { print v }' "$figures"; }

step_rows() {
  awk -F '\t' 'NF > 2 { gsub(/\|/, "/"); printf "| %s | %s | %s | %s |\n", $1, $2, $3, $4 }' "$steps"
  if grep -q "^start	failed" "$steps"; then
    printf '\n**The backend does not start: no model was run.**\n'
  fi
  grep -qx end "$steps" || printf '\n**Steps are missing: the same command goes on with them.**\n'
}

# Block by block, as the engine copies, beside one large copy of at least 64 MiB; GB/s.
link_rows() {
  [ -s "$probe" ] || return 0
  awk -F, '
    /^#/ || $1 == "device" || $14 <= 0 || $3 == "gemm" || $6 < 67108864 || $10 + 0 { next }
    { rate = $6 / $14 / 1e3; key = $3 SUBSEP ($9 + 0) }
    $4 == "single" && rate > one[key] { one[key] = rate }
    $4 == "batch" && $8 > 0 && (!(key in least) || rate < least[key]) { least[key] = rate }
    $4 == "batch" && $8 > 0 && rate > most[key] { most[key] = rate }
    function row(what, a, b, c) {
      printf "| %s | %.1f | %.1f to %.1f | %.1f to %.1f |\n", what, a, b, c, 100 * b / a, 100 * c / a
    }
    function rows(op, busy, text) {
      if ((op, busy) in one && (op, busy) in most)
        row(op text, one[op, busy], least[op, busy], most[op, busy])
    }
    END {
      rows("swap_out", 0, ""); rows("swap_in", 0, "")
      rows("swap_out", 1, ", other direction busy"); rows("swap_in", 1, ", other direction busy")
      if (("swap_out", 1) in most && ("swap_in", 1) in most && ("swap_out", 1) in one && ("swap_in", 1) in one)
        row("both", one["swap_out", 1] + one["swap_in", 1], least["swap_out", 1] + least["swap_in", 1], \
          most["swap_out", 1] + most["swap_in", 1])
    }' "$probe"
}

# Measured beside aimed at. FlashAttention-3 reaches 244, 393, 513 and 586 TFLOP/s there at 1k to 8k
# tokens; by H200 tables a decode takes 7.8 ms and a prefill 39 ms, kernel by kernel, and 1.3 times
# that is allowed.
time_rows() {
  awk '
    BEGIN {
      aim["times/prefill_attention/llama-3-8b,tokens=1024", "TFLOP_per_s"] = 0.55 * 244
      aim["times/prefill_attention/llama-3-8b,tokens=2048", "TFLOP_per_s"] = 0.55 * 393
      aim["times/prefill_attention/llama-3-8b,tokens=4096", "TFLOP_per_s"] = 0.55 * 513
      aim["times/prefill_attention/llama-3-8b,tokens=8192", "TFLOP_per_s"] = 0.55 * 586
      aim["times/decode_step/llama-3-8b,batch=128,context=512", "ms"] = 1.3 * 7.8
      aim["times/decode_step/llama-3-8b,batch=128,context=512", "host_us"] = 50
      aim["times/prefill_step/llama-2-7b,tokens=2048", "ms"] = 1.3 * 39
    }
    $1 ~ /^times\// { value[$1, $2] = $3; if (!(($1, $2) in at)) { at[$1, $2] = ++n; key[n] = $1; name[n] = $2 } }
    END {
      for (i = 1; i <= n; i++) {
        wanted = (key[i], name[i]) in aim ? sprintf("%.4g", aim[key[i], name[i]]) : name[i] == "share_of_copy" ? "0.8" : ""
        split(key[i], part, "/")
        printf "| %s | %s | %s | %s | %s |\n", part[2], part[3], name[i], value[key[i], name[i]], wanted
      }
    }' "$figures"
}

# The best of each kind: what the device is capable of.
probe_rows() {
  [ -s "$probe" ] || { echo 'Not measured.' && return; }
  head -n 1 "$probe" | sed 's/^# *//'
  echo
  echo '| what | other direction | compute | best |'
  echo '| --- | --- | --- | ---: |'
  awk -F, '
    function note(what, value) { if (value > best[what]) best[what] = value }
    /^#/ || $1 == "device" || $14 <= 0 { next }
    $3 == "gemm" { note($5 " | | |", 2 * $11 * $12 * $13 / $14 / 1e6); next }
    { note($3 ", " $4 " | " ($9 + 0 ? "busy" : "idle") " | " ($10 + 0 ? "busy" : "idle") " |", $6 / $14 / 1e3) }
    END { for (w in best) printf "| %s %.1f %s |\n", w, best[w], w ~ /\| \|/ ? "TFLOP/s" : "GB/s" }' \
    "$probe" | sort
}

predictor_rows() {
  awk '
    $1 ~ /^fit\// { value[$1, $2] = $3; if (!seen[$1]++) key[++n] = $1 }
    END {
      n_operations = split("iteration swap_out swap_in", operation, " ")
      for (k = 1; k <= n; k++)
        for (o = 1; o <= n_operations; o++) {
          if (!((key[k], operation[o] "_mape") in value)) continue
          printf "| %s | %s | %d | %.2f | %.2f |\n", substr(key[k], 5), operation[o],
            value[key[k], operation[o] "_n"], 100 * value[key[k], operation[o] "_mape"],
            100 * value[key[k], operation[o] "_p95"]
        }
    }' "$figures"
}

pool_lines() {
  awk '
    $1 ~ /^pool\// { value[$1, $2] = $3; if (!seen[$1]++) key[++n] = $1 }
    END {
      for (k = 1; k <= n; k++)
        printf "- %s: %s blocks, %s requests/s; %.0f preemptions per 100 requests are expected.\n",
          substr(key[k], 6), value[key[k], "blocks"], value[key[k], "rate"], 100 * value[key[k], "share"]
    }' "$figures"
}

# Hardware beside simulation, a line for each figure of each policy.
policy_rows() {
  awk '
    $1 ~ /^run\// && $3 != "" && $3 != "null" {
      value[$1, $2] = $3
      key = $1
      sub(/\/[^\/]*$/, "", key)
      if (!seen[key]++) keys[++n] = key
    }
    function number(key, name) { return (key, name) in value ? sprintf("%.4g", value[key, name]) : "-" }
    function ratio(key, base, name) {
      if (!((key, name) in value) || !((base, name) in value) || value[base, name] == 0) return ""
      return value[key, name] / value[base, name]
    }
    END {
      n_shown = split("request_throughput_per_s output_throughput_tokens_per_s " \
        "weighted_turnaround_mean weighted_turnaround_p99 turnaround_s_mean turnaround_s_p99 " \
        "ttft_s_mean tpot_s_mean n_preemptions host_step_s", shown, " ")
      for (k = 1; k <= n; k++) {
        split(keys[k], part, "/") # run, model, policy, load
        base = "run/" part[2] "/vllm-v0-recompute/" part[4] "/hardware"
        for (i = 1; i <= n_shown; i++) {
          to_base = ratio(keys[k] "/hardware", base, shown[i])
          error = ratio(keys[k] "/simulated", keys[k] "/hardware", shown[i])
          printf "| %s | %s | %s | %s | %s | %s | %s | %s |\n", part[2], part[4], part[3], shown[i],
            number(keys[k] "/hardware", shown[i]), to_base == "" ? "-" : sprintf("%.3f", to_base),
            number(keys[k] "/simulated", shown[i]),
            error == "" ? "-" : sprintf("%+.1f", 100 * (error - 1))
        }
      }
    }' "$figures"
}

cat <<EOT
# Validation on hardware

Made by \`gpu_validation.sh\`, $(setting form) form, backend \`$(setting backend)\`: $(setting requests) requests; profiles of $(setting iterations) iterations
and $(setting copies) copies; at most $(setting max_seqs) sequences and $(setting max_batched_tokens) tokens per iteration, $(setting max_model_len) tokens per request.

$(awk -F '\t' '$1 == "machine" { print $4 }' "$steps")

## Steps

| step | result | s | |
| --- | --- | ---: | --- |
$(step_rows)

## The link, block by block

GB/s; share of one large copy, % (aim: 95).

| copies | one | in blocks | share |
| --- | ---: | ---: | ---: |
$(link_rows)

## Speed

Aims: attention at 80 % of a copy within the memory (reads and writes counted) and at 55 % of
FlashAttention-3 on an H200; a whole step within 1.3 times its kernels' times there; 50 us of the host a step.

| what | of | figure | measured | aim |
| --- | --- | --- | ---: | ---: |
$(time_rows)

## The probe

$(probe_rows)

## The predictor, held out (5-fold cross-validation)

A recompute is predicted as the difference of two iterations.

| model | operation | samples | error, mean % | p95 % |
| --- | --- | ---: | ---: | ---: |
$(predictor_rows)

## The policies

Load \`rate\`: requests arrive at 1.1 times what vllm-v0-recompute serves in simulation when all are
there at once. Ratio: to vllm-v0-recompute on the hardware. Error: of the simulation, which looks its
times up in the profile of this machine.

$(pool_lines)

| model | load | policy | figure | hardware | ratio | simulated | error, % |
| --- | --- | --- | --- | ---: | ---: | ---: | ---: |
$(policy_rows)

## Commands

The searches for the pools are in log.txt, marked by #.

\`\`\`
$(grep '^[$] ' "$log" || true)
\`\`\`
EOT
