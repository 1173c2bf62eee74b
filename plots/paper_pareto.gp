# paper_pareto.gp - the mean weighted turnaround against throughput (all at once) and against the worst, by
# fairness and policy.
# usage: gnuplot -c plots/paper_pareto.gp TABLES_DB OUT    writes OUT.png and OUT.svg
DB = ARG1
OUT = ARG2
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "paper_common.gp"

SERIES = "SELECT series, series || ', fairness 0 to 1' AS title FROM member WHERE experiment = 'pareto' GROUP BY series \
    UNION ALL SELECT policy, title FROM role WHERE role NOT LIKE 'bound%' AND role != 'adaptive'"
CATEGORIES = ""
CASES = "SELECT case_name FROM complete JOIN case_order USING (case_name) WHERE experiment = 'pareto' ORDER BY place LIMIT 2"
N_CASES = count(CASES)
COLUMNS = 3
N_PANELS = 3 * N_CASES
array LOADS[3] = ["all", "110", "90"]
array WHAT[3] = ["throughput/v0", "worst", "worst"]
array CALLED[3] = ["throughput / V0", "worst weighted turnaround", "worst weighted turnaround"]
array TITLE[N_PANELS]
array TITLE_Y[N_PANELS]
do for [p = 1:N_PANELS] {
    TITLE[p] = sprintf("%s, %s", nth(CASES, "case_name", (p - 1) / 3 + 1), \
        (p - 1) % 3 == 0 ? "all at once" : LOADS[(p - 1) % 3 + 1] . " %")
    TITLE_Y[p] = CALLED[(p - 1) % 3 + 1]
}
# The spread is that of the vertical axis.
panel(p) = sprintf("SELECT s.series, a.mean AS x, b.mean, b.low, b.high FROM measure AS a JOIN measure AS b \
    USING (case_name, level, load, variant, policy) JOIN (SELECT series, policy FROM member WHERE experiment = \
    'pareto' UNION ALL SELECT policy, policy FROM role WHERE role NOT LIKE 'bound%%' AND role != 'adaptive') AS s \
    USING (policy) WHERE a.name = 'turnaround' AND b.name = '%s' AND level = 'p25' AND variant = '' AND load = '%s' AND case_name = '%s'", \
    WHAT[(p - 1) % 3 + 1], LOADS[(p - 1) % 3 + 1], nth(CASES, "case_name", (p - 1) / 3 + 1))
TITLE_X = "mean weighted turnaround"
STEP_X = 0
JOINED = 1
REFERENCE = 0
SCALE_Y = "if ((p - 1) % 3 > 0) { set yrange [0:*] }"
load FOLDER . "paper_panels.gp"
