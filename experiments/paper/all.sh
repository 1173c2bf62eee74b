#!/usr/bin/env bash
# all.sh - all paper experiments from nothing, then the page.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/all.sh [OPTION...]

Runs all experiments of this folder and writes the page, as page.sh does. Stopped, it goes on
with the same command.
END
}

begin "$@"
for name in set_memory capacity throughput turnaround ablation neighbours pareto mechanisms sensitivity \
  predictor_error page; do
  say "$name"
  need "$name"
done
