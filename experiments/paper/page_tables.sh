# page_tables.sh - the parts of the page of the paper experiments; sourced by page.sh.
# shellcheck shell=bash
# shellcheck disable=SC2154 # set by common.sh and page.sh

# Prints a figure, which it copies beside the page, where it was drawn.
figure() { # NAME TITLE
  [ -f "$out/$1.png" ] || return 0
  [ "$figures" -ef "$out" ] || cp "$out/$1.png" "$out/$1.svg" "$figures/"
  printf '\n![%s](%s/%s.png)\n' "$2" "$(basename "$figures")" "$1"
}

# Prints a table under a line of text, unless it is empty.
section() { # TEXT SQL
  local table
  table=$(print_table "$2")
  [ -z "$table" ] || printf '\n%s\n\n%s\n' "$1" "$table"
}

# SQL: a column of a table, the text of a measure of a row (case_name, level) of memory.
cell() { # POLICY LOAD NAME
  echo "ifnull((SELECT text FROM measure WHERE case_name = m.case_name AND level = m.level
    AND load = '$2' AND variant = '' AND policy = '$1' AND name = '$3'), (SELECT outcomes FROM failure
    WHERE case_name = m.case_name AND level = m.level AND load = '$2' AND variant = ''
    AND policy = '$1'))"
}

# SQL: rows of memory with these columns, those without a value in the first of them left out.
rows_of() { # TITLE=CELL...
  local columns='' pair
  for pair in "$@"; do columns+=", ${pair#*=} AS \"${pair%%=*}\""; done
  echo "SELECT * FROM (SELECT m.case_name AS \"case\", m.level AS pool $columns FROM memory AS m
    JOIN case_order AS o USING (case_name) WHERE o.chosen ORDER BY o.place, m.rowid)
    WHERE \"${1%%=*}\" IS NOT NULL"
}

# SQL: a row of the table of aims: of how many cases and pools it holds.
aim() { # TEXT NAME LOAD CONDITION TIGHT
  local tight="AND level != 'whole'"
  [ "$5" = tight ] || tight=''
  echo "SELECT '$1' AS aim, count(*) AS \"of cases and pools\", sum(mean $4) AS \"reached in\",
    printf('%.3g', min(mean)) AS lowest, printf('%.3g', max(mean)) AS highest
    FROM measure JOIN case_order USING (case_name) WHERE chosen AND variant = ''
    AND policy = '${policy_of[adaptive]}' AND name = '$2' AND load = '$3' $tight"
}

aims_section() {
  [ -n "${policy_of[adaptive]-}" ] || return 0
  printf '\n## What was aimed at, and what came of it\n'
  section 'Each row counts cases and pools, by the mean over the seeds; "tight" leaves out whole. The bounds preempt at no cost: in order of arrival, or the longest output first. A pool that is all of the device counts as its level and as whole.' "$(
    aim 'all at once, tight: 80 % of the gap to FCFS, free' 'throughput gap' all '>= 80' tight
    echo UNION ALL
    aim 'all at once, tight: 80 % of the gap to longest first' 'throughput gap lpt' all '>= 80' tight
    echo UNION ALL
    aim '110 %, tight: 80 % of the gap to FCFS, free' 'throughput gap' 110 '>= 80' tight
    echo UNION ALL
    aim 'all at once: throughput 1.1 times that of V0 recompute' throughput/v0-recompute all '>= 1.1' any
    echo UNION ALL
    aim 'all at once: throughput at least 0.99 of the better V0' throughput/v0 all '>= 0.99' any
    echo UNION ALL
    aim '100 %: throughput at least 0.99 of the better V0' throughput/v0 100 '>= 0.99' any
    echo UNION ALL
    aim 'all at once, tight: mean weighted turnaround 60 % lower' turnaround/v0 all '<= 0.4' tight
    echo UNION ALL
    aim '110 %, tight: mean weighted turnaround 60 % lower' turnaround/v0 110 '<= 0.4' tight
    echo UNION ALL
    aim '110 %, tight: mean weighted turnaround 80 % lower' turnaround/v0 110 '<= 0.2' tight
    echo UNION ALL
    aim '100 %: 70 % of the gap to SRPT with true lengths' 'turnaround gap' 100 '>= 70' any
    echo UNION ALL
    aim '90 %: 70 % of the gap to SRPT' 'turnaround gap' 90 '>= 70' any
    echo UNION ALL
    aim '70 %: 70 % of the gap to SRPT' 'turnaround gap' 70 '>= 70' any
  )"
  section 'Highest throughput over each baseline, with the setting in which it was reached (all experiments).' "
    SELECT substr(name, 12) AS \"over\", printf('%.3f', max(mean)) AS ratio, case_name AS \"case\", level AS pool,
      load, variant AS changed FROM measure WHERE policy = '${policy_of[adaptive]}' AND name LIKE 'throughput/v%'
    GROUP BY name"
  cat <<'END'

