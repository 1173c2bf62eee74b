# cdf_ttft.gp - distribution over requests of the time to the first token.
# usage: gnuplot -c plots/cdf_ttft.gp DB OUT "RUN_ID..."    writes OUT.png and OUT.svg
DB = ARG1
OUT = ARG2
IDS = ARG3
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "common.gp"

VALUE = "first_token_s - arrival_s"
TITLE_X = "time to first token, s"
load FOLDER . "cdf.gp"
