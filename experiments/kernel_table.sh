#!/usr/bin/env bash
# kernel_table.sh - registers, spills and shared memory of the CUDA kernels; see --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'EOF'
usage: experiments/kernel_table.sh [OUTPUT]

Compiles the kernels of engine/cuda for sm_80 and sm_90 and writes what each takes of a
multiprocessor, as ptxas reports it, to OUTPUT (results/cuda_kernels.md). Needs no device; takes
about a minute. NVCC (nvcc) is the compiler; without it the exit status is 77.
EOF
}
case ${1:-} in
  -h | --help) usage && exit 0 ;;
  -*) usage >&2 && exit 2 ;;
esac
output=${1:-results/cuda_kernels.md}
nvcc=${NVCC:-nvcc}
command -v "$nvcc" >/dev/null || {
  echo "kernel_table.sh: skipped, there is no $nvcc (set NVCC)" >&2
  exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

archs=(80 90)
files=(engine/cuda/kernels/*.cu engine/cuda/gemm_search.cu)
includes=(-I engine/cuda -I engine/cuda/kernels -I engine/model -I engine/batch -I base/core)

# ptxas reports a kernel, then its stack and spills, then its registers; behind that come the
# functions that it calls, whose spills are its own. Lines FILE|KERNEL|ARCH|REGISTERS|STACK|
# SPILLED|SHARED, bytes.
kernels_of() { # FILE ARCH, from ptxas -v
  awk -v OFS='|' -v file="${1##*/}" -v arch="$2" '
    function flush() { if (kernel) print file, kernel, arch, registers, stack, spilled, shared }
    /Compiling entry function/ {
      flush()
      split($0, parts, "\047")
      kernel = parts[2]
      registers = stack = spilled = shared = 0
    }
    /bytes stack frame/ && kernel {
      stack += $1
      spilled += $5 + $9
    }
    / : Used [0-9]+ registers/ && kernel {
      for (i = 2; i <= NF; i++) {
        if ($i ~ /^registers/) registers = $(i - 1)
        if ($i ~ /^smem/) shared = $(i - 2)
      }
    }
    END { flush() }'
}

# void f<__half, 128>(args) is f<fp16, 128>.
readable() {
  c++filt | sed -E 's/\|(void )?([^|]*::)?([a-z_]+)(<[^(]*>)?\([^|]*\)\|/|\3\4|/
    s/__nv_bfloat16/bf16/g; s/__half/fp16/g'
}

for file in "${files[@]}"; do
  for arch in "${archs[@]}"; do
    echo "$file, sm_$arch" >&2
    "$nvcc" -std=c++17 -O2 -arch="sm_$arch" -cubin -Xptxas=-v "${includes[@]}" "$file" \
      -o "$work/cubin" 2>"$work/ptxas" || {
      cat "$work/ptxas" >&2
      exit 1
    }
    kernels_of "$file" "$arch" <"$work/ptxas"
  done
done | readable >"$work/kernels"

# What a launcher gives a kernel beside: a constant of its source, which a C++ compiler evaluates
# against the fake device (tests/cuda_fake), bytes.
constant() { # FILE EXPRESSION
  printf '#include "%s"\nextern const int dynamic_bytes = (int)(%s);\n' "$1" "$2" |
    g++ -std=c++17 -w -I tests/cuda_fake "${includes[@]}" -x c++ -S -o - - |
    awk '/^dynamic_bytes:/ { getline; print $2 }'
}
dynamic_of() { # KERNEL
  local width=${1##*, }
  width=${width%>}
  case $1 in
    attend_prefill_kernel*) constant attention_prefill.cu "prefill_shape<$width>::SHARED_BYTES" ;;
    attend_decode_kernel*) constant attention_decode.cu "decode_shape<$width>::SHARED_BYTES" ;;
    pick_kernel*) constant sampling.cu '2 * sizeof(histogram)' ;;
    *) echo 0 ;;
  esac
}
echo "dynamic shared memory" >&2
cut -d '|' -f 2 "$work/kernels" | sort -u | while read -r kernel; do
  printf '%s|%s\n' "$kernel" "$(dynamic_of "$kernel")"
done >"$work/dynamic"

rows() {
  awk -F '|' '
    FNR == NR { dynamic[$1] = $2; next }
    {
      key = $1 SUBSEP $2
      if (!(key in seen)) { seen[key] = 1; order[++n] = key }
      value[key, $3] = $4 FS $5 FS $6
      if ($7 > shared[key]) shared[key] = $7
    }
    END {
      for (i = 1; i <= n; i++) {
        split(order[i], part, SUBSEP)
        printf "%s|%s|%s|%s|%d|%d\n", part[1], part[2], value[order[i], 80],
          value[order[i], 90], shared[order[i]], dynamic[part[2]]
      }
    }' "$work/dynamic" "$work/kernels" | sort -t '|' -k 1,1 -k 2,2V |
    awk -F '|' -v OFS=' | ' '{ $2 = "`" $2 "`"; print "| " $0 " |" }'
}

{
  cat <<EOF
# What the CUDA kernels take of a multiprocessor

Made by \`experiments/kernel_table.sh\` with $("$nvcc" --version | sed -n 's/^Cuda compilation tools, //p'):
\`nvcc -std=c++17 -O2 -arch=sm_80 -cubin -Xptxas=-v\`, and the same for sm_90. Registers are those of a
thread (255 at most). Stack and spilled: bytes of a thread; spilled counts stores and loads, and those
of the functions that the kernel calls. Shared memory: bytes of a block, static as compiled, dynamic
as the launcher asks for (pick_kernel: to draw; greedy picks take none).

| file | kernel | sm_80 registers | stack | spilled | sm_90 registers | stack | spilled | static shared | dynamic shared |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
EOF
  rows
} >"$work/table.md"
mkdir -p "$(dirname "$output")"
mv "$work/table.md" "$output"
echo "wrote $output"
