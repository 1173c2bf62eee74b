#include "validate.h"

#include <math.h>
#include <stdlib.h>

/* One figure of every request, on both sides, and its order statistics. */
typedef struct sides {
    double *measured, *simulated; /* [n] */
    size_t n;
} sides;

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* sorted[n], n at least 1. */
static double percentile(const double *sorted, size_t n, double q) {
    double rank = q * (double)(n - 1);
    size_t low = (size_t)rank;
    if (low + 1 >= n) return sorted[n - 1];
    return sorted[low] + (rank - (double)low) * (sorted[low + 1] - sorted[low]);
}

static double mean(const double *values, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += values[i];
    return sum / (double)n;
}

static void add_row(validation *v, const char *name, double measured, double simulated) {
    v->rows[v->n++] = (validation_row){.name = name,
                                       .measured = measured,
                                       .simulated = simulated,
                                       .error = simulated / measured - 1,
                                       .is_relative = true};
}

static void add_difference(validation *v, const char *name, double error, bool is_relative) {
    v->rows[v->n++] = (validation_row){.name = name,
                                       .measured = NAN,
                                       .simulated = NAN,
                                       .error = error,
                                       .is_relative = is_relative};
}

enum { STAT_MEAN, STAT_P50, STAT_P90, STAT_P99, N_STATS };

/* Sorts both sides. */
static void add_distribution(validation *v, const char *const names[N_STATS], sides *s) {
    if (s->n == 0) return;
    add_row(v, names[STAT_MEAN], mean(s->measured, s->n), mean(s->simulated, s->n));
    qsort(s->measured, s->n, sizeof(double), compare_doubles);
    qsort(s->simulated, s->n, sizeof(double), compare_doubles);
    static const double shares[N_STATS] = {0, 0.5, 0.9, 0.99};
    for (int i = STAT_P50; i < N_STATS; i++)
        add_row(v, names[i], percentile(s->measured, s->n, shares[i]),
                percentile(s->simulated, s->n, shares[i]));
}

#define STATS(name)                                                                            \
    { name "_mean", name "_p50", name "_p90", name "_p99" }
static const char *const tpot_names[] = STATS("tpot_s");
static const char *const e2e_names[] = STATS("e2e_s");
static const char *const ttft_names[] = STATS("ttft_s");

static void add_tpot(validation *v, const measured_run *m, const simulated_run *s,
                     sides *both) {
    both->n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const measured_request *q = &m->requests[i];
        if (q->n_output < 2) continue;
        both->measured[both->n] = (q->e2e_s - q->ttft_s) / (q->n_output - 1);
        both->simulated[both->n++] = (s->e2e_s[i] - s->ttft_s[i]) / (q->n_output - 1);
    }
    add_distribution(v, tpot_names, both);
}

/* Errors request by request, taken as they are, beside the figures of the whole. */
static void add_times(validation *v, const char *const names[N_STATS], const char *p50,
                      const char *p90, sides *both, double *errors) {
    for (size_t i = 0; i < both->n; i++)
        errors[i] = fabs(both->simulated[i] / both->measured[i] - 1);
    add_distribution(v, names, both);
    qsort(errors, both->n, sizeof(*errors), compare_doubles);
    add_difference(v, p50, percentile(errors, both->n, 0.5), true);
    add_difference(v, p90, percentile(errors, both->n, 0.9), true);
}

static void add_unsaturated(validation *v, const measured_run *m, const simulated_run *s) {
    double measured = 0, simulated = 0;
    size_t end = 1;
    for (; end < m->n && m->requests[end].queue_s < UNSATURATED_QUEUE_S; end++) {
        measured += m->requests[end].ttft_s;
        simulated += s->ttft_s[end];
    }
    v->n_unsaturated = end - 1;
    if (end > 1)
        add_row(v, "ttft_unsaturated_s_mean", measured / (double)(end - 1),
                simulated / (double)(end - 1));
}

