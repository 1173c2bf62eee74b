# timeline.gp - KV use, and running, waiting and swapped sequences, over time; a column per run.
# usage: gnuplot -c plots/timeline.gp DB OUT "RUN_ID..."    writes OUT.png and OUT.svg
DB = ARG1
OUT = ARG2
IDS = ARG3
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "common.gp"

n = words(IDS)
eval(place_key(3, 3, 540))
end_s = answer(sprintf("SELECT max(t_s) FROM sample WHERE run_id IN (%s)", LIST)) + 0
end_s = end_s > 0 ? end_s : 1
n_max = answer(sprintf("SELECT max(max(n_running), max(n_waiting), max(n_swapped), 1) FROM sample \
    WHERE run_id IN (%s)", LIST)) + 0
any_swapped = answer(sprintf("SELECT max(n_swapped) > 0 FROM sample WHERE run_id IN (%s)", LIST)) + 0

# Means over 1/400 of the time axis: about a pixel.
states(id) = sprintf("SELECT avg(t_s), 100.0 * avg(1.0 * kv_used_blocks / nullif(kv_total_blocks, \
    0)), avg(n_running), avg(n_waiting), avg(n_swapped) FROM sample WHERE run_id = %s GROUP BY \
    CAST(400 * t_s / %g AS INTEGER) ORDER BY 1", id, end_s)

set style fill solid 0.35 noborder

# Margins of column c (from 0) and the two rows, as shares of the picture.
WIDTH = n > 3 ? 300 * n : 900
left = 68.0 / WIDTH
step = (1 - left - 2.0 / WIDTH) / n
gap = 30.0 / WIDTH

do for [format in FORMATS] {
    eval(terminal(format, WIDTH, 540))
    set output OUT . "." . format
    set multiplot title subject
    do for [c = 0:n - 1] {
        id = word(IDS, c + 1)
        set lmargin at screen left + c * step
        set rmargin at screen left + (c + 1) * step - gap
        set tmargin at screen 0.86
        set bmargin at screen 0.57
        eval(AXES)
        set title name(id)
        set xrange [0:end_s]
        set yrange [0:100]
        set ytics 25
        set xtics above(end_s / 5)
        set format x ""
        set format y c == 0 ? "%g" : ""
        set xlabel ""
        if (c == 0) { set ylabel "KV blocks in use, %" } else { set ylabel "" }
        plot rows(states(id)) using 1:2 with filledcurves y1=0 lc rgb "#0072b2", \
            '' using 1:2 with lines lc rgb "#004b76" lw 1

        set tmargin at screen 0.50
        set bmargin at screen 0.19
        unset title
        set yrange [0:n_max * 1.05]
        set ytics nomirror autofreq
        set format x "%g"
        set xlabel "time, s"
        if (c == 0) { set ylabel "sequences" }
        plot rows(states(id)) using 1:3 with lines ls 1, '' using 1:4 with lines ls 3 dt 12, \
            '' using 1:(any_swapped ? $5 : NaN) with lines ls 4 dt 13
    }
    eval(KEY_ALONE)
    plot NaN notitle, keyentry with lines ls 1 title "running", \
        keyentry with lines ls 3 dt 12 title "waiting", \
        for [i = 1:any_swapped] keyentry with lines ls 4 dt 13 title "swapped out"
    unset multiplot
    unset output
}
