#!/usr/bin/env bash
# gpu_bundle.sh - all that a machine with a GPU needs, in one archive; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'USAGE'
usage: experiments/gpu_bundle.sh [OUTPUT.tar.gz]

Builds for a machine that has a GPU and the C library, and nothing else: adaptivellm, the checks
of its kernels and the probe, with GSL, SQLite, jansson, zlib and the CUDA runtime linked in, and
packs them with gpu_validation.sh, lengths of requests and the golden models into OUTPUT
(out/adaptivellm-gpu.tar.gz). There:

    tar -xzf adaptivellm-gpu.tar.gz && adaptivellm-gpu/gpu_validation.sh

libcublasLt is looked for on that machine: in the toolkit, or where a Python wheel has put it.
Needs nvcc (exit status 77 without) and the .a files of the libraries. GPU_ARCH (80,90) lists the
compute capabilities; BUILD (build-bundle) is the build folder, JOBS (2) the number of jobs.
USAGE
}
case ${1:-} in
  -h | --help) usage && exit 0 ;;
  -*) usage >&2 && exit 2 ;;
esac
[ $# -le 1 ] || { usage >&2 && exit 2; }
output=${1:-out/adaptivellm-gpu.tar.gz}
build=${BUILD:-build-bundle}
arch=${GPU_ARCH:-80,90}
bytes_max=40000000 # an archive that can be sent around

stop() {
  printf 'gpu_bundle.sh: %s\n' "$@" >&2
  exit 1
}
command -v nvcc >/dev/null || { echo 'gpu_bundle.sh: skipped, there is no nvcc' >&2 && exit 77; }
experiments/install_packages.sh quickstart
for library in gsl gslcblas sqlite3 jansson z; do
  [[ $(gcc -print-file-name="lib$library.a") = /* ]] || stop "lib$library.a is not there to link in"
done

echo "1/3 building for devices of compute capability $arch"
# OpenBLAS is left out: it would be most of the archive, and serves the CPU engine only.
options=(-Dbuildtype=release -Dprefer_static=true -Dopenblas=disabled -Dtests=disabled
  -Dcuda=enabled -Dgpu_arch="$arch")
if [ -f "$build/build.ninja" ]; then
  meson configure "$build" "${options[@]}" >/dev/null
else
  meson setup "$build" "${options[@]}" >/dev/null
fi
meson compile -C "$build" -j "${JOBS:-2}" adaptivellm gpu_checks cuda_probe >/dev/null ||
  stop "the build failed; see: meson compile -C $build adaptivellm gpu_checks cuda_probe"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/adaptivellm-gpu
programs=(adaptivellm gpu_checks cuda_probe)
mkdir -p "$bundle"
cp "$build/experiments/adaptivellm" "$build/tests/gpu/gpu_checks" \
  "$build/engine/cuda/probe/cuda_probe" "$bundle"
strip "${programs[@]/#/$bundle/}"

echo '2/3 do they start on a bare system?'
# Only what every glibc system has; libdl, librt and libpthread are empty since glibc 2.34.
for program in "${programs[@]}"; do
  needed=$(readelf -d "$bundle/$program" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' |
    grep -vE '^(lib(c|m|dl|rt|pthread)\.so|ld-linux)' || true)
  [ -z "$needed" ] || stop "$program needs" "$needed"
done

# bare COMMAND...: in a folder that holds nothing but the bundle and the C library.
bare=("$(PATH=$PATH:/usr/sbin command -v chroot)") # by path, as it starts without PATH
[ "$(id -u)" -eq 0 ] || bare=("$(command -v unshare)" --user --map-root-user "${bare[@]}")
bare() { env -i "${bare[@]}" "$work/bare" "$@"; }
starts_bare() {
  local status=0 said
  bare /adaptivellm policies >/dev/null || stop 'adaptivellm does not start on a bare system'
  bare /adaptivellm replay --workload fixed,n=20 --quiet --results /results.db --json /run.json ||
    stop 'adaptivellm does not simulate on a bare system'
  bare /cuda_probe --help >/dev/null || stop 'cuda_probe does not start on a bare system'
  said=$(bare /adaptivellm replay --backend cuda --model llama-2-7b --weights random \
    --workload fixed,n=1 --quiet 2>&1) || status=$?
  if [ "$status" -ne 1 ] || [ "$(wc -l <<<"$said")" -ne 1 ]; then
    stop "--backend cuda without a device: exit $status, not 1 with one line:" "$said"
  fi
  echo "    they do; without a device: $said"
}
mkdir -p "$work/bare"
cp "${programs[@]/#/$bundle/}" "$work/bare"
for program in "${programs[@]}"; do
  ldd "$bundle/$program" | grep -oE '/[^ ]+' # libraries and the loader, by path
done | sort -u | while read -r library; do
  mkdir -p "$work/bare$(dirname "$library")" && cp -L "$library" "$work/bare$library"
done
if bare /adaptivellm --version >/dev/null 2>&1; then
  starts_bare
else
  echo "    not tried: ${bare[*]} is not allowed here"
fi

echo '3/3 packing'
cp experiments/gpu_{validation.sh,summary.sh,logits.py} LICENSE "$bundle"
cp -r tests/golden "$bundle/golden"
rm -f "$bundle"/golden/*.py
# Lengths like ShareGPT's. Longer conversations than the models of the validation take are left
# out here, rather than rejected there under each policy again.
"$build/experiments/adaptivellm" trace generate sharegpt,n=2500 --seed 7 2>/dev/null |
  awk -F, 'NR == 1 || $2 + $3 <= 2048' >"$bundle/lengths.csv"
mkdir -p "$(dirname "$output")"
tar -C "$work" -czf "$output" adaptivellm-gpu
bytes=$(stat -c %s "$output")
[ "$bytes" -le "$bytes_max" ] || stop "$output has $bytes bytes, more than $bytes_max"
echo "wrote $output: $((bytes / 1000000)).$((bytes / 100000 % 10)) MB"
