# points.sh - serves cases at levels of memory under loads, by experiments/sweep.sh. Sourced by common.sh.
#
# A point is a case at a level of memory under a load: CASE_LEVEL_LOAD, or CASE_LEVEL_LOAD_VARIANT
# where a setting differs. Its name is that of its sweep, and so is part of the label of its runs:
# measures.sql takes it from there. Experiments that meet in a point share its runs.
#
# Levels: p10 p25 p50 (that share of the requests is preempted under vLLM V0), whole (all the
# memory of the device). Loads: all (all requests at once), open (rates in % of the capacity).
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # some are for the scripts that source this file, or set by them

levels=(p10 p25 p50 whole)
open_loads='110 100 90 70'

# Prints a column of the row of a case and level in a table of the folder.
look_up() { # FILE CASE LEVEL COLUMN
  awk -F '\t' -v name="$2" -v level="$3" -v column="$4" '
    NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i }
    $1 == name && $2 == level { print $at[column] }' "$out/$1"
}

# Adds a point to points[], unless the case has no such level, or no capacity there to be a load of.
add_point() { # CASE LEVEL LOAD [VARIANT [KEY=VALUE...]]
  [ -n "$(look_up memory.tsv "$1" "$2" kv_blocks)" ] || return 0
  [ "$3" = all ] || [[ $(look_up capacity.tsv "$1" "$2" capacity) =~ ^[0-9] ]] || return 0
  points+=("$*")
}

# Writes the sweep of a point into a file: settings that a variant names take the place of others.
write_sweep() { # FILE KEY=VALUE... -- AXIS...
  local file=$1 pair keys=()
  shift
  declare -A value=()
  while [ "$1" != -- ]; do
    [ -n "${value[${1%%=*}]-}" ] || keys+=("${1%%=*}")
    value[${1%%=*}]=${1#*=}
    shift
  done
  shift
  {
    for pair in "${keys[@]}"; do printf 'fixed %s=%s\n' "$pair" "${value[$pair]}"; done
    printf 'axis %s\n' "$@"
  } >"$file"
}

# Runs a sweep, unless it was run with the same text before.
run_sweep() { # DB FILE TITLE
  local mark status=0
  mark=$out/sweeps/done/$(basename "$2").$(sha256sum <"$2" | head -c 16)
  [ ! -f "$mark" ] || return 0
  say "$self: $3"
  bash "$root/experiments/sweep.sh" --program "$program" --results "$1" --jobs "$jobs" "$2" \
    >"$out/sweep.log" 2>&1 </dev/null || status=$?
  [ "$status" -eq 0 ] || { cat "$out/sweep.log" >&2 && stop 1 "$2: not all runs are stored"; }
  query "$1" 'DELETE FROM sample' # of queues over time: a megabyte for every few runs
  touch "$mark"
}

# Serves a case at a level: `all` at once, or `open` at the rates of open_loads.
serve_point() { # CASE LEVEL LOAD VARIANT KEY=VALUE... -- POLICY...
  local name=$1 level=$2 load=$3 variant=$4 settings rates='' percent axes capacity
  shift 4
  settings=("device=$device" "model=$model" "profile=../profiles.db" "noise=$noise"
    "kv-blocks=$(look_up memory.tsv "$name" "$level" kv_blocks)" "host-gib=$(host_gib_of "$device")"
    keep-requests=0)
  axes=("seed = ${seeds[*]}")
  if [ "$load" = all ]; then
    settings+=("workload=$workload,n=$requests,arrival=all-at-once")
  else
    settings+=("workload=$workload,n=$requests")
    capacity=$(look_up capacity.tsv "$name" "$level" capacity)
    for percent in $open_loads; do
      rates+=" $(awk "BEGIN { printf \"%.6g\", $capacity * $percent / 100 }")"
    done
    axes+=("rate =$rates")
  fi
  while [ "$1" != -- ]; do settings+=("$1") && shift; done
  shift
  axes+=("policy = $(printf "'%s' " "$@")")
  name=$out/sweeps/${name}_${level}_$load${variant:+_$variant}.sweep
  write_sweep "$name" "${settings[@]}" -- "${axes[@]}"
  run_sweep "$results" "$name" "$title"
}

# Serves all points[], under these policies, each once.
serve() { # POLICY...
  local i name level load variant rest policies title
  [ $# -gt 0 ] || { say 'nothing to run: the program has none of the policies' && return; }
  mapfile -t policies < <(printf '%s\n' "$@" | awk '!seen[$0]++')
  for i in "${!points[@]}"; do
    read -r name level load variant rest <<<"${points[i]}"
    split_case "$name"
    title="$((i + 1))/${#points[@]}: $name $level $load $variant"
    # shellcheck disable=SC2086 # settings are words
    serve_point "$name" "$level" "$load" "$variant" $rest -- "${policies[@]}"
  done
}
