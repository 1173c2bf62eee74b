-- measures.sql - makes tables.db: what the tables and figures of the paper experiments show. Run in
-- the folder of the databases, on a new file.
--
--   memory, note   the pools found, and why one was not
--   capacity       of vLLM V0 in them
--   role           the policies with a name
--   chosen, case_order, complete   cases of --cases, all that there are, those of a set
--   shown          for each case the pool that stands for it where there is room for one
--   member         the sets of policies of experiments that are not made of roles
--   served         one row per run: point, policy, figures
--   measure        (case, level, load, variant, policy, name) -> mean, low and high over seeds
--
-- A run counts where its pool and rate are those of the tables now: others are left from before.
-- Of runs that differ in nothing named here, the last one counts.
-- Ratios are taken per seed, within one point: the same requests, the same noise.
ATTACH 'results.db' AS r;
CREATE TABLE memory(case_name TEXT, level TEXT, kv_blocks INTEGER, of_whole REAL, share REAL,
  share_low REAL, share_high REAL);
CREATE TABLE note(case_name TEXT, level TEXT, text TEXT);
CREATE TABLE capacity(case_name TEXT, level TEXT, capacity REAL, recompute TEXT, swap TEXT);
CREATE TABLE role(role TEXT, policy TEXT, title TEXT);
CREATE TABLE chosen(case_name TEXT);
CREATE TABLE chosen_seed(seed INTEGER);
CREATE TABLE member(experiment TEXT, series TEXT, category TEXT, policy TEXT);
.mode tabs
.import --skip 1 memory.tsv memory
.import memory_notes.tsv note
.import --skip 1 capacity.tsv capacity
.import roles.tsv role
.import members.tsv member
.import cases.tsv chosen
.import seeds.tsv chosen_seed

-- The order of the cases in tables is that in which they were prepared. Chosen: by --cases; others
-- may have been run before, or stand beside the chosen ones in one experiment.
CREATE TABLE case_order AS SELECT case_name, min(memory.rowid) AS place, c.rowid IS NOT NULL AS chosen
FROM memory LEFT JOIN chosen AS c USING (case_name) GROUP BY case_name;

-- A label is sweep:CASE_LEVEL_LOAD[_VARIANT]:ID, CASE is MODEL_DEVICE_WORKLOAD, ID has 16 digits.
CREATE TABLE served AS
WITH named AS (
  SELECT json('["' || replace(substr(label, 7, length(label) - 23), '_', '","') || '"]') AS part, *
  FROM r.run WHERE label GLOB 'sweep:*_*_*_*_*:*'),
point AS (
  SELECT (part ->> 0) || '_' || (part ->> 1) || '_' || (part ->> 2) AS case_name,
    part ->> 3 AS level, part ->> 4 AS kind, ifnull(part ->> 5, '') AS variant,
    settings ->> 'kv_blocks' AS kv_blocks, settings ->> 'rate' AS rate, named.*
  FROM named)
SELECT max(p.id) AS place, case_name, level, CASE kind WHEN 'all' THEN 'all' ELSE printf('%.0f', 100 * rate / capacity)
    END AS load, variant, p.policy, seed, p.outcome, request_throughput_per_s AS throughput,
  weighted_turnaround_mean AS turnaround, weighted_turnaround_max AS worst,
  ttft_s_p99 AS ttft_p99, n_preemptions, jain_fairness AS jain,
  100 * predictor_mape_iteration AS mape_iteration, 100 * predictor_mape_swap AS mape_swap,
  100 * predictor_mape_recompute AS mape_recompute
FROM point AS p JOIN memory USING (case_name, level) LEFT JOIN capacity USING (case_name, level)
WHERE p.kv_blocks = memory.kv_blocks AND seed IN (SELECT seed FROM chosen_seed) AND (kind = 'all'
  OR abs(100 * rate / capacity - round(100 * rate / capacity)) < 0.001)
GROUP BY case_name, level, kind, rate, variant, p.policy, seed;
CREATE INDEX served_point ON served(case_name, level, load, variant, seed);

-- The better of the two modes of vLLM V0, for each figure by itself; and the two oracles.
CREATE TEMP TABLE against AS
SELECT case_name, level, load, variant, seed,
  max(throughput) FILTER (WHERE role IN ('v0-recompute', 'v0-swap')) AS v0_throughput,
  min(turnaround) FILTER (WHERE role IN ('v0-recompute', 'v0-swap')) AS v0_turnaround,
  min(worst) FILTER (WHERE role IN ('v0-recompute', 'v0-swap')) AS v0_worst,
  min(ttft_p99) FILTER (WHERE role IN ('v0-recompute', 'v0-swap')) AS v0_ttft_p99,
  max(throughput) FILTER (WHERE role = 'v0-recompute') AS recompute,
  max(throughput) FILTER (WHERE role = 'v0-swap') AS swap,
  max(throughput) FILTER (WHERE role = 'v1') AS v1,
  max(throughput) FILTER (WHERE role = 'v1-watermark') AS v1_watermark,
  max(throughput) FILTER (WHERE role = 'bound') AS bound,
  max(throughput) FILTER (WHERE role = 'bound-lpt') AS bound_lpt,
  min(turnaround) FILTER (WHERE role = 'srpt') AS srpt
