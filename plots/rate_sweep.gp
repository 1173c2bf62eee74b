# rate_sweep.gp - throughput and latency against the request rate, a line per policy. Runs of
# one policy and rate (other seeds) are averaged.
# usage: gnuplot -c plots/rate_sweep.gp DB OUT "RUN_ID..."    writes OUT.png and OUT.svg
DB = ARG1
OUT = ARG2
IDS = ARG3
FOLDER = system(sprintf("dirname '%s'", ARG0)) . "/"
load FOLDER . "common.gp"

# One run of each policy stands for it; settings 'rate' is requests per second.
chosen = sprintf("id IN (%s) AND settings ->> 'rate' > 0", LIST)
FIRST = answer(sprintf("SELECT group_concat(id, ' ') FROM (SELECT min(id) AS id FROM run WHERE %s \
    GROUP BY policy ORDER BY 1)", chosen))
policy(id) = answer(sprintf("SELECT coalesce(policy, 'run') FROM run WHERE id = %s", id))
sweep(id) = sprintf("SELECT settings ->> 'rate' AS rate, avg(request_throughput_per_s), \
    avg(ttft_s_p99), avg(turnaround_s_mean) FROM run WHERE %s AND policy IS (SELECT policy FROM \
    run WHERE id = %s) GROUP BY rate ORDER BY rate", chosen, id)
rate_max = answer(sprintf("SELECT max(settings ->> 'rate') FROM run WHERE %s", chosen)) + 0

array TITLE[3] = ["requests finished per s", "time to first token, p99, s", "turnaround, mean, s"]
array FIGURE[3] = ["request_throughput_per_s", "ttft_s_p99", "turnaround_s_mean"]
extreme(which, figure) = answer(sprintf("SELECT coalesce(%s(%s), 1) FROM run WHERE %s AND %s > 0", \
    which, figure, chosen, figure)) + 0

HEIGHT = 460 + added(words(FIRST) + 1, 4)
eval(place_key(words(FIRST) + 1, 4, HEIGHT))

do for [format in FORMATS] {
    eval(terminal(format, 960, HEIGHT))
    set output OUT . "." . format
    set multiplot title subject
    do for [p = 1:3] {
        set lmargin at screen (p - 1) * 0.33 + 0.07
        set rmargin at screen p * 0.33 - 0.01
        set tmargin at screen 1 - 78.0 / HEIGHT
        set bmargin at screen 1 - 348.0 / HEIGHT
        eval(AXES)
        set title TITLE[p]
        set xlabel "requests per s"
        set xrange [0:rate_max * 1.05]
        set xtics above(rate_max / 5)
        set format y "%g"
        set yrange [0:*]
        if (p > 1) { eval(log_axis("y", extreme("min", FIGURE[p]), extreme("max", FIGURE[p]))) }
        plot (p == 1 ? x : NaN) with lines lc rgb "#808080" lw 1.5 dt 13, \
            for [i = 1:words(FIRST)] rows(sweep(word(FIRST, i))) using 1:(column(p + 1)) \
            with linespoints ls style(i)
    }
    eval(KEY_ALONE)
    plot NaN notitle, keyentry with lines lc rgb "#808080" lw 1.5 dt 13 title "all that arrive", \
        for [i = 1:words(FIRST)] keyentry with linespoints ls style(i) title policy(word(FIRST, i))
    unset multiplot
    unset output
}
