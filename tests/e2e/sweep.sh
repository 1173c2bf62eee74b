#!/usr/bin/env bash
# sweep.sh - experiments/sweep.sh: which runs it makes of a file, what it refuses, that it goes on
# after kill -9 with no run lost or doubled.
#
# usage: tests/e2e/sweep.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"
if ! [[ $(parallel --version 2>/dev/null </dev/null) = *'GNU parallel'* ]]; then
  echo 'sweep.sh: GNU parallel is missing: experiments/install_packages.sh sweep'
  exit 77
fi
sweep=(bash "$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../experiments/sweep.sh")"
  --program "$program" --results "$work/results.db" --jobs 2)
program=bash # so that expect runs the script
cd "$work"

fail() {
  printf 'sweep.sh: %s\n' "$1" >&2
  cat "$work/said" >&2
  exit 1
}

query() {
  sqlite3 -batch -noheader results.db "$1"
}

# holds N: N runs are stored, under N labels.
holds() {
  local got
  got=$(query 'SELECT count(*), count(DISTINCT label) FROM run')
  [ "$got" = "$1|$1" ] || fail "runs and labels are $got instead of $1"
}

# refuses TEXT PATTERN: a sweep file of that text is misuse, with a line that says why.
refuses() {
  printf '%b' "$1" >bad.sweep
  expect 2 "${sweep[@]:1}" bad.sweep
  said "^sweep\.sh: bad\.sweep$2"
}

# --- what it refuses, and where it is
refuses 'fixed seed=1\nfixed polcy=vllm-v1\n' ":2: no setting 'polcy'; did you mean 'policy'\?"
refuses '# empty\n\naxis rate = # 20 30\n' ":3: axis 'rate' is empty"
refuses 'axis rate = 1\naxis seed = 1\naxis rate = 2\n' ":3: 'rate' is given twice, first in line 1"
refuses 'fixed rate=1\naxis rate = 2\n' ":2: 'rate' is given twice, first in line 1"
refuses 'axis rate = 1 2 1\n' ":1: axis 'rate' has the value '1' twice"
refuses 'axis no-horizon = 1 2\n' ":1: 'no-horizon' takes no value"
refuses 'fixed seed\n' ":1: 'seed' wants a value"
refuses 'axis = 1 2\n' ':1: an axis is: axis KEY = VALUE VALUE'
refuses 'axis rate\n' ':1: an axis is: axis KEY = VALUE VALUE'
refuses 'axis seed =\n' ":1: axis 'seed' is empty: give it a value or remove it"
refuses 'fixed auto-profile=1\n' ":1: 'auto-profile' takes no value"
refuses 'fixed\n' ":1: no setting follows 'fixed'"
refuses 'fixed zzzzzzz=1\n' ":1: no setting 'zzzzzzz'; see adaptivellm replay --help"
refuses 'fixed label=mine\n' ":1: 'label' is set for every run"
refuses 'fixed json=out.json\n' ":1: 'json' is not for a sweep"
refuses "axis policy = 'vllm-v1\n" ':1: a quote is not closed'
refuses 'axes rate = 1\n' ':1: a statement begins with'
refuses '# nothing\n' ': there is no setting in it'
[ ! -e results.db ] || fail 'a refused file made a database'

# --- values with blanks, commas, quotes, and what a shell or parallel would replace
cat >odd.sweep <<'EOF'
fixed workload=fixed,n=3 no-horizon # a flag
axis policy = vllm-v1,watermark=0.1 "a b"  'it is $HOME {} {2} "#1" & \n'"'"
EOF
expect 0 "${sweep[@]:1}" --dry-run odd.sweep
[ "$(grep -c -- "'--no-horizon' '--policy=.*' '--workload=fixed,n=3'" said)" = 3 ] || fail 'not 3 commands'
[ ! -e results.db ] || fail 'a dry run made a database'
expect 1 "${sweep[@]:1}" odd.sweep
said '^finished +0 +1$'
said '^not stored +0 +2$'
said "^not stored: policy=a b: .*there is no policy 'a b'"
grep -qF "there is no policy 'it is \$HOME {} {2} \"#1\" & \\n''" said || fail 'a value was changed'
said '^left to do: 2 runs'
holds 1

# --- files in it are beside it; the order of lines is nothing to an id; a new value is one run more
mkdir folder
printf 'num_prefill_tokens,num_decode_tokens\n100,10\n200,20\n' >folder/two.csv
printf 'fixed trace=two.csv rate=1 seed=7\naxis policy = vllm-v1 vllm-v0-swap\n' >folder/order.sweep
expect 0 "${sweep[@]:1}" folder/order.sweep
said '^finished +0 +2$'
printf 'axis policy=vllm-v0-recompute vllm-v0-swap vllm-v1\nfixed seed=7\nfixed rate=1 trace=two.csv' \
  >folder/order.sweep
