# expect.sh - sourced by the end-to-end tests: runs the binary, which is their first argument,
# and looks at what it said.
# shellcheck shell=bash

program=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# expect STATUS ARGUMENT...: the binary ends with that status; what it says is kept for said.
expect() {
  local want=$1 got=0
  shift
  last="$*"
  "$program" "$@" >"$work/said" 2>&1 </dev/null || got=$?
  [ "$got" -eq "$want" ] && return
  printf 'adaptivellm %s: exit %d instead of %d\n' "$last" "$got" "$want" >&2
  cat "$work/said" >&2
  exit 1
}

# said PATTERN: the last run printed a line that matches the extended regular expression.
said() {
  grep -qE -- "$1" "$work/said" && return
  printf 'adaptivellm %s: no line matches %s\n' "$last" "$1" >&2
  cat "$work/said" >&2
  exit 1
}

# measure DB DEVICE MODEL OPTION...: profile and fit of a device that really takes time. Where
# other programs run, samples may contradict each other: they are then measured again.
measure() {
  local db=$1 device=$2 model=$3 try
  shift 3
  for try in 1 2 3 4; do
    rm -f "$db"
    expect 0 profile --backend "$device" --profile "$db" --quiet "$@"
    "$program" fit --profile "$db" --device "$device" --model "$model" --quiet \
      >"$work/said" 2>&1 && return
    said contradict
    echo "measuring again ($try)"
  done
  expect 0 fit --profile "$db" --device "$device" --model "$model" --quiet
}
