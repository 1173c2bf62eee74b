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
