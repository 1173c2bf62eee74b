#include "iteration_table.h"

#include <math.h>
#include <stdlib.h>

enum { N_FEATURES = 4, N_NEAREST = 8 };

typedef struct iteration_point {
    double x[N_FEATURES], log_ratio; /* of measured to analytic time */
} iteration_point;

struct iteration_table {
    const latency_source *analytic;
    size_t n;
    iteration_point *points; /* [n] */
};

static void features(double x[N_FEATURES], const batch_shape *b) {
    double n_new = b->n_prefill_tokens, n_decode = b->n_decode;
    x[0] = log1p(n_new);
    x[1] = n_new > 0 ? log1p((double)b->prefill_pairs / n_new) : 0;
    x[2] = log1p(n_decode);
    x[3] = n_decode > 0 ? log1p((double)b->decode_kv_tokens / n_decode) : 0;
}

static double analytic_s(const iteration_table *t, const batch_shape *b) {
    return t->analytic->iteration_s(t->analytic->context, b);
}

status iteration_table_create(iteration_table **out, const latency_source *analytic,
                              const sample *samples, size_t n) {
    iteration_table *t = calloc(1, sizeof(*t));
    if (!t) return ST_NO_MEMORY;
    t->analytic = analytic;
    t->points = malloc((n + 1) * sizeof(*t->points));
    if (!t->points) {
        iteration_table_destroy(t);
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        if (samples[i].op != OP_ITERATION || samples[i].batch.n_tokens == 0) continue;
        iteration_point *p = &t->points[t->n++];
        features(p->x, &samples[i].batch);
        p->log_ratio = log(samples[i].seconds / analytic_s(t, &samples[i].batch));
    }
    if (t->n == 0) {
        iteration_table_destroy(t);
        t = NULL;
    }
    *out = t;
    return ST_OK;
}

void iteration_table_destroy(iteration_table *t) {
    if (!t) return;
    free(t->points);
    free(t);
}

typedef struct neighbour {
    double distance, log_ratio; /* distance squared */
} neighbour;

static double distance(const double *a, const double *b) {
    double sum = 0;
    for (int i = 0; i < N_FEATURES; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* Keeps the nearest in order; returns how many there are. */
static size_t keep(neighbour *nearest, size_t n, neighbour candidate) {
    if (n == N_NEAREST && candidate.distance >= nearest[n - 1].distance) return n;
    size_t at = n < N_NEAREST ? n : n - 1;
    for (; at > 0 && nearest[at - 1].distance > candidate.distance; at--)
        nearest[at] = nearest[at - 1];
    nearest[at] = candidate;
    return n < N_NEAREST ? n + 1 : n;
}

double iteration_table_s(const iteration_table *t, const batch_shape *b) {
    double x[N_FEATURES];
    features(x, b);
    neighbour nearest[N_NEAREST];
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++)
        n = keep(nearest, n, (neighbour){distance(x, t->points[i].x), t->points[i].log_ratio});
    double sum = 0, weights = 0;
    for (size_t i = 0; i < n; i++) {
        double weight = 1 / (nearest[i].distance + 1e-9); /* a hit counts alone */
        sum += weight * nearest[i].log_ratio;
        weights += weight;
    }
    return analytic_s(t, b) * exp(sum / weights);
}
