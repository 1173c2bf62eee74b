# shared_traces.sh - sourced after expect.sh by the tests that replay recorded traces: where they
# are, and settings under which each of them is short of KV blocks.
# shellcheck shell=bash disable=SC2034 # variables are for those who source this

traces_dir=${ADAPTIVELLM_SHARED_DATA:-}/traces
if [ ! -d "$traces_dir" ]; then
  echo "there is no folder '$traces_dir': set ADAPTIVELLM_SHARED_DATA" >&2
  exit 77
fi

trace_files=(azure_llm_2023_code.csv azure_llm_2023_conv_first_half.csv
  mooncake_conversation.jsonl lengths_sharegpt_8k.csv)

# Pools that hold little more than the longest request, and rates at which they overflow.
declare -A tight=(
  [azure_llm_2023_code.csv]='--kv-blocks 700 --rate 10'
  [azure_llm_2023_conv_first_half.csv]='--kv-blocks 1500 --rate 10'
  [mooncake_conversation.jsonl]='--kv-blocks 9000 --rate 6 --max-model-len 131072'
  [lengths_sharegpt_8k.csv]='--kv-blocks 5000 --rate 12 --skip-bad'
)

# Data lines of a trace: all but the header of a CSV.
data_lines() {
  local n
  n=$(grep -c '' "$traces_dir/$1")
  case $1 in *.csv) n=$((n - 1)) ;; esac
  echo "$n"
}
