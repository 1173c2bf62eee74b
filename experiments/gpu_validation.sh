#!/usr/bin/env bash
# gpu_validation.sh - everything that is to be measured on a GPU, in one command; see --help.
set -uo pipefail # not -e: a step that fails is noted, and the next one goes on
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'USAGE'
usage: gpu_validation.sh [--full] [OUTPUT_FOLDER]

Runs on a machine with a GPU, in the folder that gpu_bundle.sh packs: checks of the kernels and
their speed, a probe of link and matrix products, the time of a decode and of a prefill,
microbenchmarks and fits, four policies on the device and on its simulation, equal tokens after
preemptions, logits, compute-sanitizer. Needs bash, coreutils and awk. It writes summary.md,
results.db, profiles.db, probe.csv, log.txt, steps.txt and figures.txt into OUTPUT_FOLDER
($OUT, or gpu-results).

A step that was done is not repeated: after a break, or where the time was up (exit status 75),
the same command on the same OUTPUT_FOLDER goes on; with another MODELS it adds those. A step
that fails or is skipped is noted with its reason; delete its line in steps.txt to have it tried
again. Exit status: 0 all that ran is well, 1 a step failed, 2 misuse, 75 the time was up.

  --full   three models, more points of the profile, 2000 requests, all at once too, the long
           probe: about an hour. Without it under 8 minutes

Environment: TIME_S ends a call (470; --full: 7200). MODELS (llama-2-7b; --full: also opt-6.7b
and opt-13b): names for random weights, or directories. BACKEND (cuda), PROGRAM, CHECKS, PROBE, GOLDEN, TRACE: what
stands beside this script. REQUESTS, ITERATIONS, COPIES, REPEATS, MAX_SEQS, MAX_BATCHED_TOKENS,
MAX_MODEL_LEN, HOST_BLOCKS, POOL_MAX (blocks that the search for a tight pool may try),
PROFILE_BLOCKS (of a profile; what the memory holds).
USAGE
}

form=short out=${OUT:-gpu-results}
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --full) form=full ;;
    -*) usage >&2 && exit 2 ;;
    *) out=$1 ;;
  esac
  shift
done

backend=${BACKEND:-cuda}
program=${PROGRAM:-$here/adaptivellm} golden=${GOLDEN:-$here/golden} trace=${TRACE:-$here/lengths.csv}
checks=${CHECKS:-$here/gpu_checks} probe=${PROBE:-$here/cuda_probe}
if [ "$form" = full ]; then
  models=${MODELS:-llama-2-7b opt-6.7b opt-13b} loads=(rate all-at-once) time_s=${TIME_S:-7200}
  requests=${REQUESTS:-2000}
  iterations=${ITERATIONS:-900} copies=${COPIES:-240} repeats=${REPEATS:-20}
  host_blocks=${HOST_BLOCKS:-2048}
else
  models=${MODELS:-llama-2-7b} loads=(rate) time_s=${TIME_S:-470}
  requests=${REQUESTS:-500}
  iterations=${ITERATIONS:-300} copies=${COPIES:-100} repeats=${REPEATS:-5}
  host_blocks=${HOST_BLOCKS:-1024} # pinned at every start, which takes its time
fi
max_seqs=${MAX_SEQS:-256} max_batched_tokens=${MAX_BATCHED_TOKENS:-2048}
max_model_len=${MAX_MODEL_LEN:-2048} pool_max=${POOL_MAX:-6000} block_tokens=16
policies=(vllm-v0-recompute vllm-v0-swap vllm-v1 adaptive)
# Preemptions per request that the pool is made for, and what still is in the range asked for.
share_wanted=0.25 share_min=0.1 share_max=0.5

[ -x "$program" ] || { echo "gpu_validation.sh: there is no program $program" >&2 && exit 2; }
[ -r "$trace" ] || { echo "gpu_validation.sh: there are no lengths $trace" >&2 && exit 2; }
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
steps=$out/steps.txt figures=$out/figures.txt log=$out/log.txt
[ -f "$steps" ] || printf 'form\t%s\n' "$form" >"$steps"
[ "$(head -n 1 "$steps")" = "form	$form" ] || {
  echo "gpu_validation.sh: $out holds results of the other form; name another folder" >&2 && exit 2
}
touch "$figures" "$log"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
children=() # programs that run; Ctrl-C lets them end their iteration and store what is done
trap '[ ${#children[@]} -eq 0 ] || { kill -INT "${children[@]}"; wait; }; exit 130' INT TERM

