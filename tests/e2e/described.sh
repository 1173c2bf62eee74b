#!/usr/bin/env bash
# described.sh - devices and models that a file describes: the same as a listed one where it says
# the same, another where it says so, and refused where it makes no sense.
#
# usage: tests/e2e/described.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

fail() {
  echo "described.sh: $*" >&2
  exit 1
}
serve() { # LOG OPTION...
  expect 0 replay --workload sharegpt,n=300 --rate 10 --kv-blocks 1500 --max-model-len 2048 \
    --policy vllm-v0-swap --json "$1.json" --log "$1" --quiet "${@:2}"
}
seconds() { awk '$1 == "\"makespan_s\":" { print $2 + 0 }' "$1.json"; }

# A model as its config.json says.
mkdir "$work/some-opt"
cat >"$work/some-opt/config.json" <<'CONFIG'
{"architectures": ["OPTForCausalLM"], "model_type": "opt", "num_hidden_layers": 32, "hidden_size": 4096,
 "num_attention_heads": 32, "ffn_dim": 16384, "vocab_size": 50272, "max_position_embeddings": 2048,
 "word_embed_proj_dim": 4096, "do_layer_norm_before": true, "activation_function": "relu", "torch_dtype": "float16"}
CONFIG
serve "$work/listed" --model opt-6.7b
serve "$work/described" --model "$work/some-opt/"
diff <(grep -v '^#' "$work/listed") <(grep -v '^#' "$work/described") >/dev/null ||
  fail 'opt-6.7b by name and by its config.json take other steps'
expect 0 replay --model "$work/some-opt" --workload fixed,n=1
said '^some-opt on 1 x h200'

# A device like a listed one, and with half of its arithmetic and memory bandwidth.
echo '{"like": "a100-80g", "name": "mine"}' >"$work/same.json"
echo '{"like": "a100-80g", "name": "half", "full_name": "half of one", "n_sms": 54, "peak_flops": 156e12,
  "memory_bytes_per_s": 1.0195e12, "memory_bytes": 4e10, "link_bytes_per_s": 12.5e9}' >"$work/half.json"
serve "$work/listed" --device a100-80g
serve "$work/described" --device "$work/same.json"
diff <(grep -v '^#' "$work/listed") <(grep -v '^#' "$work/described") >/dev/null ||
  fail 'a device and its description take other steps'
serve "$work/slow" --device "$work/half.json" --results "$work/results.db"
awk "BEGIN { exit !($(seconds "$work/slow") > 1.3 * $(seconds "$work/listed")) }" ||
  fail "half a device takes $(seconds "$work/slow") s instead of $(seconds "$work/listed")"
[ "$(sqlite3 -batch "$work/results.db" 'select device from run')" = half ] || fail 'stored under another name'
expect 0 profile --device "$work/half.json" --model "$work/some-opt" --iterations 60 --copies 40 \
  --profile "$work/profiles.db" --quiet
expect 0 fit --profile "$work/profiles.db" --device half --model some-opt
said '^iteration '

refused() { # TEXT PATTERN
  echo "$1" >"$work/bad.json"
  expect 1 replay --device "$work/bad.json" --workload fixed,n=1
  said "bad.json.*$2"
}
refused '{"like": "a100-80g"}' 'name is missing'
refused '{"name": "mine"}' 'like is missing'
refused '{"like": "a100", "name": "mine"}' '"a100", .*adaptivellm devices'
refused '{"like": "a100-80g", "name": "h200"}' '"h200", .*listed'
refused '{"like": "a100-80g", "name": ""}' 'name is ""'
refused '{"like": "a100-80g", "name": "mine", "peak_flop": 1e14}' "no 'peak_flop'; did you mean 'peak_flops'"
refused '{"like": "a100-80g", "name": "mine", "peak_flops": -1}' 'peak_flops is -1'
refused '{"like": "a100-80g", "name": "mine", "memory_bytes": 80}' 'memory_bytes is 80, not from 1e\+06 to 1e\+15'
refused '{"like": "a100-80g", "name": "mine", "n_sms": 1.5}' 'n_sms is 1.5'
refused '{"like": "a100-80g", "name": "mine", "name": "other"}' 'duplicate'
refused '[]' 'no JSON object'
refused '{"like":' 'line [0-9]+, column [0-9]+: unexpected'
expect 1 replay --device "$work/none.json" --workload fixed,n=1
said 'none.json'
expect 2 replay --device "$work" --workload fixed,n=1
said 'there is no device'
mkdir "$work/empty"
expect 1 replay --model "$work/empty" --workload fixed,n=1
said 'empty/config.json: No such file'
sed -i 's/"num_hidden_layers": 32/"num_hidden_layers": 0/' "$work/some-opt/config.json"
expect 1 replay --model "$work/some-opt" --workload fixed,n=1
said 'num_hidden_layers is 0'
echo 'described.sh: devices and models of files are what the files say'
