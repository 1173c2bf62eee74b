#!/usr/bin/env bash
# gpu_validation.sh - experiments/gpu_validation.sh from end to end, with the CPU engine and a tiny
# model in place of a GPU: it goes on where it stopped, and a failure ends nothing but its step.
#
# usage: tests/e2e/gpu_validation.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
expect 0 models init llama --layers 2 --hidden 128 --heads 4 --vocab 256 --max-len 256 "$work/tiny"
expect 0 trace generate sharegpt,n=60,prompt_mean=40,output_mean=30 --seed 7 --output "$work/all.csv"
awk -F, 'NR == 1 || $2 + $3 <= 250' "$work/all.csv" >"$work/lengths.csv"

# Checks that fail, a probe that is missing, and no sanitizer but the one of this test.
mkdir "$work/bin"
cat >"$work/bin/gpu_checks" <<'CHECKS'
#!/usr/bin/env bash
[ "$1" != times ] || echo 'times/decode_attention/a,batch=1,context=9 share_of_copy 0.85'
echo 'ok  a case'
[ "$1" != gemm ] || { echo 'FAILED  a product' && exit 1; }
CHECKS
cat >"$work/bin/compute-sanitizer" <<'SANITIZER'
#!/usr/bin/env bash
case $* in
  *racecheck*attention) echo 'ERROR SUMMARY: 2 errors' && exit 9 ;;
  *memcheck*rows) echo 'Error: Device not supported' && exit 1 ;;
  *) echo 'ERROR SUMMARY: 0 errors' ;;