static void add_totals(validation *v, const measured_run *m, const simulated_run *s) {
    double measured_s = 0, simulated_s = 0, n_tokens = 0;
    for (size_t i = 0; i < m->n; i++) {
        const measured_request *q = &m->requests[i];
        measured_s = fmax(measured_s, q->arrival_s + q->e2e_s);
        simulated_s = fmax(simulated_s, q->arrival_s + s->e2e_s[i]);
        n_tokens += q->n_output;
    }
    add_row(v, "makespan_s", measured_s, simulated_s);
    add_row(v, "request_throughput_per_s", (double)m->n / measured_s,
            (double)m->n / simulated_s);
    add_row(v, "output_throughput_tokens_per_s", n_tokens / measured_s, n_tokens / simulated_s);
}

/* What the server wrote at t is what it last saw before t. */
static simulated_tick tick_before(const simulated_run *s, double t_s) {
    size_t low = 0, high = s->n_ticks;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->ticks[middle].t_s < t_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? s->ticks[low - 1] : (simulated_tick){t_s, 0, 0};
}

static void add_series(validation *v, const measured_series *m, const simulated_run *s) {
    double running[2] = {0}, waiting[2] = {0}, sum[2] = {0}, most[2] = {0};
    for (size_t i = 0; i < m->n; i++) {
        simulated_tick at = tick_before(s, m->ticks[i].t_s);
        double off[2] = {fabs(at.n_running - m->ticks[i].n_running),
                         fabs(at.n_waiting - m->ticks[i].n_waiting)};
        for (int j = 0; j < 2; j++) {
            sum[j] += off[j];
            most[j] = fmax(most[j], off[j]);
        }
        running[0] += m->ticks[i].n_running;
        running[1] += at.n_running;
        waiting[0] += m->ticks[i].n_waiting;
        waiting[1] += at.n_waiting;
    }
    double n = (double)m->n;
    add_row(v, "running_mean", running[0] / n, running[1] / n);
    add_row(v, "waiting_mean", waiting[0] / n, waiting[1] / n);
    add_difference(v, "running_difference_mean", sum[0] / n, false);
    add_difference(v, "running_difference_max", most[0], false);
    add_difference(v, "waiting_difference_mean", sum[1] / n, false);
    add_difference(v, "waiting_difference_max", most[1], false);
}

static void add_all(validation *v, const measured_run *m, const measured_series *series,
                    const simulated_run *s, sides *both, double *errors) {
    add_totals(v, m, s);
    add_tpot(v, m, s, both);
    both->n = m->n;
    for (size_t i = 0; i < m->n; i++) {
        both->measured[i] = m->requests[i].e2e_s;
        both->simulated[i] = s->e2e_s[i];
    }
    add_times(v, e2e_names, "e2e_s_request_error_p50", "e2e_s_request_error_p90", both, errors);
    for (size_t i = 0; i < m->n; i++) {
        both->measured[i] = m->requests[i].ttft_s;
        both->simulated[i] = s->ttft_s[i];
    }
    add_times(v, ttft_names, "ttft_s_request_error_p50", "ttft_s_request_error_p90", both,
              errors);
    add_unsaturated(v, m, s);
    if (series) add_series(v, series, s);
}

status validation_make(validation *out, const measured_run *m, const measured_series *series,
                       const simulated_run *s, errbuf *err) {
    validation v = {0};
    sides both = {malloc(m->n * sizeof(double)), malloc(m->n * sizeof(double)), 0};
    double *errors = malloc(m->n * sizeof(*errors));
    bool fits = both.measured && both.simulated && errors;
    if (fits) {
        add_all(&v, m, series, s, &both, errors);
        *out = v;
    }
    free(both.measured);
    free(both.simulated);
    free(errors);
    return fits ? ST_OK : fail(err, ST_NO_MEMORY, "out of memory for the comparison");
}
