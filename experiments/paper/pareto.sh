#!/usr/bin/env bash
# pareto.sh - what fairness costs in throughput and in the mean.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/pareto.sh [OPTION...]

Serves the first two cases at p25 under the role adaptive with fairness from 0 to 1 and under
the other roles, all requests at once and at 110 and 90 % load; draws DIR/pareto.png
and .svg: the mean weighted turnaround against the worst.
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
begin_set pareto
for setting in "${pareto_settings[@]}"; do
  add_member adaptive "${setting#*=}" "${policy_of[adaptive]:-adaptive},$setting"
done
mapfile -t plain < <(policies_of "${role_names[@]}")
serve "${plain[@]}" "${set_policies[@]}"
make_tables
draw pareto "case_name IN (SELECT case_name FROM complete WHERE experiment = 'pareto')"
