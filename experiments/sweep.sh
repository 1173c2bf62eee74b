#!/usr/bin/env bash
# sweep.sh - runs `adaptivellm replay` for every combination of the settings in a sweep file.
#
# A sweep file, also described in --help:
#   fixed KEY=VALUE KEY=VALUE FLAG ...    settings of all runs
#   axis KEY = VALUE VALUE ...            one run for each of the values
#
# Every run has an id, a hash of its settings in the order of their keys, and is stored under the
# label sweep:NAME:ID, NAME being that of the file. What is stored decides what is left to do, so
# a sweep that was killed at any moment goes on where it was: a run is stored whole at its end or
# not at all. Growing an axis leaves the ids of the other runs as they are.
#
# Never twice: one sweep at a time writes into a database. Its lock is inherited by all that it
# starts, so runs that outlive a killed sweep keep the next one waiting until they are stored.
#
# Runs are spread over the cores by GNU parallel (O. Tange, doi.org/10.5281/zenodo.1146014).
set -euo pipefail
export LC_ALL=C

root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/sweep_file.sh"
program=$root/build/experiments/adaptivellm
results=$root/out/results.db
jobs=$(nproc)
dry_run=false

usage() {
  cat <<'EOF'
usage: experiments/sweep.sh [OPTION...] FILE

Runs `adaptivellm replay` for every combination of the settings in FILE, several at a time.
Runs that are in the database already are left out, so that the same command continues a
sweep that was stopped, and adds what is new in FILE.

  --results DB    where runs are stored (default: out/results.db of the project)
  --jobs N        runs at a time (default: the number of cores)
  --dry-run       prints the commands of the runs that are left to do
  --program FILE  the program (default: build/experiments/adaptivellm of the project)
  --help          prints this

FILE has one statement per line:
  # policies under load
  fixed device=h200 kv-gib=8 workload=sharegpt,n=2000 no-horizon
  axis policy = vllm-v0-swap 'vllm-v0-swap,host_full=recompute' vllm-v1
  axis rate = 20 25 30
  axis seed = 1 2 3
KEY is an option of `adaptivellm replay` without its --. Values are set apart by blanks; a
value, or a part of it, in '...' or "..." may hold blanks, # and the other quote. A # at the
start of a word begins a comment. Names of files in it are relative to the folder of FILE.

A run is stored under the label sweep:NAME:ID, where NAME is FILE without folder and ending
and ID a hash of its settings:
  sqlite3 out/results.db "SELECT policy, settings FROM run WHERE label GLOB 'sweep:NAME:*'"
The program is not part of the ID: use a new database for the runs of a new program.
Runs that finished, aborted or got stuck are results. One that failed or was interrupted is
run again by the next call, in place of the row that it left.

Ends with a table of the outcomes. Exit 0: all runs are stored; 1: some are not; 2: misuse.
EOF
}

stop() { # STATUS TEXT
  printf 'sweep.sh: %s\n' "$2" >&2
  exit "$1"
}

sql() { # DB, statements on standard input
  sqlite3 -batch -noheader -list -bail -cmd '.timeout 10000' "$1" && return
  echo "sweep.sh: $1: see above; wait for who holds it, or name another database" >&2
  return 1
}

parse_arguments() {
  file=
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) usage && exit 0 ;;
      --dry-run) dry_run=true ;;
      --results | --jobs | --program)
        [ -n "${2-}" ] || stop 2 "$1 wants a value"
        case $1 in
          --results) results=$2 ;;
          --jobs) jobs=$2 ;;
          --program) program=$2 ;;
        esac
        shift
        ;;
      -*) stop 2 "no option '$1'; sweep.sh --help lists them" ;;
      *) [ -z "$file" ] || stop 2 "one sweep at a time, not '$file' and '$1'" && file=$1 ;;
    esac
    shift
  done
  [ -n "$file" ] || { usage >&2 && exit 2; }
  [[ $jobs =~ ^[1-9][0-9]*$ ]] || stop 2 "--jobs is a number of runs, not '$jobs'"
  { [ -f "$file" ] && [ -r "$file" ]; } || stop 1 "cannot read $file"
  name=$(basename "$file")
  name=${name%.*}
  [[ $name =~ ^[A-Za-z0-9._-]+$ ]] ||
    stop 2 "the name of $file is part of labels: only letters, digits, dot, _ and - may be in it"
}

check_tools() {
  [ -x "$program" ] ||
    stop 1 "there is no program $program: meson setup build && meson compile -C build"
  program=$(realpath "$program")
  { [[ $(parallel --version 2>/dev/null </dev/null) = *'GNU parallel'* ]] &&
    command -v sqlite3 && command -v setpriv && command -v flock; } >/dev/null ||
    stop 1 'GNU parallel, sqlite3, setpriv or flock is missing: install_packages.sh sweep gets them'
}

lock() {
  exec {lock_fd}<>"$results.lock" || stop 1 "cannot write $results.lock"
  flock -n "$lock_fd" ||
    stop 1 "$results is in use by a sweep ($(cat "$results.lock")): wait for it, or name another \
database by --results; the last runs of a killed sweep end by themselves"
  echo "process $$, $file" >"$results.lock"
}

# A run of one request into a new database tells what the program itself would write.
check_database() {
  local identity='PRAGMA application_id; PRAGMA user_version;' here ours
  [ -s "$results" ] || return 0
  "$program" replay --workload fixed,n=1 --quiet --results "$work/own.db"
  mapfile -t ours < <(sql "$work/own.db" <<<"$identity")
  here=$(sql "$results" <<<"$identity")
  mapfile -t here <<<"$here"
  [ "${here[0]}" = "${ours[0]}" ] ||
    stop 1 "$results is a database of another program: name another"
  [ "${here[1]}" = "${ours[1]}" ] ||
    stop 1 "$results: version ${here[1]} of the results, $program writes version ${ours[1]}: \
use the program that made it, or name another database"
}

