# paper_common.gp - what the figures of the paper experiments share. A figure sets DB, a tables.db of
# experiments/paper/, and OUT, and loads it.

# SQL goes through the shell in double quotes: write texts in it in single quotes, and no $.
command(sql) = sprintf("sqlite3 -separator '\t' '%s' \"%s\"", DB, sql)
set datafile separator tab
rows(sql) = "< " . command(sql)
answer(sql) = system(command(sql))
count(sql) = answer(sprintf("SELECT count(*) FROM (%s)", sql)) + 0
# Field `column` of row i, from 1.
nth(sql, column, i) = answer(sprintf("SELECT %s FROM (%s) LIMIT 1 OFFSET %d", column, sql, i - 1))

# Colours of Okabe and Ito (2008), apart for colour-blind readers too; points tell them apart in grey.
array COLOR[8] = ["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#808080"]
array POINT[8] = [5, 6, 9, 4, 11, 8, 13, 2]
do for [i = 1:16] { set style line i lc rgb COLOR[(i - 1) % 8 + 1] lw 1.5 pt POINT[(i - 1) % 8 + 1] ps 0.9 }
style(i) = (i - 1) % 16 + 1
set grid lc rgb "#d8d8d8" lt 1 dt 1 lw 1
set border 3
set tics nomirror

# A key alone in the lowest 60 pixels, in a plot of the whole width.
key_lines(n, per_row) = int(ceil(n / (1.0 * per_row)))
KEY_ALONE = "unset border; unset tics; unset title; unset xlabel; unset ylabel; unset logscale; \
    set xrange [0:1]; set yrange [0:1]; set lmargin at screen 0; set rmargin at screen 1; \
    set bmargin at screen 0; set tmargin at screen 0.05; unset grid"

FORMATS = "png svg"
terminal(format, width, height) = (format eq "png") ? \
    sprintf("set terminal pngcairo size %d,%d noenhanced font 'DejaVu Sans,11' background '#ffffff'", width, height) : \
    sprintf("set terminal svg size %d,%d noenhanced font 'DejaVu Sans,11' background '#ffffff'", width, height)
