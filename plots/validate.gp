# validate.gp - a measured run beside its simulation: the queues over time, and the distributions
# of the time to the first token and to the last.
# usage: gnuplot -c plots/validate.gp POINTS OUT TITLE    writes OUT.png and OUT.svg
# POINTS is what `adaptivellm compare --validate ... --points POINTS` wrote.
POINTS = ARG1
OUT = ARG2

# Colours of Okabe and Ito (2008); dashes tell the lines apart in grey.
set style line 1 lc rgb "#000000" lw 2 dt solid
set style line 2 lc rgb "#d55e00" lw 2 dt (8, 4)
set grid lc rgb "#d8d8d8" lt 1 dt 1 lw 1
set border 3
set tics nomirror
set key bottom center

side(name, column) = (strcol(1) eq name) ? column : NaN
FORMATS = "png svg"
terminal(format) = (format eq "png") ? \
    "set terminal pngcairo size 1000,720 noenhanced font 'DejaVu Sans,11' background '#ffffff'" : \
    "set terminal svg size 1000,720 noenhanced font 'DejaVu Sans,11' background '#ffffff'"

do for [format in FORMATS] {
    eval(terminal(format))
    set output OUT . "." . format
    set multiplot layout 2,2 title ARG3

    set xlabel "time, s"
    set ylabel "running requests"
    set yrange [0:*]
    set datafile missing NaN
    plot POINTS index 0 skip 1 using 2:(side("measured", $3)) with lines ls 1 title "measured", \
        "" index 0 skip 1 using 2:(side("simulated", $3)) with lines ls 2 title "simulated"
    set key top right
    set ylabel "waiting requests"
    plot POINTS index 0 skip 1 using 2:(side("measured", $4)) with lines ls 1 title "measured", \
        "" index 0 skip 1 using 2:(side("simulated", $4)) with lines ls 2 title "simulated"

    set key bottom right
    set yrange [0:100]
    set ylabel "requests at or below, %"
    set xlabel "time to first token, s"
    plot POINTS index 1 skip 1 using 2:(100 * $1) with steps ls 1 title "measured", \
        "" index 1 skip 1 using 3:(100 * $1) with steps ls 2 title "simulated"
    set xlabel "time to last token, s"
    plot POINTS index 1 skip 1 using 4:(100 * $1) with steps ls 1 title "measured", \
        "" index 1 skip 1 using 5:(100 * $1) with steps ls 2 title "simulated"
    unset multiplot
    unset output
}