Why some are missed. *All at once, throughput*: lengths are not known, so the longest requests are
found late, and the run ends with few of them in the batch. FCFS starts them evenly over the run, and
the longest-first bound at its beginning; serving short requests first and not leaving long ones for
the end are at odds where nothing more arrives. It shows most at p10 and p25, where little is
preempted and the most sequences that may run (256) are the tighter limit; at p50 and whole nearly all
reach it, and while requests keep arriving, at 110 %, the gap is closed. *All at once, turnaround*: most of
the mean is due to requests of a few tokens that cannot be told from others in advance; the same
order with true lengths (SRPT) is in the tables. *Throughput 1.1 to 1.4 times vLLM's*, as published for
AdaptiveLLM: against the better of V0's modes not even the bounds are 1.3 times as fast (Throughput).
Larger ratios are to single modes: to swapping over a slow link, where V0's copies hold up the batch,
and to recomputing on short requests, whose prefills cost V0 iterations of their own.
END
}

memory_section() {
  cat <<END

## Memory and capacity

Pools (KV blocks of 16 tokens) in which \`vllm-v0-recompute\`, with all requests at once, preempts
that share of the requests it serves at least once, and \`whole\`, all the memory of the device.
Capacity: requests/s over the makespan of all at once, of the better mode of vLLM V0. The pool on
the host is $(host_gib_of h200) GiB for the H200, $(host_gib_of a100-40g) for the A100 and $(host_gib_of rtx4090) for the RTX 4090, for all policies. A mode that aborted says so. Loads are in % of the capacity.
END
  section 'Mean over the seeds (lowest to highest).' "SELECT case_name AS \"case\", level AS pool, kv_blocks AS \"KV blocks\",
    printf('%.1f', 100 * of_whole) AS \"of the device's, %\",
    printf('%.1f (%.1f to %.1f)', 100 * share, 100 * share_low, 100 * share_high) AS \"preempted, %\",
    printf('%.4g', capacity) AS capacity, c.recompute AS \"V0 recompute\", c.swap AS \"V0 swap\"
    FROM memory AS m JOIN case_order AS o USING (case_name) LEFT JOIN capacity AS c USING (case_name, level)
    ORDER BY o.place, m.rowid"
  section 'Pools that there are not:' \
    'SELECT case_name AS "case", level AS pool, text AS why FROM note'
}

# The middle of the cases, and their extremes: of the means over seeds.
summary_section() { # ROLE
  local policy=${policy_of[$1]}
  section "Over the cases, ${title_of[$1]} (\`$policy\`): median (lowest to highest)." "
    WITH x AS (SELECT name, level, load, mean, row_number() OVER w AS i, count(*) OVER
        (PARTITION BY name, level, load) AS n FROM measure WHERE policy = '$policy' AND variant = ''
        AND name IN ('throughput/v0', 'turnaround/v0') AND case_name IN (SELECT case_name FROM case_order WHERE chosen)
        WINDOW w AS (PARTITION BY name, level, load ORDER BY mean)),
      y AS (SELECT name, level, load, printf('%.3f (%.3f to %.3f)', avg(mean) FILTER (WHERE i * 2
          BETWEEN n AND n + 2), min(mean), max(mean)) AS text FROM x GROUP BY name, level, load)
    SELECT level AS pool, max(text) FILTER (WHERE name = 'throughput/v0' AND load = 'all') AS
        \"throughput / V0, all at once\",
      max(text) FILTER (WHERE name = 'turnaround/v0' AND load = 'all') AS \"turnaround / V0, all at once\",
      max(text) FILTER (WHERE name = 'turnaround/v0' AND load = '110') AS \"110 %\",
      max(text) FILTER (WHERE name = 'turnaround/v0' AND load = '100') AS \"100 %\",
      max(text) FILTER (WHERE name = 'turnaround/v0' AND load = '90') AS \"90 %\",
      max(text) FILTER (WHERE name = 'turnaround/v0' AND load = '70') AS \"70 %\"
    FROM y GROUP BY level"
}

throughput_section() { # ROLE
  local p=${policy_of[$1]}
  section "${title_of[$1]} (\`$p\`), all requests at once: its throughput over that of the others." "$(rows_of \
    "requests/s=$(cell "$p" all throughput)" "/ V0 recompute=$(cell "$p" all throughput/v0-recompute)" \
    "/ V0 swap=$(cell "$p" all throughput/v0-swap)" "/ V1=$(cell "$p" all throughput/v1)" \
    "/ V1 with watermark=$(cell "$p" all throughput/v1-watermark)" \
    "/ better V0=$(cell "$p" all throughput/v0)" "gap to the bound closed, %=$(cell "$p" all 'throughput gap')" \
    "to the longest-first bound, %=$(cell "$p" all 'throughput gap lpt')")"
  section "${title_of[$1]}, at 110 % of the capacity." "$(rows_of \
    "requests/s=$(cell "$p" 110 throughput)" "/ better V0=$(cell "$p" 110 throughput/v0)" \
    "/ V1=$(cell "$p" 110 throughput/v1)" "/ V1 with watermark=$(cell "$p" 110 throughput/v1-watermark)" \
    "gap to the bound closed, %=$(cell "$p" 110 'throughput gap')")"
}

# A table with a column for each role.
by_role() { # LOAD MEASURE TEXT
  local role columns=()
  for role in "${role_names[@]}"; do
    columns+=("${title_of[$role]}=$(cell "${policy_of[$role]}" "$1" "$2")")
  done
  section "$3" "$(rows_of "${columns[@]}")"
}

# A table with a column for each load.
by_load() { # ROLE MEASURE TEXT
  local load columns=() title
  for load in all $open_loads; do
    title="$load %"
    [ "$load" != all ] || title='all at once'
    columns+=("$title=$(cell "${policy_of[$1]}" "$load" "$2")")
  done
  section "${title_of[$1]}: $3" "$(rows_of "${columns[@]}")"
}

turnaround_section() { # ROLE
  by_load "$1" turnaround/v0 'mean weighted turnaround, relative to the better vLLM V0.'
  [ "$1" = "${ours[0]}" ] || return 0
  by_load "$1" 'turnaround gap' 'share of the way from the better V0 to SRPT with true lengths, %.'
  by_load "$1" ttft_p99 'P99 time to first token, s.'
  by_load "$1" ttft_p99/v0 'P99 time to first token, relative to the better V0.'
  by_load "$1" worst 'worst weighted turnaround.'
  by_load "$1" worst/v0 'worst weighted turnaround, relative to the better V0.'
}

# A table of an experiment whose policies are a set: a row per case and policy.
set_section() { # EXPERIMENT TEXT
  section "$2" "SELECT case_name AS \"case\", series, category AS setting,
      max(text) FILTER (WHERE name = 'throughput/v0' AND load = 'all') AS \"throughput / V0, all at once\",
      max(text) FILTER (WHERE name = 'turnaround/v0' AND load = 'all') AS \"turnaround / V0, all at once\",
      max(text) FILTER (WHERE name = 'turnaround/v0' AND load = '110') AS \"110 %\",
      max(text) FILTER (WHERE name = 'turnaround/v0' AND load = '90') AS \"90 %\",
      max(text) FILTER (WHERE name = 'worst/v0' AND load = '90') AS \"worst / V0, 90 %\"
    FROM measure JOIN member AS b USING (policy) JOIN complete USING (experiment, case_name)
    JOIN case_order USING (case_name) WHERE experiment = '$1' AND level = 'p25' AND variant = ''
    GROUP BY case_name, b.rowid ORDER BY place, b.rowid"
}

sensitivity_section() { # ROLE
  section "${title_of[$1]}, one setting changed: over the better V0 in the same surroundings." "
    SELECT iif(variant = '', 'as it is', variant) AS changed,
      max(text) FILTER (WHERE name = 'throughput/v0' AND load = 'all') AS \"throughput / V0, all at once\",
      max(text) FILTER (WHERE name = 'turnaround/v0' AND load = 'all') AS \"turnaround / V0, all at once\",
      max(text) FILTER (WHERE name = 'turnaround/v0' AND load = '100') AS \"100 %\",
      max(text) FILTER (WHERE name = 'worst/v0' AND load = '100') AS \"worst / V0, 100 %\"
    FROM measure JOIN variant AS v USING (case_name, variant) WHERE level = 'p25'
      AND policy = '${policy_of[$1]}' GROUP BY v.rowid ORDER BY v.rowid"
  section "${title_of[$1]}, by load: mean weighted turnaround over the better V0, at p25." "
    SELECT case_name AS \"case\", max(text) FILTER (WHERE load = '130') AS \"130 %\",
      max(text) FILTER (WHERE load = '110') AS \"110 %\", max(text) FILTER (WHERE load = '100') AS \"100 %\",
      max(text) FILTER (WHERE load = '90') AS \"90 %\", max(text) FILTER (WHERE load = '70') AS \"70 %\",
      max(text) FILTER (WHERE load = '50') AS \"50 %\"
    FROM measure JOIN case_order USING (case_name) WHERE level = 'p25' AND name = 'turnaround/v0'
      AND variant = '' AND policy = '${policy_of[$1]}' GROUP BY case_name
    HAVING count(*) FILTER (WHERE load = '130') > 0 ORDER BY place"
}

# Where the mean crosses 5, linear between the loads that were served.
rate_section() {
  section 'Highest load, in % of the capacity, at which the mean weighted turnaround is at most 5, at p25 (of the means over seeds; 130 is the highest that was tried).' "
    WITH m AS (SELECT case_name, policy, CAST(load AS REAL) AS load, mean,
        lead(CAST(load AS REAL)) OVER w AS next_load, lead(mean) OVER w AS next_mean
      FROM measure WHERE level = 'p25' AND variant = '' AND name = 'turnaround' AND load != 'all'
        AND case_name IN (SELECT case_name FROM measure WHERE load = '130')
      WINDOW w AS (PARTITION BY case_name, policy ORDER BY CAST(load AS REAL))),
    c AS (SELECT case_name, policy, max(CASE WHEN mean <= 5 AND (next_mean IS NULL) THEN load
        WHEN mean <= 5 AND next_mean > 5 THEN load + (next_load - load) * (5 - mean) / (next_mean - mean) END) AS at
      FROM m GROUP BY case_name, policy)
    SELECT case_name AS \"case\", title AS policy, printf('%.0f', at) AS \"load, %\" FROM c JOIN role USING (policy)
    JOIN case_order USING (case_name) WHERE at IS NOT NULL ORDER BY place, role.rowid"
}

predictor_section() {
  section 'Of the predictions that were checked in runs, all requests at once: mean absolute error, %.' "
    SELECT case_name AS \"case\", level AS pool, policy, max(text) FILTER (WHERE name = 'mape iteration') AS iterations,
      max(text) FILTER (WHERE name = 'mape swap') AS swaps,
      max(text) FILTER (WHERE name = 'mape recompute') AS recomputes
    FROM measure JOIN case_order USING (case_name) JOIN shown USING (case_name, level)
    WHERE chosen AND name LIKE 'mape %' AND load = 'all' AND variant = ''
      AND policy IN (SELECT policy FROM role) GROUP BY case_name, policy ORDER BY place, policy"
  sqlite3 -batch -bail -cmd '.mode markdown' "$profiles" "
    SELECT d.name AS device, ifnull(m.name, '-') AS model, max(printf('%.2f', 100 * held_out_mape))
        FILTER (WHERE operation = 'iteration') AS \"iterations, held out, %\",
      max(printf('%.2f', 100 * held_out_mape)) FILTER (WHERE operation = 'swap_out') AS \"swap out\",
      max(printf('%.2f', 100 * held_out_mape)) FILTER (WHERE operation = 'swap_in') AS \"swap in\"
    FROM fit JOIN device AS d ON d.id = device_id LEFT JOIN model AS m ON m.id = model_id
    GROUP BY 1, 2 ORDER BY min(fit.id)" >"$out/held_out.md"
  printf '\nThe fits by themselves, 5-fold cross-validation: mean absolute error, %%.\n\n%s\n' \
    "$(cat "$out/held_out.md")"
  cat <<'END'

What a recomputation took is the difference of two iterations, with its tokens and without them, so
an error of either counts in full: where a prompt of a few tokens is computed again beside 250
decodes, 0.5 % of the iteration is more than what the recomputation adds. That is why the errors are larger than
those of the fits, by most where chunks are small and shared with others (vLLM V1, `cost-aware`, and
V0 on short prompts). `adaptive` and `srpt-oracle` recompute the last tokens of a partial block, a few
in a whole run: a token adds microseconds there, and the relative error of that says nothing.
Swaps and recomputes are means over events, not over time: a swap of one block weighs as much as one
of a sequence.
END
}

each_of_ours() { # SECTION
  local role
  for role in "${ours[@]}"; do
    [ -z "${policy_of[$role]-}" ] || "$1" "$role"
  done
}

write_page() {
  cat <<END
# AdaptiveLLM against vLLM, simulated

Made by \`experiments/paper/all.sh\`, all of it simulated: $requests requests a run, seeds ${seeds[*]}, noise of $(awk "BEGIN { print 100 * $noise }") % on every
time of the simulated device. The predictor is fitted to microbenchmarks of that device with the same noise.
A case is model, device and workload. Workloads have the lengths of published data (ShareGPT; Azure
conversations; arXiv summaries, longdoc; DeepSeek-R1, reasoning; Alpaca, of which only the means were at
hand), drawn from its quantiles, prompt and output independently; traces/workload_tables.c has sources
and shapes. Arrivals are Poisson. Values are means over the seeds of ratios within a seed (the
same requests, the same noise), with the lowest and highest in brackets. "Better V0" is, for each
figure and seed by itself, the better of vLLM V0 with recompute and with swap; what aborted is
not in it. The share of a gap is left out (-) where the gap is below 1 %. Weighted turnaround is
(finish - arrival) / the time that the request would take alone on the device (elsewhere: slowdown,
or stretch). Loads are in % of the capacity (Memory and capacity); columns that name a load alone hold
the mean weighted turnaround over that of the better V0. \`adaptive\` has fairness 0.9, hysteresis 1 and
min_service 64, the settings it ships with, also where it is compared by order.
END
  each_of_ours summary_section
  aims_section
  memory_section
  printf '\n## Throughput\n'
  figure throughput 'throughput over the better vLLM V0'
  by_role all throughput/v0 'All requests at once: throughput over that of the better vLLM V0.'
  each_of_ours throughput_section
  printf '\n## Weighted turnaround\n'
  figure turnaround 'mean weighted turnaround over vLLM V0, by load'
  by_role 110 turnaround/v0 'At 110 % of the capacity: mean weighted turnaround over that of the better vLLM V0.'
  by_role 90 turnaround/v0 'At 90 % of the capacity.'
  each_of_ours turnaround_section
  printf '\n## Order and memory apart\n'
  figure ablation 'orders and memory policies'
  set_section ablation 'Every order (setting) with every memory policy (series), at p25. The orders of the other policies have no bound on waiting (fairness 1); with fairness 1 adaptive has the turnarounds under Fairness.'
  printf '\n## Neighbours\n'
  set_section neighbours 'Other systems, as far as they are modelled (adaptivellm policies), at p25.'
  printf '\n## Mechanisms\n'
  figure mechanisms 'one mechanism at a time switched off'
  set_section mechanisms 'The adaptive policy with one setting changed, at p25. What a victim does (mechanism, victim, split, partial, reserve, write_back) changes little here, where copies run beside compute over a fast link; prefix_cache has nothing to share in these workloads. Prompts mixed with decodes, copies beside compute, the order and its hysteresis decide.'
  printf '\n## Fairness\n'
  figure pareto 'mean weighted turnaround against throughput and against the worst'
  set_section pareto 'The adaptive policy by its fairness, at p25.'
  printf '\n## Sensitivity\n'
  figure sensitivity 'one setting of the surroundings changed'
  cat <<END

${cases[0]} at p25. copy-xF, iteration-xF: the predictor believes that copies, or iterations, take F
times as long as they do; samples-100-noise-0.1: it is fitted to 100 iterations and 33 copies with 10 %
of noise. drift-xF: from second 60 on the device takes F times as long. noise-S: standard deviation of
every time, as a share. host-N: GiB of the pool on the host. link-N: GB/s of the host link, each way.
gamma-cv-N: coefficient of variation of the gaps between arrivals. seqs-N: sequences at once.
END
  each_of_ours sensitivity_section
  set_section lengths 'What is known of output lengths (setting), at p25.'
  rate_section
  printf '\n## Predictor\n'
  figure predictor_error 'errors of predictions in runs'
  predictor_section
}
