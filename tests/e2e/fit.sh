#!/usr/bin/env bash
# fit.sh - measures a simulated device, fits it, predicts with the fits, and refuses bad input.
#
# usage: tests/e2e/fit.sh ADAPTIVELLM
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/expect.sh"

db=$work/profiles.db
expect 0 profile --profile "$db" --device h200 --model llama-2-7b --noise 0.005 --quiet
expect 1 predict --profile "$db" --device h200 --model llama-2-7b --tokens 512
said 'no fits .*run .adaptivellm fit'

# Held-out error on a device with 0.5 % noise: under 1 %.
expect 0 fit --profile "$db" --device h200 --model llama-2-7b --json "$work/errors.json"
said '^iteration +900 '
said '^swap_out ' && said '^swap_in '
grep '"mape"' "$work/errors.json" | while read -r _ mape; do
  awk -v m="${mape%,}" 'BEGIN {exit !(m < 0.01)}' || {
    echo "fit.sh: a held-out error of ${mape%,} is not under 0.01" >&2
    exit 1
  }
done

expect 0 predict --profile "$db" --device h200 --model llama-2-7b --prefill 512@128 --decodes 32@1000
said '^[0-9.]+ ms, 90 % of cases within '
expect 0 predict --profile "$db" --device h200 --model llama-2-7b --swap-out 64 --segments 4 --busy
said '^[0-9.]+ ms'
expect 0 predict --profile "$db" --device h200 --model llama-2-7b --tokens 1000000
said 'outside of what was measured'

expect 2 predict --profile "$db" --device h200 --tokens 8@
said 'N@CACHED'
expect 2 predict --profile "$db" --device h200 --tokens 8 --swap-in 3
expect 2 predict --profile "$db" --device h200 --swap-out 8 --swap-in 3
said 'one copy at a time'
expect 2 predict --profile "$db" --device h200 --tokens 8 --busy
said 'are of a copy'
expect 1 profile merge "$work/new.db" "$db" "$work/none.db"
said 'none.db: there is no such profile database'
[ ! -e "$work/new.db" ] || { echo 'fit.sh: a merge that fails made a database' >&2 && exit 1; }
expect 0 profile merge "$work/new.db" "$db"
said '1 profiles added'
expect 2 fit --profile "$db"
said 'device'
expect 2 fit --profile "$db" --device h200 --tp x
expect 1 fit --profile "$db" --device h200 --model opt-13b
said 'no samples of device h200, model opt-13b'

# Too few samples of one operation: named, and the old fits stay.
printf 'bytes,h2d_pageable_gbps,d2h_pageable_gbps,h2d_pinned_gbps,d2h_pinned_gbps\n1024,1,1,2,2\n' >"$work/few_copy.csv"
expect 0 profile import pcie "$work/few_copy.csv" --profile "$db" --device few --quiet
expect 1 fit --profile "$db" --device few
said 'swap_(in|out): 1 samples at 1 different points; a fit needs 8: measure more bytes'
expect 0 predict --profile "$db" --device h200 --model llama-2-7b --tokens 512