esac
SANITIZER
chmod +x "$work/bin"/*

fail() {
  echo "$*" >&2
  cat "$work/said" "$work/out/steps.txt" >&2
  exit 1
}
# validate STATUS TIME_S: a call of the script.
validate() {
  local got=0
  PATH=$work/bin:$PATH PROGRAM=$program CHECKS=$work/bin/gpu_checks PROBE=$work/none GOLDEN=$root/tests/golden \
    TRACE=$work/lengths.csv BACKEND=cpu MODELS=$work/tiny TIME_S=$2 REQUESTS=40 ITERATIONS=80 COPIES=60 \
    REPEATS=3 MAX_SEQS=16 MAX_BATCHED_TOKENS=256 MAX_MODEL_LEN=256 HOST_BLOCKS=300 POOL_MAX=400 PROFILE_BLOCKS=400 \
    "$root/experiments/gpu_validation.sh" "$work/out" >"$work/said" 2>&1 </dev/null || got=$?
  [ "$got" -eq "$1" ] || fail "gpu_validation.sh: exit $got instead of $1"
}
holds() { grep -qE -- "$2" "$work/out/$1" || fail "$1: no line matches $2"; }

# No time: it says so, and has nothing to repeat later.
validate 75 1
holds summary.md 'Steps are missing'
[ "$(wc -l <"$work/out/steps.txt")" -eq 1 ] || fail 'steps without time'

tab=$'\t'
# A busy machine may contradict itself; what hung on that is measured again.
for attempt in 1 2 3; do
  validate 1 100
  grep -qE "^tiny: .*${tab}(failed|skipped)${tab}" "$work/out/steps.txt" || break
  [ "$attempt" -eq 3 ] || sed -i '/^tiny: /d' "$work/out/steps.txt"
done
holds steps.txt "^check gemm${tab}failed.*1 of 2 cases, first: FAILED  a product"
holds steps.txt "^check rows${tab}ok.*1 cases"
holds steps.txt "^probe${tab}skipped.*there is no none"
holds steps.txt "^equal tokens${tab}ok.*equal under 3 policies"
holds steps.txt "^compute-sanitizer${tab}failed.*clean: memcheck engine, .*; untold: memcheck rows \(this device is not supported\); faulty: racecheck attention \(ERROR SUMMARY: 2 errors\)"
[ "$(grep -c "${tab}failed${tab}" "$work/out/steps.txt")" -eq 2 ] || fail 'more than the two failures'
for policy in vllm-v0-recompute vllm-v0-swap vllm-v1 adaptive; do
  holds summary.md "^\| tiny \| rate \| $policy \| request_throughput_per_s \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \| [-+][0-9.]+ \|"
done
holds summary.md '^\| decode_attention \| a,batch=1,context=9 \| share_of_copy \| 0.85 \| 0.8 \|'
holds summary.md '^\| tiny \| rate \| adaptive \| host_step_s \| [0-9.e-]+ \|'
holds summary.md '^\| tiny \| iteration \| [0-9]+ \| [0-9.]+ \| [0-9.]+ \|'
[ "$(find "$work/out" -type f | wc -l)" -le 8 ] || fail 'more than 8 files'

# All is done: nothing runs again, unless its line is taken out.
sed -i '/^equal tokens/d' "$work/out/steps.txt"
cp "$work/out/results.db" "$work/results.db"
validate 1 100
[ "$(grep -cE '^ +[0-9]+ s  ' "$work/said")" -eq 1 ] || fail 'not just the one step that was missing'
cmp -s "$work/out/results.db" "$work/results.db" || fail 'runs were repeated'

# Models by name, for which the device makes weights up: devices of the simulator stand in, an H200
# for the profile and whole steps, the measured one for the policies.
{
  printf '#!/usr/bin/env bash\nprogram=%q\n' "$program"
  cat <<'STAND_IN'
all=("$@") kept=() cuda=false
for ((i = 0; i < $#; i++)); do
  case ${all[i]} in
    --backend) [ "${all[i + 1]}" != cuda ] || cuda=true ;;
    --model) model=${all[i + 1]} ;;
    --profile) profile=${all[i + 1]} ;;
  esac
done
$cuda || exec "$program" "$@"
case $1,$model in
  profile,*) drop='--backend|--weights' device=(--backend sim --device h200 --noise 0.002) ;;
  *,opt-1.3b) drop=--backend device=(--backend sim --device cuda --latency measured) ;;
  *,llama-*) drop='--backend|--weights|--profile' device=(--backend sim --device h200) ;;
  *) drop=--backend device=(--backend cpu --threads 1) ;;
esac
for ((i = 0; i < $#; i++)); do
  if [[ ${all[i]} =~ ^($drop)$ ]]; then i=$((i + 1)); else kept+=("${all[i]}"); fi
done
"$program" "${kept[@]}" "${device[@]}" || exit
[ "$1" != profile ] || sqlite3 "$profile" "update device set name = 'cuda' where name = 'h200'"
STAND_IN
} >"$work/bin/stand_in"
chmod +x "$work/bin/stand_in"
sed -i '/FAILED/d' "$work/bin/gpu_checks"
printf '#!/usr/bin/env bash\n' >"$work/bin/compute-sanitizer"
mv "$work/out" "$work/out.cpu"
cat >"$work/bin/cuda_probe" <<'PROBE'
#!/usr/bin/env bash
while [ "$1" != --out ]; do shift; done
{
  echo '# cuda-probe 1: a device'
  printf '%s,' device model op method shape bytes n_segments n_blocks other_direction_busy compute_busy n_tokens \
    gemm_n gemm_k median_us mean_us min_us deviation_us half_width_us n_repeats issue_us
  echo sm_clock_mhz
  for op in swap_out swap_in; do
    echo "a device,,$op,single,,100000000,1,,0,0,,,,2000,2000,2000,1,1,9,,"
    echo "a device,,$op,single,,100000000,1,,1,0,,,,2500,2500,2500,1,1,9,,"
    echo "a device,llama-2-7b,$op,batch,,100000000,50,50,0,0,,,,2100,2100,2100,1,1,9,,"
    echo "a device,llama-2-7b,$op,batch,,100000000,50,50,1,0,,,,2600,2600,2600,1,1,9,,"
  done
  echo 'a device,,gemm,best,llama-2-7b qkv,,,,,0,64,12288,4096,20,20,20,1,1,9,,1980'
} >"$2"
PROBE
chmod +x "$work/bin/cuda_probe"
validate_name() { # STATUS PROGRAM
  local got=0
  PATH=$work/bin:$PATH PROGRAM=$work/bin/$2 CHECKS=$work/bin/gpu_checks PROBE=$work/bin/cuda_probe GOLDEN=$root/tests/golden \
    TRACE=$work/lengths.csv MODELS=opt-1.3b REQUESTS=40 POOL_MAX=1000 MAX_SEQS=16 \
    "$root/experiments/gpu_validation.sh" "$work/out" >"$work/said" 2>&1 </dev/null || got=$?
  [ "$got" -eq "$1" ] || fail "gpu_validation.sh of a model by name: exit $got instead of $1"
}
validate_name 0 stand_in
for policy in vllm-v0-recompute adaptive; do
  holds summary.md "^\| opt-1.3b \| rate \| $policy \| request_throughput_per_s \| [0-9.]+ \| [0-9.]+ \| [0-9.]+ \| [-+][0-9.]+ \|"
done
holds summary.md '^\| swap_in \| 50.0 \| 47.6 to 47.6 \| 95.2 to 95.2 \|'
holds summary.md '^\| both \| 80.0 \| 76.9 to 76.9 \| 96.2 to 96.2 \|'
holds steps.txt "^probe: import${tab}ok"
holds summary.md '^\| decode_step \| llama-3-8b,batch=128,context=512 \| ms \| [0-9.]+ \| 10.14 \|'
holds summary.md '^\| prefill_step \| llama-2-7b,tokens=2048 \| ms \| [0-9.]+ \| 50.7 \|'

# A run that is cut short gives no figures of a whole one.
sed -i '/^opt-1.3b: vllm-v1, rate, hardware/d' "$work/out/steps.txt"
sed -i '/^run\/opt-1.3b\/vllm-v1\/rate\/hardware/d' "$work/out/figures.txt"
cat >"$work/bin/cut_short" <<'CUT_SHORT'
#!/usr/bin/env bash
[[ $* = *hardware* ]] || exec "$(dirname "$0")/stand_in" "$@"
while [ "$1" != --json ]; do shift; done
echo '{ "request_throughput_per_s": 1 }' >"$2"
exit 124
CUT_SHORT
chmod +x "$work/bin/cut_short"
validate_name 1 cut_short
holds steps.txt "^opt-1.3b: vllm-v1, rate, hardware${tab}failed.*ended after"
! grep -q '^run/opt-1.3b/vllm-v1/rate/hardware' "$work/out/figures.txt" || fail 'figures of a run that was cut short'
mv "$work/out" "$work/out.cuda"
mv "$work/out.cpu" "$work/out"

expect_misuse() {
  local got=0
  PROGRAM=$program TRACE=$work/lengths.csv "$root/experiments/gpu_validation.sh" "$@" >"$work/said" 2>&1 || got=$?
  [ "$got" -eq 2 ] || fail "gpu_validation.sh $*: exit $got instead of 2"
}
expect_misuse --quick
expect_misuse --full "$work/out"
grep -q 'other form' "$work/said" || fail 'it does not say why'
echo 'gpu_validation.sh: every step on the CPU engine, a failure kept to its step, nothing done twice'
