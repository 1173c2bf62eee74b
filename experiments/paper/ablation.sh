#!/usr/bin/env bash
# ablation.sh - what comes from the order of service, and what from the handling of memory.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/ablation.sh [OPTION...]

Serves the first two cases at p25, all requests at once and at 110 and 90 % load, under
every order with every memory policy of policies.sh that the program takes; draws
DIR/ablation.png and .svg.
END
}

begin "$@"
need capacity
open_loads='110 90'
points=()
for name in "${cases[@]:0:2}"; do
  add_point "$name" p25 all
  add_point "$name" p25 open
done
begin_set ablation
for memory in "${ablation_memories[@]}"; do
  for order in "${ablation_orders[@]}"; do add_member "$memory" "$order" "$memory,order=$order"; done
done
mapfile -t plain < <(policies_of v0-recompute v0-swap bound srpt)
serve "${plain[@]}" "${set_policies[@]}"
make_tables
draw ablation "case_name IN (SELECT case_name FROM complete WHERE experiment = 'ablation')"
