#!/usr/bin/env bash
# throughput.sh - how much more is served in a time than under vLLM, and how far the bound is.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/throughput.sh [OPTION...]

Serves each case in each of its pools, all requests at once, under all roles; draws
DIR/throughput.png and .svg. Loads below and above capacity are turnaround.sh's.
END
}

begin "$@"
need capacity
points=()
for name in "${cases[@]}"; do
  for level in "${levels[@]}"; do add_point "$name" "$level" all; done
done
mapfile -t policies < <(policies_of "${role_names[@]}")
serve "${policies[@]}"
make_tables
draw throughput "name = 'throughput/v0'"
