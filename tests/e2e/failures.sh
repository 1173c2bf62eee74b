#!/usr/bin/env bash
# failures.sh - what can go wrong around a run: settings that are not there, files that cannot be
# written, databases that cannot be used, a run that is stopped. Earlier runs stay as they were.
#
# usage: tests/e2e/failures.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
cd "$work"

runs=0 # that results.db should hold
settings=(--workload 'sharegpt,n=300,rate=40' --kv-blocks 800 --quiet --results results.db)

# The database is sound and holds the runs that it should.
intact() {
  local got
  got=$(sqlite3 -batch -noheader results.db 'pragma integrity_check; select count(*) from run')
  [ "$got" = "ok
$runs" ] || { printf 'after %s: %s instead of ok and %d runs\n' "$last" "$got" "$runs" >&2 && exit 1; }
}

latest() { # OUTCOME
  local got
  got=$(sqlite3 -batch -noheader results.db 'select outcome from run order by id desc limit 1')
  [ "$got" = "$1" ] || { printf '%s: stored as %s, not %s\n' "$last" "$got" "$1" >&2 && exit 1; }
}

expect 0 replay "${settings[@]}"
runs=1
intact

# --- a setting that is not there: the nearest one, exit 2, nothing stored
expect 2 replay "${settings[@]}" --policy vllm-v0-swap,hostfull=recompute
said "no setting 'hostfull'; did you mean 'host_full'"
expect 2 replay "${settings[@]}" --policy vllm-v0-swap,host_full=recomputed
said "host_full cannot be 'recomputed'; did you mean 'recompute'"
expect 2 replay "${settings[@]}" --policy vllm-v1,watermark=2
said "watermark is a share in \[0, 1\), not '2'"
expect 2 replay "${settings[@]}" --policy adaptive,fairness=1.5
said "fairness is a number from 0 to 1, not '1.5'"
expect 2 replay "${settings[@]}" --policy vllm-v1,order=gittins
said "policy vllm-v1: order cannot be 'gittins'; it is one of: fcfs priority$"
expect 2 replay "${settings[@]}" --link-gbs 1e9
said '--link-gbs 1e[+]09 is not in 0.001 to 1e6'
expect 2 replay "${settings[@]}" --slo tftt_s=1
said "did you mean 'ttft_s'"
expect 2 replay "${settings[@]}" --tp 3
said 'tp is 1, 2, 4 or 8, not 3'
expect 2 replay "${settings[@]}" --kv-blocks 100 --max-model-len 4096
said 'more than the .* tokens that the KV pool holds'
for n in 0 1; do
  expect 2 replay --workload fixed,n=3 --kv-blocks $n --quiet --results results.db
  said "the KV pool has $n blocks; at least 2 are needed"
done
expect 2 replay "${settings[@]}" --kv-gib 0
said 'give --kv-blocks or --kv-gib, not both'
intact

# --- no host pool: nothing can be swapped. As vLLM does, the run aborts at the first swap, and is
# stored so; with host_full=recompute, or a policy that does not swap, it ends.
small=(--workload 'sharegpt,n=300,rate=100' --kv-blocks 600 --host-blocks 0 --quiet --results results.db)
expect 1 replay "${small[@]}" --policy vllm-v0-swap
said 'no room on the host to swap out \(0 of 0 blocks free\); give it more with --host-gib, or set host_full'
runs=$((runs + 1))
intact
latest aborted
# Its figures are of all that had arrived, up to its end.
[ "$(sqlite3 -batch results.db 'select n_requests = (select count(*) from request where run_id = run.id)
  and n_requests > n_finished + n_rejected and compute_busy_fraction <= 1 and abs(makespan_s -
  (select max(finish_s) - min(arrival_s) from request where run_id = run.id)) < 1e-6
  from run order by id desc limit 1')" = 1 ] || { echo 'figures of an aborted run' >&2 && exit 1; }
for policy in vllm-v0-swap,host_full=recompute vllm-v0-recompute vllm-v1; do
  expect 0 replay "${small[@]}" --policy "$policy"
  runs=$((runs + 1))
  intact
  latest finished
done

# --- a full disk: exit 1 and which file; the run itself is stored
for option in --log --timeline --json; do
  expect 1 replay "${settings[@]}" "$option" /dev/full
  said 'write /dev/full: No space left on device'
  said 'the run was stored, but not that file'
  runs=$((runs + 1))
  intact
done
expect 1 replay "${settings[@]}" --log nowhere/run.log
said 'open nowhere/run\.log: No such file or directory'
expect 1 replay "${settings[@]}" --results nowhere/results.db
said 'nowhere/results\.db.*its folder exist'
intact

# --- a table that nobody reads to its end: the run is stored, and nothing is said
table=(--workload 'sharegpt,n=3000,rate=40' --kv-blocks 800)
{ "$program" replay "${table[@]}" --results results.db 2>said || echo $? >status; } | head -n 1 >first
[ "$(cat status) $(wc -l <first)" = '1 1' ] || { echo "replay | head: $(cat status)" >&2 && exit 1; }
[ ! -s said ] || { cat said >&2 && exit 1; }
runs=$((runs + 1))
intact
latest finished

# --- closed standard streams: no file takes their place
last='replay >&-' got=0
"$program" replay "${table[@]}" --timeline timeline.json >&- 2>said || got=$?
[ "$got" -eq 1 ] || { echo "replay >&-: exit $got instead of 1" >&2 && exit 1; }
said 'standard output could not be written to its end'
python3 -m json.tool timeline.json >/dev/null
"$program" replay "${table[@]}" --quiet --timeline timeline.json --log all.log <&- >&- 2>&-
python3 -m json.tool timeline.json >/dev/null

# --- a database that is not there: said, and not made
for command in 'fit --device cpu' 'fit --device cpu --check vidur none.csv' 'profile list' \
  'predict --device h200 --decodes 1@1' 'replay --workload fixed,n=1'; do
  # shellcheck disable=SC2086
  expect 1 $command --profile none.db
  said 'none\.db: there is no such profile database'
done
expect 1 compare --results none.db
said 'none\.db: there is no such results database'
[ ! -e none.db ]

# --- a database of the other kind: which it is
expect 1 profile list --profile results.db
said 'results\.db is a results database, not a profile database: name another file$'
expect 0 profile --backend sim --device h200 --model llama-3-8b --profile profiles.db --quiet --iterations 20 --copies 8
expect 1 replay --workload fixed,n=1 --results profiles.db
said 'profiles\.db is a profile database, not a results database: name another file$'

# --- a database in use by another process for longer than a run waits
mkfifo hold
sqlite3 -batch results.db >/dev/null <hold &
holder=$!
exec 3>hold
echo 'begin exclusive;' >&3
while sqlite3 -batch results.db 'begin immediate; rollback' 2>/dev/null; do sleep 0.1; done
expect 1 replay "${settings[@]}" --results-wait 0.1 --json held.json --log held.log
said 'results\.db: another process is still using it.*run again'
said 'the run was not kept'
python3 -m json.tool held.json >/dev/null # what can be written is
[ -s held.log ]
# A run waits longer than other programs use to, and says so.
"$program" replay "${settings[@]}" 2>waits 3>&- &
waiting=$!
until grep -qs 'results\.db is in use by another program: waiting 60 s' waits; do
  kill -0 "$waiting" || { cat waits >&2 && exit 1; }
  sleep 0.1
done
exec 3>&-
wait "$holder" "$waiting"
runs=$((runs + 1))
intact

# --- a damaged database: said, and left as it is
cp results.db damaged.db
printf 'not a page of a table' | dd of=damaged.db bs=1 seek=4096 conv=notrunc status=none
cp damaged.db before.db
expect 1 replay "${settings[@]}" --results damaged.db
said 'damaged\.db is damaged'
cmp damaged.db before.db
head -c 5000 results.db >cut.db
expect 1 replay "${settings[@]}" --results cut.db
said 'cut\.db is damaged.*run again'

# --- a run that is stopped. This one would take minutes.
long=(replay --workload 'sharegpt,n=100000000,rate=40' --kv-blocks 800 --quiet
  --results results.db --log progress.log)
stop() { # SIGNAL STATUS
  local got=0
  rm -f progress.log
  last="${long[*]}"
  "$program" "${long[@]}" >"$work/said" 2>&1 &
  local run=$!
  until [ -s progress.log ]; do # it is under way then
    kill -0 "$run" 2>/dev/null || { cat "$work/said" >&2 && exit 1; }
    sleep 0.05
  done
  kill -s "$1" "$run"
  wait "$run" || got=$?
  [ "$got" -eq "$2" ] || { echo "SIG$1: exit $got instead of $2" >&2 && exit 1; }
}
stop KILL 137
intact
latest finished
for signal in INT TERM; do
  stop "$signal" 1
  said 'interrupted'
  runs=$((runs + 1))
  intact
  latest interrupted
done
