# cdf.gp - draws one distribution over requests, a line per run. A figure sets VALUE (SQL over
# the request table) and TITLE_X and loads it after common.gp.

# The share of requests at or below a value. A thousandth is all that a line can show.
cdf(id) = sprintf("WITH x AS (SELECT %s AS v FROM request WHERE run_id = %s AND outcome = \
    'finished'), c AS (SELECT v, cume_dist() OVER (ORDER BY v) AS p FROM x WHERE v IS NOT NULL) \
    SELECT max(v), 100 * max(p) FROM c GROUP BY CAST(p * 1000 AS INTEGER) ORDER BY 1", VALUE, id)

stride = answer(sprintf("SELECT max(request_stride) FROM run WHERE id IN (%s)", LIST)) + 0
set title subject . (stride > 1 ? sprintf(" (one request in %d)", stride) : "")
set xlabel TITLE_X
set ylabel "requests at or below, %"
set yrange [0:100]
per_row = words(IDS) > 3 ? 2 : 3 # names with label and id are long
HEIGHT = 540 + added(words(IDS), per_row)
eval(place_key(words(IDS), per_row, HEIGHT))
set bmargin at screen 1 - 443.0 / HEIGHT

# Logarithmic where the values span more than a decade.
low = answer(sprintf("SELECT coalesce(min(v), 0) FROM (SELECT %s AS v FROM request WHERE run_id IN \
    (%s) AND outcome = 'finished')", VALUE, LIST)) + 0
high = answer(sprintf("SELECT coalesce(max(v), 0) FROM (SELECT %s AS v FROM request WHERE run_id \
    IN (%s) AND outcome = 'finished')", VALUE, LIST)) + 0
if (low > 0 && high > 10 * low) { eval(log_axis("x", low, high)) }
set format x "%g"

do for [format in FORMATS] {
    eval(terminal(format, 900, HEIGHT))
    set output OUT . "." . format
    plot for [i = 1:words(IDS)] rows(cdf(word(IDS, i))) using 1:2 \
        with linespoints ls style(i) pointinterval 125 title name(word(IDS, i))
    unset output
}
