# timeline.gp - KV use, and running, waiting and swapped sequences, over time; a column per run.
# usage: gnuplot -c plots/timeline.gp DB OUT "RUN_ID..."    writes OUT.png and OUT.svg
DB = ARG1
OUT = ARG2
IDS = ARG3
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "common.gp"

n = words(IDS)
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

# Margins of the columns as shares of the picture.
WIDTH = n > 3 ? 300 * n : 900
left = 68.0 / WIDTH
step = (1 - left - 2.0 / WIDTH) / n
gap = 30.0 / WIDTH

# A title is broken after a comma, colon or blank to stay above its column; the picture grows by
# its lines.
break_before(s, i) = i < 1 ? 0 : strstrt(",: ", s[i:i]) ? i : break_before(s, i - 1)
wrapped(s, room) = strlen(s) <= room ? s : (at = break_before(s, room), at = at ? at : room, \
    s[1:at] . "\n" . wrapped(s[at + 1:], room))
n_lines(s) = strstrt(s, "\n") ? 1 + n_lines(s[strstrt(s, "\n") + 1:]) : 1
CHARACTER_WIDTH = 8.0
title_of(id) = wrapped(name(id), int((step - gap / 2) * WIDTH / CHARACTER_WIDTH))
more_lines = 0
do for [c = 1:n] {
    lines = n_lines(title_of(word(IDS, c)))
    more_lines = lines - 1 > more_lines ? lines - 1 : more_lines
}
HEIGHT = 540 + 18 * more_lines
eval(place_key(3, 3, HEIGHT))

do for [format in FORMATS] {
    eval(terminal(format, WIDTH, HEIGHT))
    set output OUT . "." . format
    set multiplot title subject
    do for [c = 0:n - 1] {
        id = word(IDS, c + 1)
        set lmargin at screen left + c * step
        set rmargin at screen left + (c + 1) * step - gap
        set tmargin at screen 464.4 / HEIGHT
        set bmargin at screen 307.8 / HEIGHT
        eval(AXES)
        set title title_of(id)
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

        set tmargin at screen 270.0 / HEIGHT
        set bmargin at screen 102.6 / HEIGHT
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
