#!/usr/bin/env bash
# render.sh - draws the figures that the stored runs allow, as PNG and SVG.
set -euo pipefail

usage() {
    cat <<'END'
usage: plots/render.sh DB OUTDIR [RUN_ID...]

Draws into OUTDIR, from the results database DB:
  cdf_weighted_turnaround, cdf_ttft   distributions over requests, a line per run
  timeline                            KV use and queues over time, a column per run
  rate_sweep                          throughput and latency against the request rate

With run ids, all figures show these runs. Without, runs belong together that share trace,
model, device, backend and label (of runs by experiments/sweep.sh: the name of the sweep); such a
set is a sweep if a policy ran at two rates or more in it. The distributions and the timeline show the latest set that is no sweep (of each policy the
latest run), the rate figure the latest sweep.
END
}

fail() {
    echo "render.sh: $1" >&2
    exit "${2:-1}"
}

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
    usage
    exit 0
fi
[[ $# -ge 2 ]] || fail "a database and a folder are needed; render.sh --help explains" 2
db=$1 out=$2
shift 2
for tool in gnuplot sqlite3; do
    command -v "$tool" >/dev/null || fail "$tool is missing: install the packages gnuplot-nox and sqlite3"
done
[[ -f $db ]] || fail "$db: there is no such results database"
for id in "$@"; do
    [[ $id =~ ^[1-9][0-9]*$ ]] || fail "not the number of a run: $id" 2
done
mkdir -p "$out"
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Ids, or one number, separated by spaces; fails with the message of sqlite3.
query() {
    sqlite3 -batch -bail "$db" "$1" | tr '\n' ' ' || fail "$db: cannot be read as a results database"
}

# run_set(id, a_set, policy, rate) and sweep(a_set, newest). experiments/sweep.sh labels a run
# sweep:NAME:HASH; without the hexadecimal digits at its end the label is that of the sweep.
sets="WITH run_set AS (SELECT id, policy, settings ->> 'rate' AS rate, json_array(trace, model,
    device, backend, CASE WHEN label GLOB 'sweep:*:*' THEN rtrim(label, '0123456789abcdef') ELSE
    label END) AS a_set FROM run),
  sweep AS (SELECT a_set, max(newest) AS newest FROM (SELECT a_set, max(id) AS newest,
    count(DISTINCT rate) AS n_rates FROM run_set GROUP BY a_set, policy) GROUP BY a_set
    HAVING max(n_rates) > 1)"

if [[ $# -gt 0 ]]; then
    list=$(IFS=,; echo "$*")
    for id in "$@"; do
        [[ -n $(query "SELECT id FROM run WHERE id = $id") ]] || fail "$db: there is no run $id"
    done
    runs="$*"
    sweep=$(query "SELECT id FROM run WHERE id IN ($list) AND settings ->> 'rate' > 0 ORDER BY id")
    n_rates=$(query "SELECT count(DISTINCT settings ->> 'rate') FROM run WHERE id IN ($list)")
    [[ $n_rates -gt 1 ]] || sweep=""
else
    runs=$(query "$sets SELECT max(id) FROM run_set WHERE a_set = (SELECT a_set FROM run_set ORDER BY
        a_set IN (SELECT a_set FROM sweep), id DESC LIMIT 1) GROUP BY policy ORDER BY 1")
    sweep=$(query "$sets SELECT id FROM run_set WHERE a_set = (SELECT a_set FROM sweep ORDER BY newest
        DESC LIMIT 1) AND rate > 0 ORDER BY id")
    [[ -n $runs ]] || fail "$db: no runs have been stored in it yet"
fi

# Those of the runs with rows in a table: a figure of nothing is not drawn.
with_rows() {
    query "SELECT id FROM run WHERE id IN (${runs// /,}0) AND EXISTS (SELECT 1 FROM $1 WHERE
        run_id = run.id $2) ORDER BY id"
}

# draw FIGURE RUN_ID...
draw() {
    local figure=$1
    shift
    if [[ $# -eq 0 ]]; then
        echo "$figure: not drawn, the runs hold no data for it"
        return
    fi
    gnuplot -c "$folder/$figure.gp" "$db" "$out/$figure" "$*"
    echo "$out/$figure.png $out/$figure.svg: runs $*"
}

runs="${runs% } "
# Ids are split into words on purpose.
# shellcheck disable=SC2046,SC2086
{
    finished="AND outcome = 'finished'"
    draw cdf_weighted_turnaround $(with_rows request "$finished AND solo_s > 0")
    draw cdf_ttft $(with_rows request "$finished AND first_token_s IS NOT NULL")
    draw timeline $(with_rows sample "")
    draw rate_sweep $sweep
}
