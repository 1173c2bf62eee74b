# common.gp - what the figures share: queries, names and styles. A figure sets DB, OUT and IDS
# (run ids in one argument, "3 5 8": gnuplot takes nine arguments at most) and loads it.

# The ids as SQL wants them.
LIST = ""
do for [i = 1:words(IDS)] { LIST = LIST . (i > 1 ? "," : "") . word(IDS, i) }

# A path in single quotes for the shell, a single quote in it as '\''.
quoted(path) = (strstrt(path, "'") == 0) ? path : \
    path[:strstrt(path, "'") - 1] . "'\\''" . quoted(path[strstrt(path, "'") + 1:])
# SQL goes through the shell in double quotes: write texts in it in single quotes, and no $.
command(sql) = sprintf("sqlite3 -separator '\t' '%s' \"%s\"", quoted(DB), sql)
set datafile separator tab # a NULL is an empty field, not a missing one
rows(sql) = "< " . command(sql)
answer(sql) = system(command(sql))

# Runs are called by their policy; by label and id too where two runs have one policy.
name(id) = answer(sprintf("SELECT coalesce(policy, 'run') || CASE WHEN (SELECT count(*) FROM run \
    AS o WHERE o.id IN (%s) AND o.policy IS r.policy) > 1 THEN coalesce(' ' || label, '') || \
    ' #' || id ELSE '' END FROM run AS r WHERE id = %s", LIST, id))

# What was served on what: each trace, model and device of the runs once.
subject = answer(sprintf("SELECT group_concat(t, ', ') FROM (SELECT trace AS t FROM run WHERE id \
    IN (%s) GROUP BY 1 UNION ALL SELECT model FROM run WHERE id IN (%s) GROUP BY 1 UNION ALL \
    SELECT device FROM run WHERE id IN (%s) GROUP BY 1)", LIST, LIST, LIST))

# Colours of Okabe and Ito (2008), apart for colour-blind readers too; dashes and points tell the
# lines apart in grey.
array COLOR[7] = ["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"]
array POINT[7] = [5, 6, 9, 4, 11, 8, 13]
set dashtype 11 solid
set dashtype 12 (14, 5)
set dashtype 13 (3, 4)
set dashtype 14 (14, 4, 3, 4)
set dashtype 15 (6, 4)
set dashtype 16 (14, 4, 3, 4, 3, 4)
set dashtype 17 (22, 8)
do for [i = 1:7] { set style line i lc rgb COLOR[i] dt 10 + i lw 2 pt POINT[i] ps 0.8 }
# The next seven lines have the same colours with other dashes and points.
do for [i = 1:7] {
    set style line 7 + i lc rgb COLOR[i] dt 11 + (i + 2) % 7 lw 2 pt POINT[(i + 1) % 7 + 1] ps 0.8
}
style(i) = (i - 1) % 14 + 1

set grid lc rgb "#d8d8d8" lt 1 dt 1 lw 1
set border 3
set tics nomirror

# Logarithmic axes are labelled at 1, 2 and 5 of each decade and end there: they often span
# little more than one.
LOG_TICS = "1e-4"
do for [e = -4:5] { LOG_TICS = LOG_TICS . sprintf(", %g, %g, %g", 10.0**e, 2 * 10.0**e, 5 * 10.0**e) }
decade(x) = 10.0**floor(log10(x))
below(x) = decade(x) * (x >= 5 * decade(x) ? 5 : x >= 2 * decade(x) ? 2 : 1)
above(x) = decade(x) * (x < 2 * decade(x) ? 2 : x < 5 * decade(x) ? 5 : 10)
log_axis(axis, low, high) = sprintf("set logscale %s; set %stics (%s); set %srange [%g:%g]", \
    axis, axis, LOG_TICS, axis, below(low), above(high))

# A key below everything else, in rows that make the picture higher: margins count in pixels from
# its lower edge. Panels are too narrow for a key: it gets an empty plot of the picture's width.
key_rows(n_names, per_row) = int(ceil(n_names / (1.0 * per_row)))
added(n_names, per_row) = 17 * (key_rows(n_names, per_row) - 1)
place_key(n_names, per_row, height) = sprintf("set key at screen 0.5, %g center center \
    horizontal maxrows %d Left reverse", (25 + added(n_names, per_row) / 2.0) / height, \
    key_rows(n_names, per_row))
AXES = "set border 3; set xtics nomirror; set ytics nomirror autofreq; unset logscale; unset key"
KEY_ALONE = "unset border; unset tics; unset title; unset xlabel; unset ylabel; unset logscale; \
    set xrange [0:1]; set yrange [0:1]; set lmargin at screen 0; set rmargin at screen 1; \
    set bmargin at screen 0; set tmargin at screen 0.1; set key"

# One figure is drawn twice: PNG for looking, SVG for papers and pages.
FORMATS = "png svg"
terminal(format, width, height) = (format eq "png") ? \
    sprintf("set terminal pngcairo size %d,%d noenhanced font 'DejaVu Sans,11' background '#ffffff'", width, height) : \
    sprintf("set terminal svg size %d,%d noenhanced font 'DejaVu Sans,11' background '#ffffff'", width, height)
