#!/usr/bin/env bash
# mechanisms.sh - what each mechanism is worth: the role adaptive without one at a time.
# shellcheck source-path=SCRIPTDIR
# shellcheck disable=SC2154 # set by common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'END'
usage: experiments/paper/mechanisms.sh [OPTION...]

Serves the first four cases at p25, all requests at once and at 110 and 90 % load,
under the role adaptive as it is, and with one of its settings that are on switched off (or
set as policies.sh says); draws DIR/mechanisms.png and .svg.
END
}

# Prints SETTING=off for every setting of a policy that is on.
switches() { # POLICY
  local name=${1%%,*}
  "$program" policies | awk -v name="$name" '
    found { n = split($1, setting, ",")
            for (i = 1; i <= n; i++) if (sub(/=on$/, "=off", setting[i])) print setting[i]
            exit }
    $1 == name { found = 1 }'
}

begin "$@"
need capacity
open_loads='110 90'
points=()
for name in "${cases[@]:0:4}"; do
  add_point "$name" p25 all
  add_point "$name" p25 open
done
begin_set mechanisms
if [ -n "${policy_of[adaptive]-}" ]; then
  add_member adaptive 'as it is' "${policy_of[adaptive]}"
  mapfile -t switched < <(switches "${policy_of[adaptive]}")
  for setting in "${switched[@]}" "${mechanism_settings[@]}"; do
    add_member adaptive "$setting" "${policy_of[adaptive]},$setting"
  done
fi
mapfile -t plain < <(policies_of v0-recompute v0-swap adaptive bound srpt)
serve "${plain[@]}" "${set_policies[@]}"
make_tables
draw mechanisms "case_name IN (SELECT case_name FROM complete WHERE experiment = 'mechanisms')"
