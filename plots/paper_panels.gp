# paper_panels.gp - panels of points with their spread, one series each. A figure sets, after loading
# paper_common.gp, and then loads it:
#   SERIES        SQL: (series, title), in the order of the key
#   N_PANELS, COLUMNS, array TITLE[N_PANELS], TITLE_X, array TITLE_Y[N_PANELS]
#   panel(p)      SQL: (series, x, mean, low, high); x is a number, or the place of a category
#   CATEGORIES    SQL: (category), in the order of the places 1, 2, ...; empty: x is a number
#   STEP_X        between the numbers on the axis; 0: as they come
#   JOINED        true: lines between the points
#   REFERENCE     a line at this y; 0: none
#   SCALE_Y       a command for the axis, such as `set yrange [0:*]`
N_SERIES = count(SERIES)
N_CATEGORIES = CATEGORIES eq "" ? 0 : count(CATEGORIES)
ROWS = int(ceil(N_PANELS / (1.0 * COLUMNS)))
LONGEST = N_CATEGORIES > 0 ? answer(sprintf("SELECT max(length(category)) FROM (%s)", CATEGORIES)) + 0 : 0
LABELS = 55 + (LONGEST > 4 ? 7.2 * (LONGEST - 4) : 0) # pixels below a panel
LEFT = LONGEST > 20 ? 82 + 4 * (LONGEST - 20) : 82 # and beside it: labels lean out
PER_ROW = 4
KEY_HEIGHT = 24 + 18 * key_lines(N_SERIES, PER_ROW)
WIDTH = 1100
ROW_HEIGHT = 250 + LABELS
HEIGHT = ROWS * ROW_HEIGHT + KEY_HEIGHT
data(p, s) = sprintf("SELECT x, mean, low, high FROM (%s) WHERE series = (SELECT series FROM (%s) \
    LIMIT 1 OFFSET %d) ORDER BY x", panel(p), SERIES, s - 1)
dodge(s) = N_CATEGORIES > 0 ? (s - (N_SERIES + 1) / 2.0) * 0.7 / N_SERIES : 0

here(i) = i <= words(HERE) ? word(HERE, i) + 0 : 1
# A place has its category as a label.
TICS = sprintf("set xtics nomirror %s norotate", STEP_X > 0 ? sprintf("%g", STEP_X) : "autofreq")
if (N_CATEGORIES > 0) {
    TICS = "set xtics nomirror rotate by 60 right ("
    do for [i = 1:N_CATEGORIES] {
        TICS = TICS . sprintf("%s'%s' %d", i > 1 ? ", " : "", nth(CATEGORIES, "category", i), i)
    }
    TICS = TICS . ")"
}

do for [format in FORMATS] {
    eval(terminal(format, WIDTH, HEIGHT))
    set output OUT . "." . format
    set multiplot
    do for [p = 1:N_PANELS] {
        c = (p - 1) % COLUMNS
        r = (p - 1) / COLUMNS
        set lmargin at screen (c + 1.0 * LEFT * COLUMNS / WIDTH) / COLUMNS
        set rmargin at screen (c + 1 - 18.0 * COLUMNS / WIDTH) / COLUMNS
        set tmargin at screen 1 - (r * ROW_HEIGHT + 28.0) / HEIGHT
        set bmargin at screen 1 - ((r + 1) * ROW_HEIGHT - LABELS + 0.0) / HEIGHT
        set border 3
        set grid
        set ytics nomirror autofreq
        set format y "%g"
        set title TITLE[p] offset 0,-0.5
        set ylabel TITLE_Y[p]
        set xlabel N_CATEGORIES > 0 ? "" : TITLE_X
        eval(TICS)
        unset key
        set autoscale
        eval(SCALE_Y)
        set offsets graph 0.03, graph 0.03, graph 0.05, graph 0.05
        if (N_CATEGORIES > 0) { set xrange [0.4:N_CATEGORIES + 0.6] }
        HERE = "" # series with points in this panel
        do for [s = 1:N_SERIES] { HERE = HERE . (count(data(p, s)) > 0 ? sprintf(" %d", s) : "") }
        if (HERE eq "") {
            unset xtics
            set label 1 "no such runs" at graph 0.5, 0.5 center
            plot [0:1] [0:1] -1
            unset label 1
        } else {
            plot (REFERENCE > 0 ? REFERENCE : NaN) with lines lc rgb "#808080" dt 2, \
                for [i = 1:words(HERE)] rows(data(p, here(i))) using ($1 + dodge(here(i))):2:3:4 \
                with yerrorbars ls style(here(i)), \
                for [i = 1:(JOINED ? words(HERE) : 0)] rows(data(p, here(i))) using 1:2 with lines ls style(here(i))
        }
    }
    eval(KEY_ALONE)
    set key at screen 0.5, (KEY_HEIGHT / 2.0) / HEIGHT center center horizontal \
        maxrows key_lines(N_SERIES, PER_ROW) Left reverse
    plot NaN notitle, for [s = 1:N_SERIES] keyentry with points ls style(s) title nth(SERIES, "title", s)
    unset multiplot
    unset output
}
