#!/usr/bin/env bash
# capacity.sh - what vLLM V0 can serve: the throughput that loads are given in.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/capacity.sh [OPTION...]

For each case and pool, the throughput over the makespan of all requests at once, mean over the
seeds, under the better of vllm-v0-recompute and vllm-v0-swap; the pool on the host is that of
common.sh. A host pool that fills up aborts vLLM V0; such a mode has no throughput. Writes
DIR/capacity.tsv; what is in it is left as it is, since rates were made from it.
END
}

# The mean over the seeds of the runs of a mode, nothing if one of them did not finish.
mode() { # POINT POLICY
  query "$results" "SELECT CASE WHEN sum(outcome = 'finished') = count(*)
    THEN printf('%.6g', avg(request_throughput_per_s)) ELSE group_concat(DISTINCT outcome) END
    FROM run WHERE policy = '$2' AND label GLOB 'sweep:$1:*' AND seed <= ${seeds[-1]};"
}

begin "$@"
need set_memory
[ -f "$out/capacity.tsv" ] ||
  printf 'case\tlevel\tcapacity\trecompute\tswap\n' >"$out/capacity.tsv"
points=()
for name in "${cases[@]}"; do
  for level in "${levels[@]}"; do
    [ -n "$(look_up capacity.tsv "$name" "$level" capacity)" ] || add_point "$name" "$level" all
  done
done
[ ${#points[@]} -gt 0 ] || exit 0
serve vllm-v0-recompute vllm-v0-swap
for point in "${points[@]}"; do
  read -r name level _ <<<"$point"
  recompute=$(mode "${name}_${level}_all" vllm-v0-recompute)
  swap=$(mode "${name}_${level}_all" vllm-v0-swap)
  awk -v OFS='\t' -v name="$name" -v level="$level" -v a="$recompute" -v b="$swap" \
    'BEGIN { print name, level, (b + 0 > a + 0 ? b : a), a, b }' >>"$out/capacity.tsv"
done
