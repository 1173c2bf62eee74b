# paper_sensitivity.gp - throughput and weighted turnaround over the better vLLM V0, with one setting changed.
# usage: gnuplot -c plots/paper_sensitivity.gp TABLES_DB OUT    writes OUT.png and OUT.svg
DB = ARG1
OUT = ARG2
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "paper_common.gp"

SERIES = "SELECT policy AS series, title FROM role WHERE role NOT LIKE 'v0-%'"
CATEGORIES = "SELECT iif(variant = '', 'as it is', variant) AS category FROM variant"
N_PANELS = 2
COLUMNS = 1
CASE = answer("SELECT DISTINCT case_name FROM variant LIMIT 1")
array TITLE[2] = [CASE . ", p25, all at once", CASE . ", p25, 100 % of the capacity"]
array TITLE_Y[2] = ["throughput / better V0", "mean weighted turnaround / V0"]
array WHAT[2] = ["throughput/v0", "turnaround/v0"]
array LOADS[2] = ["all", "100"]
panel(p) = sprintf("SELECT policy AS series, v.rowid AS x, mean, low, high FROM measure AS m JOIN variant AS v USING \
    (case_name, variant) WHERE level = 'p25' AND name = '%s' AND load = '%s'", WHAT[p], LOADS[p])
TITLE_X = ""
STEP_X = 0
JOINED = 0
REFERENCE = 1
SCALE_Y = ""
load FOLDER . "paper_panels.gp"
