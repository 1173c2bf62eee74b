# builds.sh - sourced by the test scripts: makes and refreshes build folders.
# shellcheck shell=bash disable=SC2034 # variables are for those who source this

jobs=${JOBS:-2}

# A sanitizer that only prints would leave a test green.
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1

# With more bits of address randomisation than the sanitizers of clang 14 expect, what they made
# dies at its start now and then (google/sanitizers, issue 1614); without any it never does.
fixed_addresses=(setarch "$(uname -m)" -R)
"${fixed_addresses[@]}" true 2>/dev/null || fixed_addresses=()

# configure FOLDER COMPILER OPTION...: makes the build folder or brings its options up to date.
# One that cannot be brought up to date (another Meson's, half made) is made anew.
configure() {
  local folder=$1 compiler=$2 cxx
  shift 2
  case $compiler in
    gcc) cxx=g++ ;;
    *) cxx=$compiler++ ;;
  esac
  if [ -f "$folder/build.ninja" ]; then
    meson setup --reconfigure "$folder" -Dtests=enabled "$@" && return
    echo "$folder cannot be reconfigured; making it anew"
  fi
  rm -rf "$folder"
  CC=$compiler CXX=$cxx meson setup "$folder" -Dtests=enabled "$@"
}

# build FOLDER COMPILER OPTION...
build() {
  configure "$@" && meson compile -C "$1" -j "$jobs"
}

# Everything under AddressSanitizer and UBSan, the fuzzers among it: all code carries the
# coverage counters of libFuzzer, so that one build serves tests and fuzzers.
build_sanitized() {
  build "$1" clang -Dcuda=disabled -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
    '-Dc_args=-fsanitize=fuzzer-no-link,address -fno-sanitize-recover=all' \
    '-Dcpp_args=-fsanitize=fuzzer-no-link,address -fno-sanitize-recover=all'
}
