# paper_throughput.gp - throughput of all requests at once over the better vLLM V0, by case and pool.
# usage: gnuplot -c plots/paper_throughput.gp TABLES_DB OUT    writes OUT.png and OUT.svg
DB = ARG1
OUT = ARG2
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "paper_common.gp"

SERIES = "SELECT policy AS series, title FROM role WHERE role NOT LIKE 'v0-%'"
CATEGORIES = "SELECT case_name AS category FROM case_order WHERE chosen AND case_name IN (SELECT case_name FROM \
    measure WHERE load = 'all' AND variant = '') ORDER BY place"
array LEVELS[4] = ["p10", "p25", "p50", "whole"]
N_PANELS = 4
COLUMNS = 2
array TITLE[4] = ["10 % of the requests preempted under V0", "25 %", "50 %", "all the memory of the device"]
array TITLE_Y[4]
do for [p = 1:4] { TITLE_Y[p] = "throughput / better V0" }
panel(p) = sprintf("SELECT policy AS series, x, mean, low, high FROM measure JOIN (SELECT category, \
    row_number() OVER () AS x FROM (%s)) ON category = case_name WHERE name = 'throughput/v0' AND load = 'all' \
    AND variant = '' AND level = '%s'", CATEGORIES, LEVELS[p])
TITLE_X = ""
STEP_X = 0
JOINED = 0
REFERENCE = 1
SCALE_Y = ""
load FOLDER . "paper_panels.gp"
