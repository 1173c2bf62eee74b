#!/usr/bin/env bash
# predictor_error.sh - how wrong the predictor is, on the shelf and while it decides.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/predictor_error.sh [OPTION...]

Serves each case in each pool, all requests at once, under our roles and vllm-v0-swap; draws
DIR/predictor_error.png and .svg: the mean absolute error of what was predicted of iterations,
swaps and recomputes, beside that of the fits on samples that they did not see. More of the
predictor: experiments/self_consistency.sh, fit_tables.sh and decision_regret.sh.
END
}

begin "$@"
need capacity
points=()
for name in "${cases[@]}"; do
  for level in "${levels[@]}"; do add_point "$name" "$level" all; done
done
mapfile -t policies < <(policies_of v0-swap "${ours[@]}")
serve "${policies[@]}"
make_tables
draw predictor_error "name = 'mape iteration' AND load = 'all'"
