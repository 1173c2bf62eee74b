#!/usr/bin/env bash
# neighbours.sh - what other systems would do, as far as they are modelled.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/neighbours.sh [OPTION...]

Serves the first two cases at p25, all requests at once and at 110 and 90 % load, under every
policy of the program that stands for another system (policies.sh).
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
begin_set neighbours
for pair in "${neighbours[@]}"; do add_member systems "${pair%%=*}" "${pair#*=}"; done
mapfile -t plain < <(policies_of v0-recompute v0-swap bound srpt)
serve "${plain[@]}" "${set_policies[@]}"
make_tables