# ------------------------------------------------------------ steps

# steps.txt: NAME, ok | failed | skipped, seconds, note; separated by tabs.
state_of() { awk -F '\t' -v name="$1" '$1 == name { state = $2 } END { print state }' "$steps"; }

# step NAME LIMIT_S COMMAND...: runs a step that is not done. COMMAND gives 0, 77 (skipped) or
# another status (failed), and may say why in `note`. True where the step is well, now or before.
time_up=false
step() {
  local name=$1 limit=$2 started=$SECONDS status=0 state cut=false
  shift 2
  state=$(state_of "$name")
  [ -z "$state" ] || { [ "$state" = ok ] && return; return 1; }
  # Nothing is begun that this call can hardly end.
  [ $((time_s - SECONDS)) -ge $((limit / 2)) ] || time_up=true
  ! $time_up || return 1
  if [ "$limit" -gt $((time_s - SECONDS)) ]; then cut=true limit=$((time_s - SECONDS)); fi
  deadline=$((SECONDS + limit)) note=''
  printf '%4d s  %s\n' "$SECONDS" "$name"
  printf '\n== %s\n' "$name" >>"$log"
  "$@" || status=$?
  if $cut && [ "$status" -ne 0 ] && [ "$SECONDS" -ge "$deadline" ]; then
    time_up=true
    return 1
  fi
  case $status in
    0) state=ok ;;
    77) state=skipped ;;
    124 | 137) state=failed note="ended after $limit s" ;;
    *) state=failed note=${note:-exit status $status} ;;
  esac
  printf '%s\t%s\t%d\t%s\n' "$name" "$state" $((SECONDS - started)) "${note//$'\t'/ }" >>"$steps"
  [ "$state" = ok ] || printf '        %s: %s\n' "$state" "$note"
  summarise
  [ "$state" = ok ]
}

skip() { note=$1 && return 77; }

summarise() { "$here/gpu_summary.sh" "$out" >"$work/summary.md" && mv "$work/summary.md" "$out/summary.md"; }

