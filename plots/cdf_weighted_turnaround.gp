# cdf_weighted_turnaround.gp - distribution over requests of turnaround / solo service time.
# usage: gnuplot -c plots/cdf_weighted_turnaround.gp DB OUT "RUN_ID..."    writes OUT.png, OUT.svg
DB = ARG1
OUT = ARG2
IDS = ARG3
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "common.gp"

VALUE = "(finish_s - arrival_s) / nullif(solo_s, 0)"
TITLE_X = "weighted turnaround: (finish - arrival) / service time alone"
load FOLDER . "cdf.gp"
