#!/usr/bin/env bash
# headers.sh - each header compiles alone, twice in one file, with its folder's include path.
#
# usage: tests/headers.sh BUILD_FOLDER. The include paths are those of the build, out of its
# compile_commands.json.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2; }
build=$(cd "$1" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/include_paths.sh

failed=0 n=0
while read -r header; do
  name=$(basename "$header")
  mapfile -t flags < <(include_flags "$build" "$(dirname "$header")")
  n=$((n + 1))
  printf '#include "%s"\n#include "%s"\ntypedef int not_empty;\n' "$name" "$name" |
    (cd "$build" && "${CC:-cc}" -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic \
      -Wstrict-prototypes -Werror -fsyntax-only "${flags[@]}" -x c -) ||
    { echo "$header does not compile alone" && failed=1; }
done < <(project_headers | grep '\.h$') # those that C includes
echo "$n headers"
[ "$n" -gt 0 ] && exit "$failed"