# Sets outcome[LABEL], message[LABEL] and commit[LABEL] from the database.
read_outcomes() {
  local rows label how hash text
  declare -gA outcome=() message=() commit=()
  [ -s "$results" ] || return 0
  rows=$(
    sql "$results" <<EOF
SELECT label, outcome, ifnull(commit_hash, 'unknown'), replace(ifnull(message, ''), char(10), ' ')
FROM run WHERE label GLOB 'sweep:$name:*' ORDER BY id;
EOF
  )
  [ -n "$rows" ] || return 0
  while IFS='|' read -r label how hash text; do
    outcome[$label]=$how message[$label]=$text commit[$label]=$hash
  done <<<"$rows"
}

is_done() { # LABEL
  [[ ${outcome[$1]-} =~ ^(finished|aborted|stuck)$ ]]
}

# Prints the command line of a run.
command_of() { # INDEX
  local all
  mapfile -t all <<<"${runs[$1]%$'\n'}"
  all=("$program" replay "${all[@]}" --quiet --results "$results" --label "${labels[$1]}")
  printf '%s' "${all[*]@Q}"
}

# Rows of earlier attempts go, so that a label names one run.
forget_unfinished() {
  local i unfinished=''
  for i in "${todo[@]}"; do
    [ -z "${outcome[${labels[i]}]-}" ] || unfinished+=",'${labels[i]}'"
  done
  [ -z "$unfinished" ] ||
    sql "$results" <<<"PRAGMA foreign_keys = ON; DELETE FROM run WHERE label IN (${unfinished#,});"
}

# The settings that tell a run from the others, in the order of the axes.
point() { # INDEX
  local key option text=''
  for key in "${axes[@]}"; do
    while read -r option; do
      [[ $option != "--$key="* ]] || text+=" ${option#--}"
    done <<<"${runs[$1]}"
  done
  echo "${text# }"
}

# Where sweep.sh is killed, parallel is told to start no more runs and ends with those under way.
# Its status counts the runs that exit with 1, as those do that abort; the database knows better.
run_all() {
  local i bar=()
  for i in "${todo[@]}"; do
    point "$i" >&3
    printf '%s 2>%q\n' "$(command_of "$i")" "$work/said/$i"
  done >"$work/commands" 3>"$work/points"
  [ ! -t 2 ] || bar=(--bar) # which shows the first of the arguments
  PARALLEL_SHELL=$BASH setpriv --pdeathsig TERM \
    parallel --plain --will-cite --ungroup --jobs "$jobs" "${bar[@]}" --link 'eval {2}' \
    :::: "$work/points" "$work/commands" </dev/null || true
}

# Sets how to what became of a run, and why to what was said of it.
judge() { # INDEX
  local said=$work/said/$1
  how=${outcome[${labels[$1]}]-} why=${message[${labels[$1]}]-}
  [ -z "$how" ] || return 0
  how='not begun'
  [ -e "$said" ] || return 0
  how='not stored' why=$(tr '\n' ' ' <"$said")
  why=${why:-it was killed, or has not ended yet}
}

# Prints the table and every run that was begun and did not finish; 1 if runs are left to do.
report() {
  local i how why n_left=0 column
  local -A count=() is_new=() builds=()
  for i in "${todo[@]}"; do is_new[$i]=now; done
  for i in "${!runs[@]}"; do
    judge "$i"
    column=${is_new[$i]:-before}
    count[$how $column]=$((${count[$how $column]-0} + 1))
    if is_done "${labels[i]}"; then
      builds[${commit[${labels[i]}]}]=1
    else
      n_left=$((n_left + 1))
    fi
    [ "$how" = finished ] || [ "$how" = 'not begun' ] ||
      printf '%s: %s: %s\n' "$how" "$(point "$i")" "$why"
  done >"$work/unfinished"
  printf '\n%-12s %8s %8s\n' "$name" before now
  for how in finished aborted stuck failed interrupted 'not stored' 'not begun'; do
    printf '%-12s %8d %8d\n' "$how" "${count[$how before]-0}" "${count[$how now]-0}"
  done
  echo
  cat "$work/unfinished"
  [ ${#builds[@]} -le 1 ] || echo "note: runs of ${#builds[@]} builds are mixed: ${!builds[*]}"
  echo "stored in $results"
  [ "$n_left" -gt 0 ] || return 0
  echo "left to do: $n_left runs; the same command goes on with them"
  return 1
}

main() {
  local i
  parse_arguments "$@"
  check_tools
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  read_keys
  read_sweep
  expand
  [ "$results" != "$root/out/results.db" ] || mkdir -p "$root/out"
  [ -d "$(dirname "$results")" ] || stop 1 "there is no folder for $results"
  results=$(realpath "$results")
  $dry_run || lock
  check_database
  read_outcomes
  todo=()
  for i in "${!runs[@]}"; do is_done "${labels[i]}" || todo+=("$i"); done
  cd "$(dirname "$file")"
  if $dry_run; then
    printf 'cd %q\n' "$PWD"
    for i in "${todo[@]}"; do command_of "$i" && echo; done
    exit
  fi
  echo "$name: ${#runs[@]} runs, ${#todo[@]} of them left to do, $jobs at a time"
  forget_unfinished
  trap : INT # parallel ends, and the table is still printed
  run_all
  read_outcomes
  report || exit 1
}

main "$@"
