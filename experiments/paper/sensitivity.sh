#!/usr/bin/env bash
# sensitivity.sh - what changes when the surroundings do.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/sensitivity.sh [OPTION...]

Changes one setting at a time of the first case at p25, all requests at once and at 100 % load:
errors of the predictor, a device that slows down, noise, the host pool, bursts of arrivals,
sequences at once, the bandwidth of the host link; what is known of lengths. Loads from 50 to
130 %, also for Qwen2.5-7B and Mistral-7B, whose KV per token is 1/9 and 1/4 of that of Llama 2 7B.
Draws DIR/sensitivity.png and .svg.
END
}

# Makes a profile of the device as it is not: copies and iterations take so many times as long.
# The noise of what is measured stays, the fit is made anew.
wrong_profile() { # NAME COPY_FACTOR ITERATION_FACTOR
  local db=$out/profiles.new
  ! is_fitted "$out/profiles-$1.db" || return 0
  rm -f "$db"
  query "$profiles" "VACUUM INTO '$db'"
  query "$db" "UPDATE sample SET
    seconds = seconds * CASE operation WHEN 'iteration' THEN $3 ELSE $2 END,
    deviation_s = deviation_s * CASE operation WHEN 'iteration' THEN $3 ELSE $2 END
    WHERE operation IN ('iteration', 'swap_out', 'swap_in')"
  "$program" fit --profile "$db" --device "$device" --model "$model" --quiet
  mv "$db" "$out/profiles-$1.db"
}

# A profile of few and noisy samples.
poor_profile() { # NAME NOISE SAMPLES
  local db=$out/profiles.new
  ! is_fitted "$out/profiles-$1.db" || return 0
  rm -f "$db"
  "$program" profile --device "$device" --model "$model" --noise "$2" --iterations "$3" \
    --copies $(($3 / 3)) --host-gib "$(host_gib_of "$device")" --profile "$db" --quiet
  "$program" fit --profile "$db" --device "$device" --model "$model" --quiet
  mv "$db" "$out/profiles-$1.db"
}

# The device with another host link, of which the predictor knows.
linked_profile() { # GBS
  local db=$out/profiles-link-$1.db
  ! is_fitted "$db" || return 0
  "$program" profile --device "$device" --model "$model" --noise "$noise" --link-gbs "$1" \
    --host-gib "$(host_gib_of "$device")" --profile "$db" --quiet
  "$program" fit --profile "$db" --device "$device" --model "$model" --quiet
}

# Both loads of the first case with a setting changed.
add_variant() { # NAME KEY=VALUE
  add_point "${cases[0]}" p25 all "$@"
  add_point "${cases[0]}" p25 open "$@"
}

add_wrong_profiles() {
  local factor
  split_case "${cases[0]}"
  for factor in 0.5 0.8 0.9 1.1 1.25 2; do
    wrong_profile "copy-x$factor" "$factor" 1
    add_variant "copy-x$factor" "profile=../profiles-copy-x$factor.db"
    wrong_profile "iteration-x$factor" 1 "$factor"
    add_variant "iteration-x$factor" "profile=../profiles-iteration-x$factor.db"
  done
  poor_profile noisy 0.1 100
  add_variant samples-100-noise-0.1 profile=../profiles-noisy.db
}

# Models of about the size of Llama 2 7B, with less KV per token.
kv_cases() {
  split_case "${cases[0]}"
  printf '%s\n' {qwen2.5-7b,mistral-7b}_"${device}_$workload"
}

begin "$@"
need capacity
mapfile -t kv_sizes < <(kv_cases)
need capacity --cases "$(IFS=, && echo "${kv_sizes[*]}")"
mapfile -t plain < <(policies_of "${role_names[@]}")

open_loads='130 110 100 90 70 50'
points=()
for name in "${cases[0]}" "${kv_sizes[@]}"; do
  add_point "$name" p25 all
  add_point "$name" p25 open
done
serve "${plain[@]}"

open_loads=100
points=()
add_wrong_profiles
for factor in 1.05 1.2 1.5; do add_variant "drift-x$factor" "drift=$factor@60"; done
for sigma in 0.02 0.05 0.1; do add_variant "noise-$sigma" "noise=$sigma"; done
for gib in 0 4 16 64; do add_variant "host-$gib" "host-gib=$gib"; done
for gbs in 6 12 25 100; do
  linked_profile "$gbs"
  add_variant "link-$gbs" "link-gbs=$gbs" "profile=../profiles-link-$gbs.db"
done
for cv in 2 4; do add_point "${cases[0]}" p25 open "gamma-cv-$cv" "arrival=gamma,cv=$cv"; done
for n in 64 128 512; do add_variant "seqs-$n" "max-seqs=$n"; done
mapfile -t plain < <(policies_of v0-recompute v0-swap v1 "${ours[@]}")
serve "${plain[@]}"

open_loads='110 90'
points=()
add_point "${cases[0]}" p25 all
add_point "${cases[0]}" p25 open
begin_set lengths
for pair in "${length_policies[@]}"; do add_member lengths "${pair%%=*}" "${pair#*=}"; done
[ ${#set_policies[@]} -eq 0 ] || serve "${set_policies[@]}"
make_tables
draw sensitivity "variant != ''"
