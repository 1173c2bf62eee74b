# paper_ablation.gp - orders x memory policies: throughput at once, and mean weighted turnaround at two loads.
# usage: gnuplot -c plots/paper_ablation.gp TABLES_DB OUT    writes OUT.png and OUT.svg
DB = ARG1
OUT = ARG2
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "paper_common.gp"

SERIES = "SELECT series, series AS title FROM member WHERE experiment = 'ablation' GROUP BY series ORDER BY min(rowid)"
CATEGORIES = "SELECT category FROM member WHERE experiment = 'ablation' GROUP BY category ORDER BY min(rowid)"
CASES = "SELECT case_name FROM complete JOIN case_order USING (case_name) WHERE experiment = 'ablation' ORDER BY place LIMIT 2"
N_CASES = count(CASES)
N_PANELS = 3 * N_CASES
COLUMNS = 3
array WHAT[3] = ["throughput/v0", "turnaround/v0", "turnaround/v0"]
array LOADS[3] = ["all", "110", "90"]
array TITLE[N_PANELS]
array TITLE_Y[N_PANELS]
do for [p = 1:N_PANELS] {
    TITLE[p] = sprintf("%s, %s", nth(CASES, "case_name", (p - 1) / 3 + 1), \
        (p - 1) % 3 == 0 ? "all at once" : LOADS[(p - 1) % 3 + 1] . " %")
    TITLE_Y[p] = (p - 1) % 3 == 0 ? "throughput / better V0" : "mean weighted turnaround / V0"
}
panel(p) = sprintf("SELECT series, x, mean, low, high FROM measure JOIN member AS m USING (policy) JOIN \
    (SELECT category, row_number() OVER () AS x FROM (%s)) AS c USING (category) WHERE experiment = 'ablation' \
    AND level = 'p25' AND variant = '' AND name = '%s' AND load = '%s' AND case_name = '%s'", CATEGORIES, \
    WHAT[(p - 1) % 3 + 1], LOADS[(p - 1) % 3 + 1], nth(CASES, "case_name", (p - 1) / 3 + 1))
TITLE_X = ""
STEP_X = 0
JOINED = 0
REFERENCE = 1
SCALE_Y = ""
load FOLDER . "paper_panels.gp"
