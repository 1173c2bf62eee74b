# paper_mechanisms.gp - the adaptive policy without one mechanism at a time.
# usage: gnuplot -c plots/paper_mechanisms.gp TABLES_DB OUT    writes OUT.png and OUT.svg
DB = ARG1
OUT = ARG2
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "paper_common.gp"

SERIES = "SELECT case_name AS series, case_name AS title FROM complete JOIN case_order USING (case_name) WHERE \
    experiment = 'mechanisms' ORDER BY place"
CATEGORIES = "SELECT category FROM member WHERE experiment = 'mechanisms' ORDER BY rowid"
array WHAT[3] = ["throughput/v0", "turnaround/v0", "turnaround/v0"]
array LOADS[3] = ["all", "110", "90"]
N_PANELS = 3
COLUMNS = 3
array TITLE[3] = ["all at once", "110 % of the capacity", "90 %"]
array TITLE_Y[3] = ["throughput / better V0", "mean weighted turnaround / V0", "mean weighted turnaround / V0"]
panel(p) = sprintf("SELECT case_name AS series, x, mean, low, high FROM measure JOIN member USING (policy) JOIN \
    (SELECT category, row_number() OVER () AS x FROM (%s)) USING (category) WHERE experiment = 'mechanisms' AND \
    level = 'p25' AND variant = '' AND name = '%s' AND load = '%s'", CATEGORIES, WHAT[p], LOADS[p])
TITLE_X = ""
STEP_X = 0
JOINED = 0
REFERENCE = 1
SCALE_Y = ""
load FOLDER . "paper_panels.gp"
