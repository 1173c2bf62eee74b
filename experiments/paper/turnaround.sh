#!/usr/bin/env bash
# turnaround.sh - how long requests take, relative to their work, at loads around the capacity.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/turnaround.sh [OPTION...]

Serves each case in each of its pools, with Poisson arrivals at 110, 100, 90 and 70 % of the
capacity of vLLM V0 there, under all roles; draws DIR/turnaround.png and .svg. All requests at
once are throughput.sh's.
END
}

begin "$@"
need throughput
points=()
for name in "${cases[@]}"; do
  for level in "${levels[@]}"; do add_point "$name" "$level" open; done
done
mapfile -t policies < <(policies_of "${role_names[@]}")
serve "${policies[@]}"
make_tables
draw turnaround "name = 'turnaround/v0' AND load != 'all'"