# Runs a program within the time of its step. What it says goes to $work/said, and to the log
# (the end of it, so that the log stays small); its last word is why it failed.
last_word() {
  { grep -E '^(adaptivellm|cuda_probe)' "$work/said" || grep -v '^ *$' "$work/said"; } |
    tail -n 1 | sed 's/^skipped: //' | cut -c 1-300
}
log_mark='$' # before the commands that the summary lists
start() { # SAID COMMAND...: the program is the last of `children`
  local said=$1 left=$((deadline - SECONDS)) command
  shift
  printf -v command ' %q' "$@"
  command=${command//"$out/"/} command=${command//"$work/"/} command=${command//"$here/"/}
  printf '%s%s\n' "$log_mark" "$command" >>"$log"
  timeout -s INT -k 10 $((left > 1 ? left : 1)) "$@" >"$said" 2>&1 </dev/null &
  children+=($!)
}
bounded() {
  local status=0
  start "$work/said" "$@"
  wait "${children[0]}" || status=$?
  children=()
  tail -c 100000 "$work/said" >>"$log"
  [ "$status" -eq 0 ] || note=$(last_word)
  return "$status"
}

# ------------------------------------------------------------ figures

# figures.txt: KEY NAME VALUE, the last one counts.
keep() { printf '%s %s %s\n' "$1" "$2" "$3" >>"$figures"; }
figure() { # KEY NAME
  awk -v key="$1" -v name="$2" '$1 == key && $2 == name { v = $3 } END { print v }' "$figures"
}

# The number of a figure in the JSON of a replay, which has one figure per line.
json_number() {
  awk -v name="\"$2\":" '$1 == name { sub(/,$/, "", $2); print $2; exit }' "$1"
}

kept_figures=(n_requests n_finished n_preemptions makespan_s request_throughput_per_s
  output_throughput_tokens_per_s weighted_turnaround_mean weighted_turnaround_p99 turnaround_s_mean
  turnaround_s_p99 ttft_s_mean tpot_s_mean n_swap_in_blocks recomputed_tokens n_iterations host_step_s
  predictor_mape_iteration predictor_mape_swap predictor_mape_recompute)
keep_run() { # KEY JSON
  local name
  for name in "${kept_figures[@]}"; do keep "$1" "$name" "$(json_number "$2" "$name")"; done
}

# ------------------------------------------------------------ what the steps do

describe_machine() {
  local gpu fields=name,driver_version,memory.total,clocks.max.sm
  gpu=$(nvidia-smi --query-gpu=$fields --format=csv,noheader 2>/dev/null | paste -s -d ';')
  note="${gpu:-no nvidia-smi}; $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1),"
  note+=" $(nproc) cores, $(awk '/^Mem(Total|Available):/ { gib[$1] = $2 / 1048576 }
    END { printf "%.0f GiB, %.0f available", gib["MemTotal:"], gib["MemAvailable:"] }' /proc/meminfo);"
  note+=" Linux $(uname -r); $("$program" --version); $(date -u +%FT%TZ)"
  echo "$note" >>"$log"
}

# A toolkit outside the linker's path, or the wheel of some Python.
find_cublaslt() {
  local folder python
  python=$(timeout 20 python3 -c 'import sys; print(sys.prefix)' 2>/dev/null </dev/null)
  for folder in /usr/local/cuda*/{lib64,targets/*/lib} /opt/cuda*/lib64 "${CONDA_PREFIX:-/opt/conda}/lib" \
    {"${python:-/usr}","${VIRTUAL_ENV:-/opt/venv}",/usr,/usr/local,/opt/*,/opt/*/{.venv,venv},~/.local}/lib/python3*/{site,dist}-packages/nvidia/{cu13,cublas}/lib; do
    [ -e "$folder/libcublasLt.so.13" ] || continue
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
    echo "libcublasLt: $folder" >>"$log"
    return
  done
  echo 'libcublasLt.so.13: in none of the folders known here; the linker may still find it' >>"$log"
}

random_weights() { # MODEL: a name has no weights
  case $1 in */*) ;; *) [ "$backend" = cpu ] || echo --weights random ;; esac
}
name_of() { basename "$1"; }

run_checks() { # GROUP
  [ -x "$checks" ] || { skip "there is no $(basename "$checks")"; return; }
  ADAPTIVELLM_GOLDEN=$golden bounded "$checks" "$1"
  local status=$?
  [ "$status" -eq 0 ] && note="$(grep -c '^ok ' "$work/said") cases"
  [ "$status" -eq 1 ] && note="$(grep -c '^FAILED' "$work/said") of $(
    grep -cE '^(ok|FAILED) ' "$work/said") cases, first: $(grep -m 1 '^FAILED' "$work/said")"
  return "$status"
}

run_probe() {
  [ -x "$probe" ] || { skip "there is no $(basename "$probe")"; return; }
  local mode=--quick
  [ "$form" = short ] || mode=--full
  bounded "$probe" "$mode" --date "$(date -u +%F)" --out "$out/probe.csv"
}

limits=(--max-seqs "$max_seqs" --max-batched-tokens "$max_batched_tokens"
  --max-model-len "$max_model_len" --host-blocks "$host_blocks")
# The CPU engine, and any device but a real one, are for trying this script.
real=(--backend "$backend") profile_pool=()
[ "$backend" != cpu ] || real+=(--threads 1)
[ -z "${PROFILE_BLOCKS:-}" ] || profile_pool=(--kv-blocks "$PROFILE_BLOCKS")

# A tiny model; few tokens per iteration, so that few products have to find their algorithm.
tiny=("${real[@]}" --model "$golden/llama" --max-batched-tokens 128 --max-model-len 128 --quiet)

# The smallest proof that the backend works, before minutes are spent on it.
start_backend() {
  bounded "$program" replay "${tiny[@]}" --workload fixed,prompt=12,output=8,n=4 --kv-blocks 64 \
    --host-blocks 16 --max-seqs 4
}

profile_model() { # MODEL
  # shellcheck disable=SC2046 # two words
  bounded "$program" profile "${real[@]}" --model "$1" $(random_weights "$1") "${limits[@]}" \
    "${profile_pool[@]}" --iterations "$iterations" --copies "$copies" --repeats "$repeats" \
    --profile "$out/profiles.db" --quiet
}

fit_model() { # MODEL
  bounded "$program" fit --profile "$out/profiles.db" --device "$backend" \
    --model "$(name_of "$1")" --json "$work/fit.json" || return
  awk -v key="fit/$(name_of "$1")" '/^  "/ { gsub(/[":]/, "", $1); operation = $1 }
    /^    "/ { gsub(/[":]/, "", $1); sub(/,$/, "", $2); print key, operation "_" $1, $2 }' \
    "$work/fit.json" >>"$figures"
}

# serve MODEL POLICY LOAD BLOCKS OPTION...: figures to $work/run.json.
serve() {
  local model=$1 policy=$2 load=$3 blocks=$4 arrival=(--arrival all-at-once)
  shift 4
  [ "$load" = all-at-once ] || arrival=(--rate "$load")
  rm -f "$work/run.json"
  # shellcheck disable=SC2046 # two words
  bounded "$program" replay --model "$model" $(random_weights "$model") "${limits[@]}" \
    --kv-blocks "$blocks" --trace "$trace" --limit "$requests" "${arrival[@]}" --seed 1 --policy "$policy" \
    --json "$work/run.json" --quiet "$@"
}
simulation=(--backend sim --device "$backend" --latency measured --noise 0
  --profile "$out/profiles.db")

# Preemptions per request of vllm-v0-recompute with so many blocks, to `share`; requests per second
# that arrive, to `rate`: 1.1 times what it can serve when all are there at once; seconds that it
# then takes, to `makespan`.
try_pool() { # MODEL BLOCKS
  serve "$1" vllm-v0-recompute all-at-once "$2" "${simulation[@]}" || return
  rate=$(json_number "$work/run.json" request_throughput_per_s | awk '{ printf "%.4g", 1.1 * $1 }')
  serve "$1" vllm-v0-recompute "$rate" "$2" "${simulation[@]}" || return
  makespan=$(json_number "$work/run.json" makespan_s)
  share=$(awk -v p="$(json_number "$work/run.json" n_preemptions)" -v n="$requests" \
    'BEGIN { printf "%.4f", p / n }')
}

is() { awk "BEGIN { exit !($1) }"; } # a comparison of numbers

# The pool with which the simulated device preempts as often as is wanted; by bisection, since
# preemptions fall as the pool grows, if not at every step: the closest one seen is taken.
# Without a profile the device of the analytic model stands in.
find_pool() { # MODEL
  local log_mark='#' blocks best='' from='' i
  local low=$((max_model_len / block_tokens + 8)) high=$pool_max # a request of any length fits
  if [ "$(state_of "$(name_of "$1"): profile")" != ok ]; then
    local simulation=(--backend sim --device h200)
    from=' of an h200, as there is no profile'
  fi
  for ((i = 0; i < 10 && high - low > 4; i++)); do
    blocks=$(awk -v a="$low" -v b="$high" 'BEGIN { printf "%d", sqrt(a * b) }')
    try_pool "$1" "$blocks" || return
    best=$(printf '%s\n' "$best" "$blocks $rate $share $makespan" | awk -v wanted="$share_wanted" '
      NF == 4 { d = $3 > wanted ? $3 - wanted : wanted - $3 }
      NF == 4 && (!n++ || d < least) { least = d; line = $0 }
      END { print line }')
    if is "$share > $share_wanted"; then low=$blocks; else high=$blocks; fi
  done
  read -r blocks rate share makespan <<<"$best"
  keep "pool/$(name_of "$1")" makespan_s "$makespan"
  keep "pool/$(name_of "$1")" blocks "$blocks"
  keep "pool/$(name_of "$1")" rate "$rate"
  keep "pool/$(name_of "$1")" share "$share"
  note="$blocks blocks, $rate requests/s: $share preemptions per request in simulation$from"
  is "$share >= $share_min && $share <= $share_max" ||
    note+=", outside of $share_min to $share_max"
}

# run_policy MODEL POLICY LOAD hardware|simulated
run_policy() {
  local model=$1 policy=$2 load=$3 side=$4 blocks name
  local how=("${simulation[@]}")
  name=$(name_of "$model")
  blocks=$(figure "pool/$name" blocks)
  [ "$load" = all-at-once ] || load=$(figure "pool/$name" rate)
  [ "$side" = simulated ] || how=("${real[@]}")
  if [ "$side" = simulated ]; then
    [ "$(state_of "$name: profile")" = ok ] || { skip 'there is no profile'; return; }
  elif [ "$(state_of "$name: fit")" = ok ]; then
    how+=(--profile "$out/profiles.db")
  elif [ "$policy" = adaptive ]; then
    skip 'it predicts, and there are no fits'
    return
  fi
  serve "$model" "$policy" "$load" "$blocks" "${how[@]}" --results "$out/results.db" \
    --label "gpu_validation $name $3 $side"
  local status=$?
  # What a run that was cut short has done by then is in results.db, and no figure of a whole one.
  [ "$status" -ne 0 ] || keep_run "run/$name/$policy/$3/$side" "$work/run.json"
  return "$status"
}

# Tokens of requests that were preempted: equal under every policy in deterministic mode.
compare_tokens() {
  local mode policy first same total preempted=0
  local crowd=("${tiny[@]}" --workload 'fixed,prompt=12,output=60' --limit 24 --rate 20000 --seed 3
    --kv-blocks 16 --host-blocks 200 --max-seqs 16 --temperature 0.8)
  for mode in deterministic default; do
    for policy in vllm-v1 vllm-v0-swap vllm-v0-recompute; do
      local options=()
      [ "$mode" = default ] || options=(--deterministic)
      bounded "$program" replay "${crowd[@]}" "${options[@]}" --policy "$policy" \
        --outputs "$work/$mode.$policy" --json "$work/run.json" || return
      preempted=$((preempted + $(json_number "$work/run.json" n_preemptions)))
    done
  done
  [ "$preempted" -gt 0 ] || { note='nothing was preempted' && return 1; }
  first=$work/deterministic.vllm-v1
  for policy in vllm-v0-swap vllm-v0-recompute; do
    [ "$(cksum <"$first")" = "$(cksum <"$work/deterministic.$policy")" ] || {
      note="$policy in deterministic mode gives other tokens than vllm-v1" && return 1
    }
  done
  note='deterministic: equal under 3 policies; default mode, equal to vllm-v1:'
  for policy in vllm-v0-swap vllm-v0-recompute; do
    read -r same total < <(awk 'NR == FNR { line[$1] = $0; next }
      { n = split($0, b); split(line[$1], a); all += n - 1
        for (i = 2; i <= n; i++) same += a[i] == b[i] }
      END { print same + 0, all + 0 }' "$work/default.vllm-v1" "$work/default.$policy")
    note+=" $policy $same of $total"
  done
}

compare_logits() {
  [ -x "$checks" ] || { skip "there is no $(basename "$checks")"; return; }
  timeout 90 python3 -c 'import torch, transformers' >/dev/null 2>&1 </dev/null ||
    { skip 'python3 has no torch and transformers here'; return; }
  mkdir -p "$work/logits"
  ADAPTIVELLM_GOLDEN=$golden bounded "$checks" models --dump "$work/logits" || return
  bounded python3 "$here/gpu_logits.py" "$work/logits" "$golden" || return
  note=$(tail -n 1 "$work/said")
}

# One iteration of a whole model: the median of those in the log that a condition picks, without
# the first two: graphs are captured there.
keep_median() { # KEY CONDITION
  awk '!/^#/ { tokens = $3; prefills = $4; decodes = $5 }
    '"$2"' && n++ >= 2 { print ($2 - $1) / 1e6 }' "$work/iterations" | sort -g |
    awk -v key="$1" '{ x[NR] = $1 }
      END { if (NR > 0) printf "%s ms %.3f\n%s n %d\n", key, (x[int((NR + 1) / 2)] + x[int(NR / 2) + 1]) / 2, key, NR }' \
      >>"$figures"
}
one_model() { # OPTION...
  bounded "$program" replay "${real[@]}" "$@" --profile "$out/profiles.db" --host-blocks 16 \
    --log "$work/iterations" --json "$work/run.json" --quiet
}
time_decode() { # 128 sequences of 449 to 576 tokens
  one_model --model llama-3-8b --weights random --workload fixed,prompt=448,output=128,n=128 \
    --arrival all-at-once --policy vllm-v0-recompute --max-seqs 128 --max-batched-tokens 8192 \
    --max-model-len 2048 --kv-blocks 8192 || return
  local key='times/decode_step/llama-3-8b,batch=128,context=512'
  keep_median "$key" 'decodes == 128 && prefills == 0'
  keep "$key" host_us "$(json_number "$work/run.json" host_step_s | awk '{ printf "%.1f", $1 * 1e6 }')"
}
time_prefill() {
  one_model --model llama-2-7b --weights random --workload fixed,prompt=2048,output=1,n=12 --rate 2 \
    --policy vllm-v1 --max-seqs 128 --max-batched-tokens 2048 --max-model-len 2304 --kv-blocks 2000 ||
    return
  keep_median 'times/prefill_step/llama-2-7b,tokens=2048' 'tokens >= 2048'
}
time_kernels() {
  [ -x "$checks" ] || { skip "there is no $(basename "$checks")"; return; }
  bounded "$checks" times || return
  grep '^times/' "$work/said" >>"$figures"
}

# Each tool with each program, all at once: it is the host that takes most of the time.
sanitizer_runs=('memcheck engine' 'memcheck attention' 'memcheck rows' 'memcheck sampling'
  'memcheck gemm' 'racecheck attention' 'racecheck rows' 'racecheck sampling')
sanitize() {
  local sanitizer run tool what i status said clean='' untold='' faulty=''
  local engine=("$program" replay "${tiny[@]}" --policy vllm-v0-swap --kv-blocks 10 --host-blocks 64
    --workload 'fixed,prompt=12,output=20,n=8' --max-seqs 8)
  sanitizer=$(command -v compute-sanitizer ||
    compgen -G '/usr/local/cuda*/bin/compute-sanitizer' | head -n 1)
  [ -n "$sanitizer" ] || { skip 'there is no compute-sanitizer'; return; }
  [ -x "$checks" ] || { skip "there is no $(basename "$checks")"; return; }
  for run in "${sanitizer_runs[@]}"; do
    read -r tool what <<<"$run"
    local command=("$checks" "$what")
    [ "$what" != engine ] || command=("${engine[@]}")
    ADAPTIVELLM_GOLDEN=$golden \
      start "$work/$run" "$sanitizer" --tool "$tool" --error-exitcode 9 "${command[@]}"
  done
  for i in "${!sanitizer_runs[@]}"; do
    run=${sanitizer_runs[i]} status=0
    wait "${children[i]}" || status=$?
    said=$(grep -E 'SUMMARY|Device not supported' "$work/$run" | tail -n 1)
    tail -c 10000 "$work/$run" >>"$log"
    case $status,$said in
      0,*) clean+=", $run" ;;
      124,* | 137,*) untold+=", $run (not through within its time)" ;;
      *'Device not supported'*) untold+=", $run (this device is not supported)" ;;
      *) faulty+=", $run (${said:-exit status $status})" ;;
    esac
  done
  children=()
  note="clean: ${clean:2}${untold:+; untold: ${untold:2}}${faulty:+; faulty: ${faulty:2}}"
  [ -z "$faulty" ] || return 1
  [ -z "$untold" ] || return 77
}

