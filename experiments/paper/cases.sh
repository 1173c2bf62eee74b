# cases.sh - the cases of the paper experiments: MODEL_DEVICE_WORKLOAD. Sourced by common.sh.
#
# ShareGPT for all models on the H200, the other workloads on one multi-head and one grouped-query
# model, and smaller devices with slower links. The multi-head models have 512 to 800 KiB of KV
# per token and stand where swap and recompute cost about the same, Llama 3 has 128. Reasoning has
# outputs that do not fit the 4,096 tokens of Llama 2.
# shellcheck shell=bash

main_cases=(
  llama-2-7b_h200_sharegpt
  llama-3-8b_h200_sharegpt
  opt-6.7b_h200_sharegpt
  opt-13b_h200_sharegpt
  llama-2-13b_h200_sharegpt
  llama-2-7b_h200_alpaca
  llama-2-7b_h200_azure-conv
  llama-2-7b_h200_longdoc
  llama-3-8b_h200_reasoning
  opt-13b_a100-40g_sharegpt
  llama-3-8b_rtx4090_sharegpt
)

# The full cross of what fits the devices.
full_cases() {
  local subject workload
  for subject in {opt-6.7b,opt-13b,llama-2-7b,llama-2-13b,llama-3-8b}_h200 \
    {llama-2-7b,llama-3-8b,opt-13b}_a100-40g {llama-2-7b,llama-3-8b}_rtx4090; do
    for workload in sharegpt alpaca azure-conv longdoc reasoning; do
      echo "${subject}_$workload"
    done
  done
}

# Sets cases[] from `main`, `full`, a number (the first of main) or a list with commas.
choose_cases() { # LIST
  local name
  case $1 in
    main) cases=("${main_cases[@]}") ;;
    full) mapfile -t cases < <(full_cases) ;;
    *[!0-9]*) IFS=, read -r -a cases <<<"$1" ;;
    *) cases=("${main_cases[@]:0:$1}") ;;
  esac
  for name in "${cases[@]}"; do
    [[ $name =~ ^[^_]+_[^_]+_[^_]+$ ]] || stop 2 "a case is MODEL_DEVICE_WORKLOAD, not '$name'"
  done
  [ ${#cases[@]} -gt 0 ] || stop 2 'there is no case to run'
}

# Sets model, device and workload.
# shellcheck disable=SC2034 # used by the scripts that source this file
split_case() { # CASE
  IFS=_ read -r model device workload <<<"$1"
}
