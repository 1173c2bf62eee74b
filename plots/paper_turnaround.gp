# paper_turnaround.gp - mean weighted turnaround over that of the better vLLM V0 against the load; a panel per
# case, in the pool where a quarter of the requests is preempted, or the nearest.
# usage: gnuplot -c plots/paper_turnaround.gp TABLES_DB OUT    writes OUT.png and OUT.svg
DB = ARG1
OUT = ARG2
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "paper_common.gp"

SERIES = "SELECT policy AS series, title FROM role WHERE role NOT LIKE 'v0-%' AND role NOT LIKE 'bound%'"
CATEGORIES = ""
CASES = "SELECT case_name, level, case_name || ', ' || level AS title FROM case_order JOIN shown USING (case_name) WHERE \
    chosen AND EXISTS (SELECT 1 FROM measure AS m WHERE m.case_name = shown.case_name AND m.level = shown.level \
    AND load != 'all' AND variant = '') ORDER BY place"
N_PANELS = count(CASES)
COLUMNS = N_PANELS < 3 ? N_PANELS : 3
array TITLE[N_PANELS]
array TITLE_Y[N_PANELS]
do for [p = 1:N_PANELS] {
    TITLE[p] = nth(CASES, "title", p)
    TITLE_Y[p] = "mean weighted turnaround / V0"
}
panel(p) = sprintf("SELECT policy AS series, CAST(load AS REAL) AS x, mean, low, high FROM measure \
    WHERE name = 'turnaround/v0' AND load != 'all' AND variant = '' AND policy NOT LIKE 'oracle-bound%%' AND (case_name, level) = (SELECT \
    case_name, level FROM (%s) LIMIT 1 OFFSET %d)", CASES, p - 1)
TITLE_X = "load, % of the capacity of V0"
STEP_X = 20
JOINED = 1
REFERENCE = 1
SCALE_Y = "set yrange [0:*]"
load FOLDER . "paper_panels.gp"
