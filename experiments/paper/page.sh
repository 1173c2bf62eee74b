#!/usr/bin/env bash
# page.sh - writes the page of the paper experiments from what was run.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/page.sh [OPTION...]

Writes FILE (results/paper.md), and its figures into a folder beside it with the same name
without .md, from the databases in DIR. Runs nothing but throughput.sh and turnaround.sh where
they have not been run; what the other experiments have not made is left out.
END
}

begin "$@"
figures=${page%.md}
. "$here/page_tables.sh"
need turnaround
make_tables
mkdir -p "$figures"
write_page >"$page.new"
mv "$page.new" "$page"
say "wrote $page"
