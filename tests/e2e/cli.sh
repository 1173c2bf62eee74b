#!/usr/bin/env bash
# cli.sh - the command line explains itself and tells misuse (exit 2) from failure (exit 1).
#
# usage: tests/e2e/cli.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

commands=(replay compare trace profile fit predict policies devices models)

expect 0 --help
for command in "${commands[@]}"; do
  said "  $command "
done
expect 0 --version
said '^adaptivellm [0-9]+\.[0-9]+\.[0-9]+$'
expect 2
said '^usage: '
expect 2 repaly
said "no command 'repaly'.*did you mean 'replay'"

for command in "${commands[@]}"; do
  expect 0 "$command" --help
  said "^usage: adaptivellm $command"
  expect 2 "$command" --no-such-option
  said 'no-such-option'
done

expect 0 trace stat --workload fixed,n=500,clients=3
said '^  clients +3$'
expect 0 trace generate fixed,n=500,clients=3 --output "$work/three.jsonl"
expect 0 trace stat "$work/three.jsonl" --json
said '"n_clients": 3'

for list in policies devices models; do
  expect 0 "$list"
done
expect 0 policies
said '^vllm-v0-recompute ' && said '^vllm-v0-swap ' && said '^vllm-v1 ' && said '^nano-vllm '
expect 0 devices
said '^h200 ' && said '^rtx-pro-6000 '
expect 0 models
said '^llama-3-8b ' && said '^opt-13b '