expect 0 "${sweep[@]:1}" folder/order.sweep
said '^finished +2 +1$'
holds 4

# --- an abort is a result; a failure is run again, in place of the row that it left
printf 'fixed workload=sharegpt,n=300,rate=100 kv-blocks=600 host-blocks=20 policy=vllm-v0-swap' >abort.sweep
expect 0 "${sweep[@]:1}" abort.sweep
said '^aborted +0 +1$'
said '^aborted: : .+'
query "UPDATE run SET outcome = 'failed' WHERE label LIKE 'sweep:order:%' AND policy = 'vllm-v1'"
expect 0 "${sweep[@]:1}" folder/order.sweep
said '^finished +2 +1$'
expect 0 "${sweep[@]:1}" abort.sweep
said '^aborted +1 +0$'
holds 5
[ "$(query 'SELECT count(DISTINCT run_id) FROM request')" = 5 ] || fail 'requests of a removed run are left'

# --- two at once: the second is told so
exec {held}<>results.db.lock
flock "$held"
expect 1 "${sweep[@]:1}" abort.sweep
said 'results\.db is in use by a sweep \(process [0-9]+, abort\.sweep\)'
exec {held}>&-

# --- the same with a sweep that is really at work, on the same file and on another one
cat >patient <<EOF
#!/usr/bin/env bash
[[ "\$*" != *--label* ]] || until [ -e "$work/go" ]; do sleep 0.02; done
exec "${sweep[3]}" "\$@"
EOF
chmod +x patient
printf 'fixed workload=fixed,n=3\naxis seed = 1 2 3' >slow.sweep
rm results.db.lock
"${sweep[@]}" --program ./patient slow.sweep >slow.said 2>&1 &
first=$!
until [ -s results.db.lock ]; do
  kill -0 "$first" 2>/dev/null || fail 'it ended too soon'
  sleep 0.02
done
for second in slow abort; do
  expect 1 "${sweep[@]:1}" "$second.sweep"
  said "results\.db is in use by a sweep \(process $first, slow\.sweep\)"
done
touch go
wait "$first" || { cat slow.said >&2 && fail 'the sweep that was first did not end'; }
holds 8
query "PRAGMA foreign_keys = ON; DELETE FROM run WHERE label LIKE 'sweep:slow:%'"

# --- databases that are not its own
cp results.db other.db
sqlite3 -batch other.db 'PRAGMA user_version = 99'
expect 1 "${sweep[@]:1}" --results other.db abort.sweep
said 'other\.db: version 99 of the results, .* writes version [0-9]+: use the program that made it'
sqlite3 -batch foreign.db 'CREATE TABLE run(id)'
expect 1 "${sweep[@]:1}" --results foreign.db abort.sweep
said 'foreign\.db is a database of another program'

# --- kill -9 in the middle, of the script, of parallel, of all in its process group at once
cat >long.sweep <<'EOF'
fixed workload=sharegpt,n=50000,rate=40 kv-blocks=800 keep-requests=10
axis policy = vllm-v1 vllm-v0-recompute
axis seed = 1 2 3 4
EOF
n_stored=5
for victim in script parallel group; do
  query "PRAGMA foreign_keys = ON; DELETE FROM run WHERE label LIKE 'sweep:long:%'"
  setsid "${sweep[@]}" long.sweep >said 2>&1 &
  script=$!
  until [ "$(query 'SELECT count(*) FROM run')" -gt $((n_stored + 1)) ]; do
    kill -0 "$script" 2>/dev/null || fail 'it ended too soon'
    sleep 0.02
  done
  case $victim in
    script) kill -KILL "$script" ;;
    parallel) kill -KILL "$(pgrep -P "$script")" ;;
    group) kill -KILL -- "-$script" ;;
  esac
  wait "$script" 2>/dev/null || true
  flock results.db.lock true # until runs that were left have ended
  [ "$(query 'SELECT count(*) FROM run')" -lt $((n_stored + 8)) ] || fail "all had ended: $victim"
  expect 0 "${sweep[@]:1}" long.sweep
  said '^finished +[2-7] +[1-6]$'
  holds $((n_stored + 8))
done

# --- its runs are one figure, though every one has a label of its own
if command -v gnuplot >/dev/null; then
  printf 'fixed workload=sharegpt,n=30\naxis policy = vllm-v1 vllm-v0-swap\naxis rate = 10 20\n' >rates.sweep
  expect 0 "${sweep[@]:1}" --results rates.db rates.sweep
  expect 0 "$(realpath "$(dirname "${sweep[1]}")/../plots/render.sh")" rates.db figures
  said '^figures/rate_sweep\.png figures/rate_sweep\.svg: runs 1 2 3 4$'
  said '^figures/timeline\.png figures/timeline\.svg: runs [1-4] [1-4]$'
fi
