# include_paths.sh - sourced: the headers of the tree and the include path of each folder.
# shellcheck shell=bash

# The folders that are libraries, those that there are.
library_folders() {
  local folder
  for folder in base traces scheduler predictor sim engine experiments; do
    [ ! -d "$folder" ] || echo "$folder"
  done
}

# Paths of all their headers, of C and of CUDA.
project_headers() {
  library_folders | xargs -I {} find {} -name '*.h' -o -name '*.cuh' | sort
}

# include_flags BUILD FOLDER: the -I options, one per line, that the build gives to the sources of
# FOLDER (or, when there are headers only, to those of the folder above). Ninja writes one key
# per line. Relative paths count from BUILD.
include_flags() {
  local build=$1 folder=$2 flags
  while [ "$folder" != . ]; do
    flags=$(awk -v folder="/$folder/" '
      /^ *"command": / { command = $0 }
      /^ *"file": / && index($0, folder) { print command; exit }
    ' "$build/compile_commands.json" | grep -oE -- '-I[^ "]+' || true)
    [ -n "$flags" ] && printf '%s\n' "$flags" && return
    folder=$(dirname "$folder")
  done
  echo "no source of $2 or above is built in $build" >&2
  return 1
}
