#include "trace_stat.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "id_set.h"

typedef struct length_counts {
    uint64_t *counts; /* [room] how often each length occurs */
    size_t room;
    uint32_t max;
    uint64_t sum;
} length_counts;

struct trace_stat {
    uint64_t n, n_backwards, n_empty, n_prefix_ids;
    length_counts prompt, output;
    int64_t last_ns, earliest_ns, latest_ns;
    double gap_mean_ns, gap_squares; /* Welford's running mean and sum of squared deviations */
    id_set *ids, *clients;
};

status trace_stat_create(trace_stat **out, errbuf *err) {
    trace_stat *s = calloc(1, sizeof(*s));
    if (!s || id_set_create(&s->ids) != ST_OK || id_set_create(&s->clients) != ST_OK) {
        trace_stat_destroy(s);
        return fail(err, ST_NO_MEMORY, "statistics: out of memory");
    }
    *out = s;
    return ST_OK;
}

void trace_stat_destroy(trace_stat *s) {
    if (!s) return;
    free(s->prompt.counts);
    free(s->output.counts);
    id_set_destroy(s->ids);
    id_set_destroy(s->clients);
    free(s);
}

static status count_length(length_counts *c, uint32_t length) {
    if (length >= c->room) {
        size_t room = 2 * (size_t)length + 1024;
        uint64_t *counts = realloc(c->counts, room * sizeof(*counts));
        if (!counts) return ST_NO_MEMORY;
        memset(counts + c->room, 0, (room - c->room) * sizeof(*counts));
        c->counts = counts;
        c->room = room;
    }
    c->counts[length]++;
    c->sum += length;
    if (length > c->max) c->max = length;
    return ST_OK;
}

static void add_time(trace_stat *s, int64_t time_ns) {
    if (s->n == 0) {
        s->earliest_ns = s->latest_ns = s->last_ns = time_ns;
        return;
    }
    double gap = (double)(time_ns - s->last_ns);
    double off = gap - s->gap_mean_ns;
    s->gap_mean_ns += off / (double)s->n; /* the n-th gap comes with record n + 1 */
    s->gap_squares += off * (gap - s->gap_mean_ns);
    s->n_backwards += time_ns < s->last_ns;
    if (time_ns < s->earliest_ns) s->earliest_ns = time_ns;
    if (time_ns > s->latest_ns) s->latest_ns = time_ns;
    s->last_ns = time_ns;
}

status trace_stat_add(trace_stat *s, const trace_record *record, errbuf *err) {
    status st = count_length(&s->prompt, record->n_prompt);
    if (st == ST_OK) st = count_length(&s->output, record->n_output);
    for (uint32_t i = 0; i < record->n_prefix_ids && st == ST_OK; i++)
        st = id_set_add(s->ids, record->prefix_ids[i]);
    if (st == ST_OK) st = id_set_add(s->clients, record->client);
    if (st != ST_OK) return fail(err, st, "statistics: out of memory");
    add_time(s, record->time_ns);
    s->n_prefix_ids += record->n_prefix_ids;
    s->n_empty += record->n_prompt == 0 || record->n_output == 0;
    s->n++;
    return ST_OK;
}

/* The value at a position of the sorted lengths, from 0. */
static double value_at(const length_counts *c, uint64_t position) {
    uint64_t seen = 0;
    for (uint32_t length = 0; length < c->max; length++) {
        seen += c->counts[length];
        if (seen > position) return length;
    }
    return c->max;
}

static double quantile(const length_counts *c, uint64_t n, double q) {
    double position = (double)(n - 1) * q;
    uint64_t below = (uint64_t)position;
    double low = value_at(c, below);
    double high = below + 1 < n ? value_at(c, below + 1) : low;
    return low + (position - (double)below) * (high - low);
}

static length_summary summarize(const length_counts *c, uint64_t n) {
    if (n == 0) return (length_summary){0};
    return (length_summary){
        .mean = (double)c->sum / (double)n,
        .p50 = quantile(c, n, 0.5),
        .p90 = quantile(c, n, 0.9),
        .p99 = quantile(c, n, 0.99),
        .min = (uint32_t)value_at(c, 0),
        .max = c->max,
    };
}

trace_summary trace_stat_summary(const trace_stat *s) {
    trace_summary sum = {
        .n = s->n,
        .prompt = summarize(&s->prompt, s->n),
        .output = summarize(&s->output, s->n),
        .duration_s = (double)(s->latest_ns - s->earliest_ns) / 1e9,
        .n_backwards = s->n_backwards,
        .n_empty = s->n_empty,
        .n_clients = id_set_n(s->clients),
        .n_prefix_ids = s->n_prefix_ids,
        .n_distinct_prefix_ids = id_set_n(s->ids),
    };
    if (s->n_backwards > 0 || sum.duration_s == 0) return sum;
    double n_gaps = (double)(s->n - 1);
    sum.rate_known = true;
    sum.rate_per_s = n_gaps / sum.duration_s;
    sum.gap_cv = sqrt(s->gap_squares / n_gaps) / s->gap_mean_ns;
    return sum;
}

static void count_bins(const length_counts *c, uint64_t bins[TRACE_STAT_N_BINS]) {
    memset(bins, 0, TRACE_STAT_N_BINS * sizeof(*bins));
    int bin = 0;
    for (uint32_t length = 0; length < c->room && length <= c->max; length++) {
        while (length >> (bin + 1)) bin++;
        bins[bin] += c->counts[length];
    }
}

void trace_stat_bins(const trace_stat *s, uint64_t prompt[TRACE_STAT_N_BINS],
                     uint64_t output[TRACE_STAT_N_BINS]) {
    count_bins(&s->prompt, prompt);
    count_bins(&s->output, output);
}