# ------------------------------------------------------------ in order of what is worth most

sed -i '/^end$/d' "$steps"
for name in backend form requests iterations copies max_seqs max_batched_tokens max_model_len; do
  keep settings "$name" "${!name}"
done
find_cublaslt
step machine 30 describe_machine
for group in rows attention gemm sampling streams batches; do
  step "check $group" 90 run_checks "$group"
done
step 'kernel times' 60 time_kernels
probe_s=100
[ "$form" = short ] || probe_s=1200
step probe "$probe_s" run_probe &&
  step 'probe: import' 30 bounded "$program" profile import cuda-probe "$out/probe.csv" --profile "$out/profiles.db" --quiet

if step start 60 start_backend; then
  if [ "$backend" != cpu ]; then
    step 'decode step' 90 time_decode
    step 'prefill step' 90 time_prefill
  fi
  profile_s=150
  [ "$form" = short ] || profile_s=1800
  for model in $models; do
    name=$(name_of "$model")
    step "$name: profile" "$profile_s" profile_model "$model" && step "$name: fit" 60 fit_model "$model"
    step "$name: pool" 90 find_pool "$model" || continue
    # Loading and pinning, what the simulation takes, and half of that again.
    run_s=$(figure "pool/$name" makespan_s | awk '{ printf "%d", 60 + 1.5 * $1 }')
    for load in "${loads[@]}"; do
      for policy in "${policies[@]}"; do
        step "$name: $policy, $load, hardware" "$run_s" run_policy "$model" "$policy" "$load" hardware
        step "$name: $policy, $load, simulated" 60 run_policy "$model" "$policy" "$load" simulated
      done
    done
  done
  step 'equal tokens' 120 compare_tokens
fi
step logits 120 run_checks models
step 'logits beside transformers' 120 compare_logits
step compute-sanitizer 90 sanitize

# A program that was killed leaves its log beside a database; whoever opens that next takes it in.
for database in "$out"/*.db; do
  [ ! -e "$database-wal" ] || timeout 20 python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1]); db.execute("pragma wal_checkpoint(truncate)"); db.close()' "$database" || true
done
$time_up || printf 'end\n' >>"$steps"
summarise
for file in "$out"/*; do
  [ "$(stat -c %s "$file")" -lt 16000000 ] || echo "note: $file has more than 16 MB"
done
echo "$SECONDS s: $out/summary.md"
! $time_up || { echo 'the time was up; the same command goes on' && exit 75; }
! cut -f 2 "$steps" | grep -qx failed
