#!/usr/bin/env bash
# includes.sh - an include against the arrows between the folders does not compile.
#
# usage: tests/includes.sh BUILD_FOLDER. For each folder one file asks the preprocessor, with the
# include path that the build gives the folder, for each header of the folders that it may not
# use; one that is found is an error. What the include path cannot hold is looked for in the text:
# paths in an #include, and system headers that only some files may use.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2; }
build=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/include_paths.sh

# FOLDER|FOLDERS whose headers it may use besides its own. experiments may use all.
arrows='
base/core|
base/io|base/core
traces|base/core base/io traces/request
scheduler|base/core traces/request
predictor|base/core base/io traces/request scheduler
sim|base/core traces/request scheduler
engine/model|base/core
engine/batch|base/core traces/request scheduler
engine/cpu|base/core traces/request scheduler engine/model engine/batch
engine/cuda|base/core traces/request scheduler engine/model engine/batch
engine/cuda/probe|base/core'

# Extended regular expressions of system headers, and of the only files that may include them.
systems='
sqlite3\.h                               ^(base/io/database|experiments/store|predictor/)
jansson\.h                               ^(base/io|traces|predictor|experiments|engine|tests)/
zlib\.h                                  ^(base/io|traces|tests)/
gsl/.*                                   ^(traces|predictor|experiments|tests)/
(time|sys/time|fcntl|unistd)\.h          ^(base|traces|predictor|sim|engine|experiments|tests)/
cuda.*                                   ^(engine/cuda|tests/gpu|tests/cuda_fake)/'

failed=0
complain() {
  echo "$*"
  failed=1
}

# Headers of folders that FOLDER may not use.
forbidden_to() { # FOLDER ALLOWED
  local header allowed
  while read -r header; do
    for allowed in "$1" $2; do
      case $header in "$allowed"/*) continue 2 ;; esac
    done
    basename "$header"
  done < <(project_headers)
}

n=0
check_folder() { # FOLDER ALLOWED
  local own flags name
  own=$(project_headers | grep -m 1 "^$1/" || true)
  [ -n "$own" ] || return 0
  mapfile -t flags < <(include_flags "$build" "$(dirname "$own")")
  {
    # The control: with the same path, the folder's own header is found.
    printf '#if !__has_include("%s")\n#error own header not found\n#endif\n' "$(basename "$own")"
    while read -r name; do
      printf '#if __has_include("%s")\n#error %s can be included\n#endif\n' "$name" "$name"
    done < <(forbidden_to "$1" "$2")
    echo 'typedef int not_empty;'
  } >"$work/arrows.c"
  n=$((n + $(grep -c '^#if __has' "$work/arrows.c" || true)))
  (cd "$build" && "${CC:-cc}" -std=c11 -fsyntax-only "${flags[@]}" "$work/arrows.c") ||
    complain "$1 can include what it must not know"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
while IFS='|' read -r folder allowed; do
  [ -z "$folder" ] || check_folder "$folder" "$allowed"
done <<<"$arrows"

mapfile -t folders < <(library_folders && echo tests)
doubles=$(project_headers | sed 's|.*/||' | sort | uniq -d)
[ -z "$doubles" ] || complain "two headers of one name, which include paths cannot tell apart: $doubles"

found=$(grep -rnE '^ *# *include *"[^"]*/' --include='*.[ch]' "${folders[@]}" || true)
[ -z "$found" ] || complain "a path in an #include goes round the include path:"$'\n'"$found"

while read -r header only; do
  [ -n "$header" ] || continue
  found=$(grep -rnE "^ *# *include *<$header>" --include='*.[ch]' --include='*.cu' \
    "${folders[@]}" | grep -vE "$only" || true)
  [ -z "$found" ] || complain "only $only may include $header:"$'\n'"$found"
done <<<"$systems"

[ "$failed" -ne 0 ] || echo "$n forbidden includes, none compiles"
exit "$failed"