FROM served JOIN role USING (policy) WHERE outcome = 'finished'
GROUP BY case_name, level, load, variant, seed;

-- One value per run. A gap below 1 % is too narrow to speak of shares of it.
CREATE TEMP TABLE value AS
WITH x AS (SELECT * FROM served JOIN against USING (case_name, level, load, variant, seed)
  WHERE outcome = 'finished'),
v(case_name, level, load, variant, policy, seed, name, value) AS (
  SELECT case_name, level, load, variant, policy, seed, 'throughput', throughput FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'throughput/v0-recompute', throughput / recompute FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'throughput/v0-swap', throughput / swap FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'throughput/v1', throughput / v1 FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'throughput/v1-watermark', throughput / v1_watermark FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'throughput/v0', throughput / v0_throughput FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'throughput gap', CASE WHEN bound > 1.01 * v0_throughput
    THEN 100 * (throughput - v0_throughput) / (bound - v0_throughput) END FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'throughput gap lpt', CASE WHEN bound_lpt > 1.01 * v0_throughput
    THEN 100 * (throughput - v0_throughput) / (bound_lpt - v0_throughput) END FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'turnaround', turnaround FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'turnaround/v0', turnaround / v0_turnaround FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'turnaround gap', CASE WHEN srpt < 0.99 * v0_turnaround
    THEN 100 * (v0_turnaround - turnaround) / (v0_turnaround - srpt) END FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'worst', worst FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'worst/v0', worst / v0_worst FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'ttft_p99', ttft_p99 FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'ttft_p99/v0', ttft_p99 / v0_ttft_p99 FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'jain', jain FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'preemptions', n_preemptions FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'mape iteration', mape_iteration FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'mape swap', mape_swap FROM x
  UNION ALL SELECT case_name, level, load, variant, policy, seed, 'mape recompute', mape_recompute FROM x)
SELECT * FROM v WHERE value IS NOT NULL;

-- What did not finish has no figures; tables show how it ended, and how many of the seeds did where others finished.
CREATE TABLE failure AS SELECT case_name, level, load, variant, policy,
  group_concat(DISTINCT outcome) AS outcomes, count(*) AS n_runs
FROM served WHERE outcome != 'finished' GROUP BY 1, 2, 3, 4, 5;

-- text: for tables; three digits where that is below 1000, percentages with none.
CREATE TABLE measure AS
SELECT case_name, level, load, variant, policy, name, mean, low, high, n_seeds,
  CASE WHEN n_seeds = 1 THEN printf(form, mean)
    ELSE printf(form || ' (' || form || ' to ' || form || ')', mean, low, high) END ||
    ifnull((SELECT printf(' [%d %s]', n_runs, outcomes) FROM failure AS f WHERE (f.case_name, f.level,
      f.load, f.variant, f.policy) = (m.case_name, m.level, m.load, m.variant, m.policy)), '') AS text
FROM (SELECT case_name, level, load, variant, policy, name, avg(value) AS mean, min(value) AS low,
    max(value) AS high, count(*) AS n_seeds,
    CASE WHEN name LIKE '% gap%' OR max(abs(value)) >= 1000 THEN '%.0f'
      WHEN max(abs(value)) >= 100 THEN '%.1f' WHEN max(abs(value)) >= 10 THEN '%.2f'
      ELSE '%.3f' END AS form
  FROM value GROUP BY case_name, level, load, variant, policy, name) AS m;
CREATE UNIQUE INDEX measure_key ON measure(case_name, level, load, variant, policy, name);

-- The cases in which all policies of a set were served: others only share a policy with it.
CREATE TABLE complete AS
WITH n AS (SELECT experiment, case_name, count(DISTINCT policy) AS n FROM member
  JOIN served USING (policy) WHERE level = 'p25' AND variant = '' AND load = '110' GROUP BY 1, 2)
SELECT experiment, case_name FROM n JOIN case_order USING (case_name)
WHERE chosen AND n = (SELECT count(DISTINCT policy) FROM member WHERE experiment = n.experiment);

-- The pool of each case where the share preempted is nearest to a quarter.
CREATE TABLE shown AS SELECT case_name, level, min(abs(share - 0.25)) AS apart FROM memory GROUP BY case_name;

-- The changed settings in the order in which they were first tried, for the case they belong to.
CREATE TABLE variant AS
WITH changed AS (SELECT case_name, variant, min(place) AS place FROM served WHERE case_name IN
  (SELECT case_name FROM served WHERE variant != '') GROUP BY 1, 2)
SELECT case_name, variant FROM changed ORDER BY variant != '', place;
