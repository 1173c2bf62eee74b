# common.sh - what the paper experiments share: options, profiles, roles, tables; with points.sh, which
# serves the cases. Sourced by the scripts in this folder.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # some are for the scripts that source this file, or set by them
set -euo pipefail
export LC_ALL=C

here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
self=$(basename "$0")
# shellcheck source-path=SCRIPTDIR
. "$here/policies.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/cases.sh"
# shellcheck source-path=SCRIPTDIR
. "$here/points.sh"

noise=0.005

stop() { # STATUS TEXT
  printf '%s: %s\n' "$self" "$2" >&2
  exit "$1"
}

options_help() {
  cat <<'END'

  --cases LIST    main (default), full, the first N of main, or MODEL_DEVICE_WORKLOAD,...
  --requests N    of each run (default 5000)
  --seeds N       runs with seeds 1 to N (default 3); tables show mean (lowest to highest)
  --as ROLE=POLICY  another policy in a role of experiments/paper/policies.sh
  --roles LIST    these roles alone, set apart by commas
  --out DIR       databases, tables and figures (default: out/paper of the project)
  --jobs N        runs at a time (default: the number of cores)
  --program FILE  the program (default: build/experiments/adaptivellm of the project)
  --page FILE     what page.sh writes (default: results/paper.md of the project)
  --help          prints this

What it needs and is not in DIR yet (profiles, pools, capacities) is made first. The same
command goes on where it was stopped. Another number of requests wants another DIR.
END
}

# Reads the options that all scripts have, prepares the folder, and fills in roles.
begin() { # ARGUMENT...
  local list=main n_seeds=3 only='' other=() role
  arguments=("$@")
  requests=5000 out=$root/out/paper jobs=$(nproc) program='' page=$root/results/paper.md
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) usage && options_help && exit 0 ;;
      --cases | --requests | --seeds | --as | --roles | --out | --jobs | --program | --page)
        [ -n "${2-}" ] || stop 2 "$1 wants a value"
        case $1 in
          --cases) list=$2 ;;
          --requests) requests=$2 ;;
          --seeds) n_seeds=$2 ;;
          --as) other+=("$2") ;;
          --roles) only=,$2, ;;
          --out) out=$2 ;;
          --jobs) jobs=$2 ;;
          --program) program=$2 ;;
          --page) page=$2 ;;
        esac
        shift
        ;;
      *) stop 2 "no option '$1'; $self --help lists them" ;;
    esac
    shift
  done
  [[ "$requests $n_seeds $jobs " =~ ^([1-9][0-9]*\ )+$ ]] ||
    stop 2 '--requests, --seeds and --jobs are numbers above 0'
  mapfile -t seeds < <(seq "$n_seeds")
  choose_cases "$list"
  build
  open_folder
  make_profiles "${cases[@]}"
  choose_roles "$only" "${other[@]}"
}

build() {
  if [ -z "$program" ]; then
    "$root/experiments/install_packages.sh" sweep
    [ -f "$root/build/build.ninja" ] || meson setup "$root/build" "$root" >/dev/null
    meson compile -C "$root/build" adaptivellm >/dev/null
    program=$root/build/experiments/adaptivellm
  fi
  [ -x "$program" ] || stop 1 "there is no program $program"
  program=$(realpath "$program")
}

