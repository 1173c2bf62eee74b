# fit.gp - predicted against measured times, and the residuals, a colour per operation. The
# predictions are those of fits that did not see the sample.
# usage: gnuplot -c plots/fit.gp POINTS OUT [TITLE]    writes OUT.png and OUT.svg
# POINTS is what `adaptivellm fit --points` wrote: a block per operation, its name first.
POINTS = ARG1
OUT = ARG2
FORMATS = "png svg"
array COLOR[7] = ["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"]
array POINT[7] = [5, 6, 9, 4, 11, 8, 13]
set datafile separator tab
set key autotitle columnheader
stats POINTS using 1:2 nooutput
BLOCKS = STATS_blocks
LOW = STATS_min_x < STATS_min_y ? STATS_min_x : STATS_min_y
HIGH = STATS_max_x > STATS_max_y ? STATS_max_x : STATS_max_y
ROWS = int(ceil(BLOCKS / 2.0))
# A thousand points of an operation show all that more would.
array STEP[BLOCKS]
do for [i = 0:BLOCKS - 1] {
    stats POINTS index i using 1:2 nooutput
    STEP[i + 1] = int(STATS_records / 1000) + 1
}
HEIGHT = 470 + 17 * ROWS
terminal(format) = (format eq "png") ? \
    sprintf("set terminal pngcairo size 1000,%d noenhanced font 'DejaVu Sans,11' background '#ffffff'", HEIGHT) : \
    sprintf("set terminal svg size 1000,%d noenhanced font 'DejaVu Sans,11' background '#ffffff'", HEIGHT)
set grid lc rgb "#d8d8d8" lt 1 dt 1 lw 1
set border 3
set tics nomirror
color(i) = COLOR[i % 7 + 1]
shape(i) = POINT[(i + i / 7) % 7 + 1]

do for [format in FORMATS] {
    eval(terminal(format))
    set output OUT . "." . format
    set multiplot title ARG3
    set logscale x
    set xlabel "measured, s"
    set xrange [LOW * 0.8:HIGH * 1.25]
    set bmargin at screen (90.0 + 17 * ROWS) / HEIGHT
    set tmargin at screen 1 - 40.0 / HEIGHT
    unset key
    set format x "%g"

    set lmargin at screen 0.09
    set rmargin at screen 0.48
    set logscale y
    set format y "%g"
    set ylabel "predicted without the sample, s"
    set yrange [LOW * 0.8:HIGH * 1.25]
    plot x with lines lc rgb "#808080" dt 2 notitle, \
        for [i = 0:BLOCKS - 1] POINTS index i every STEP[i + 1] using 1:2 with points lc rgb color(i) pt shape(i) ps 0.5

    set lmargin at screen 0.58
    set rmargin at screen 0.98
    unset logscale y
    set ylabel "predicted / measured - 1, %, from -20 to 20"
    set yrange [-20:20]
    set key at screen 0.5, screen (30.0 + 17 * ROWS) / HEIGHT center top vertical maxrows ROWS Left reverse
    plot 0 with lines lc rgb "#808080" dt 2 notitle, 2 with lines lc rgb "#c0c0c0" dt 3 notitle, \
        -2 with lines lc rgb "#c0c0c0" dt 3 notitle, \
        for [i = 0:BLOCKS - 1] POINTS index i every STEP[i + 1] using 1:(100 * ($2 / $1 - 1)) with points lc rgb color(i) pt shape(i) ps 0.5
    unset multiplot
    unset output
}
