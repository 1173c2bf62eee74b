#!/usr/bin/env bash
# auto_profile.sh - a run that makes its predictor itself: what it says, what it keeps, that its
# result is the same with a fresh database, with one that is there, and without one.
#
# usage: tests/e2e/auto_profile.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
cd "$work"

run=(replay --workload 'sharegpt,n=200,rate=40' --seed 5 --kv-blocks 900 --noise 0.01
  --pad-tokens 64 --auto-profile)

# says N: standard error and output of the last run have N lines on measuring.
says() {
  local got
  got=$(grep -c 'measuring and fitting' said || true)
  [ "$got" = "$1" ] || { printf '%s: %s notes instead of %s\n' "$last" "$got" "$1" >&2 && exit 1; }
}

# --- padding needs a predictor: without one the run does not start
expect 2 "${run[@]:0:$((${#run[@]} - 1))}"
said 'padding needs a predictor'

# --- in memory: said once, nothing kept
expect 0 "${run[@]}" --log memory.log
says 1
said 'no fits of llama-3-8b on 1 x h200: measuring and fitting \(not kept'
said 'predictor MAPE, iteration'
[ "$(find . -name '*.db*')" = '' ] || { echo 'a run without --profile left a database' >&2 && exit 1; }

# --- into a database, then from it; all the same, and quiet is quiet
expect 0 "${run[@]}" --profile fits.db --log made.log
says 1
said 'measuring and fitting \(fits\.db\)'
expect 0 "${run[@]}" --profile fits.db --log found.log
says 0
expect 0 "${run[@]}" --log quiet.log --quiet
[ ! -s said ] || { echo 'a quiet run said something' >&2 && exit 1; }
for log in made found quiet; do cmp memory.log "$log.log"; done
expect 0 profile list --profile fits.db
said 'h200.*llama-3-8b.*iteration.*900'
expect 0 predict --profile fits.db --device h200 --model llama-3-8b --tokens 512

# --- a database made by a run of another seed, policy and pool gives the same predictor
expect 0 replay --workload fixed,n=3 --seed 9 --kv-blocks 100 --host-blocks 0 --drift 2@0 \
  --policy nano-vllm --noise 0.01 --auto-profile --profile other.db --quiet
expect 0 "${run[@]}" --profile other.db --log other.log
says 0
cmp memory.log other.log

# --- other fits in the same database stay; those of this device, model and tp are added
expect 0 replay --workload fixed,n=3 --tp 2 --auto-profile --profile fits.db
says 1
expect 0 predict --profile fits.db --device h200 --model llama-3-8b --tp 2 --tokens 512
expect 0 "${run[@]}" --profile fits.db --log still.log
says 0
cmp memory.log still.log

# --- a device that slows down is noticed, batches that the fits are off by are not
for noise in 0 0.005 0.02; do
  steady=(replay --workload sharegpt,n=1000 --rate 8 --max-seqs 128 --model llama-2-7b
    --auto-profile --noise "$noise")
  expect 0 "${steady[@]}"
  said 'drifts noticed: 0$'
  expect 0 "${steady[@]}" --drift 1.15@60
  said 'drifts noticed: 1$'
  said '^ +at 60\.[0-9]+ s, iteration [0-9]+: iterations take 1\.1[0-9]+ times what was fitted$'
done

# --- two at once into one database
"$program" "${run[@]}" --quiet --profile both.db --log one.log &
other=$!
expect 0 "${run[@]}" --quiet --profile both.db --log two.log
wait "$other"
cmp memory.log one.log
cmp memory.log two.log

# --- what was asked for is stored with the run
expect 0 "${run[@]}" --quiet --json - --results results.db
grep -q '"auto_profile": true' said

# --- a database that is none stays as it is
echo 'my thesis' >thesis.db
expect 1 "${run[@]}" --profile thesis.db
said 'thesis\.db'
[ "$(cat thesis.db)" = 'my thesis' ]