open_folder() {
  mkdir -p "$out/sweeps/done"
  out=$(realpath "$out")
  rm -f "$out/probe.db"
  results=$out/results.db profiles=$out/profiles.db tables=$out/tables.db
  [ -f "$results" ] || rm -f "$out"/sweeps/done/*
  [ -f "$out/requests" ] || echo "$requests" >"$out/requests"
  cmp -s "$program" "$out/program" || note_program
  [ "$(cat "$out/requests")" = "$requests" ] ||
    stop 2 "$out was made with --requests $(cat "$out/requests"): name another folder by --out"
}

# Runs of two programs in one folder may not be comparable.
note_program() {
  [ ! -f "$out/program" ] || echo "note: $out holds runs of another build: start anew where policies changed"
  cp "$program" "$out/program"
}

# Runs another script of this folder with the options of this one.
need() { # NAME [OPTION...]
  paper_needed=1 bash "$here/$1.sh" "${arguments[@]}" --program "$program" "${@:2}"
}

query() { # DB SQL
  sqlite3 -batch -noheader -bail -cmd '.timeout 10000' "$1" "$2"
}

say() { # TEXT
  printf '%4d s  %s\n' "$SECONDS" "$1"
}

# Host memory for KV per device: a server of 2 TiB with eight devices, one of 1 TiB with eight, and
# a workstation.
# shellcheck disable=SC2034 # used by the scripts that source this file
host_gib_of() { # DEVICE
  case $1 in
    h200) echo 256 ;;
    a100-40g) echo 128 ;;
    *) echo 64 ;;
  esac
}

# --- profiles

# Measures and fits each device and model once. What is measured has the noise of the runs.
make_profiles() { # CASE...
  local name
  for name in "$@"; do
    split_case "$name"
    is_fitted "$profiles" || make_profile
  done
}

is_fitted() { # DB, with device and model
  [ -f "$1" ] && [ "$(query "$1" "SELECT count(*) FROM fit JOIN device d ON d.id = device_id
    JOIN model m ON m.id = model_id WHERE d.name = '$device' AND m.name = '$model'
    AND operation = 'iteration'")" -gt 0 ]
}

make_profile() {
  say "profile of $device, $model"
  "$program" profile --device "$device" --model "$model" --noise "$noise" --host-gib "$(host_gib_of "$device")" \
    --profile "$profiles" --quiet
  "$program" fit --profile "$profiles" --device "$device" --model "$model" --quiet
}

# --- roles

# Sets policy_of[ROLE] and title_of[ROLE] for the roles that this program can play.
choose_roles() { # LIST ROLE=POLICY...
  local only=$1 role policy title pair
  declare -gA policy_of=() title_of=()
  role_names=()
  shift
  while IFS='|' read -r role policy title; do
    [ -n "$role" ] || continue
    for pair in "$@"; do
      [ "${pair%%=*}" != "$role" ] || policy=${pair#*=}
    done
    [ -z "$only" ] || [[ $only = *,$role,* ]] || continue
    is_usable "$policy" || {
      [ -n "${paper_needed-}" ] || echo "$why"
      continue
    }
    role_names+=("$role")
    policy_of[$role]=$canonical title_of[$role]=$title
  done <<<"$roles"
  for pair in "$@"; do
    [[ $roles = *$'\n'"${pair%%=*}|"* ]] || stop 2 "--as $pair: there is no such role"
  done
  [ ${#role_names[@]} -gt 0 ] || stop 1 'the program knows none of the policies'
}

# Whether the program takes a policy with its settings. Sets why to the reason where not, and
# canonical to its name in the database, where settings have one order and defaults are left out.
is_usable() { # POLICY
  split_case "${cases[0]}"
  if ! why=$("$program" replay --workload fixed,n=1 --device "$device" --model "$model" \
    --profile "$profiles" --policy "$1" --results "$out/probe.db" --quiet 2>&1); then
    why="left out: $1: ${why%%$'\n'*}"
    why=${why/adaptivellm replay: /}
    return 1
  fi
  canonical=$(query "$out/probe.db" 'SELECT policy FROM run ORDER BY id DESC LIMIT 1')
}

# Prints the policies of those roles of a list that are played.
policies_of() { # ROLE...
  local role
  for role in "$@"; do
    [ -z "${policy_of[$role]-}" ] || echo "${policy_of[$role]}"
  done
}

# Begins the set of policies of an experiment, which is not made of roles.
begin_set() { # EXPERIMENT
  experiment=$1 set_policies=()
  touch "$out/members.tsv"
  awk -F '\t' -v name="$1" '$1 != name' "$out/members.tsv" >"$out/members.new"
  mv "$out/members.new" "$out/members.tsv"
}

# Adds a policy to it that stands in tables as a series and a category, if the program takes it.
add_member() { # SERIES CATEGORY POLICY
  is_usable "$3" || { echo "$why" && return; }
  set_policies+=("$canonical")
  printf '%s\t%s\t%s\t%s\n' "$experiment" "$1" "$2" "$canonical" >>"$out/members.tsv"
}

# --- tables and figures

# Makes tables.db from the databases of the runs.
make_tables() {
  local role
  for role in "${role_names[@]}"; do
    printf '%s\t%s\t%s\n' "$role" "${policy_of[$role]}" "${title_of[$role]}"
  done >"$out/roles.tsv"
  touch "$out/members.tsv"
  printf '%s\n' "${cases[@]}" >"$out/cases.tsv"
  printf '%s\n' "${seeds[@]}" >"$out/seeds.tsv"
  rm -f "$tables"
  (cd "$out" && sqlite3 -batch -bail tables.db <"$here/measures.sql")
}

# Prints a table of tables.db in Markdown.
print_table() { # SQL
  sqlite3 -batch -bail -cmd '.mode markdown' -cmd '.nullvalue -' "$tables" "$1"
}

# Draws a figure of tables.db, unless there is nothing to draw.
draw() { # NAME WHERE
  [ "$(query "$tables" "SELECT count(*) FROM measure WHERE $2")" -gt 0 ] || return 0
  gnuplot -c "$root/plots/paper_$1.gp" "$tables" "$out/$1" && say "drew $out/$1.png"
}
