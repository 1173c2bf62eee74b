# paper_predictor_error.gp - error of the predictions that a run makes, by case, all requests at once.
# usage: gnuplot -c plots/paper_predictor_error.gp TABLES_DB OUT    writes OUT.png and OUT.svg
DB = ARG1
OUT = ARG2
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "paper_common.gp"

SERIES = "SELECT policy AS series, title FROM role WHERE role NOT LIKE 'bound%' AND \
    policy IN (SELECT policy FROM measure WHERE name LIKE 'mape %')"
CATEGORIES = "SELECT case_name AS category FROM case_order WHERE chosen AND case_name IN (SELECT case_name FROM measure WHERE \
    name LIKE 'mape %' AND load = 'all' AND variant = '') ORDER BY place"
N_PANELS = 3
COLUMNS = 3
array WHAT[3] = ["iteration", "swap", "recompute"]
array TITLE[3] = ["iterations", "swaps", "recomputes"]
array TITLE_Y[3] = ["mean absolute error, %", "mean absolute error, %", "mean absolute error, %"]
panel(p) = sprintf("SELECT policy AS series, x, mean, low, high FROM measure JOIN (SELECT category, row_number() \
    OVER () AS x FROM (%s)) ON category = case_name JOIN shown USING (case_name, level) WHERE load = 'all' AND variant = '' AND \
    mean > 0 AND name = 'mape %s'", CATEGORIES, WHAT[p])
TITLE_X = ""
STEP_X = 0
JOINED = 0
REFERENCE = 0
SCALE_Y = "set logscale y"
load FOLDER . "paper_panels.gp"
