#include "fit_assembly.h"

#include <stdlib.h>
#include <string.h>

#include "iteration_parts.h"

enum { SIZE_MAX_TOKENS = 1 << 17 }; /* larger batches are not put together */

/* Sums over the operators that depend on one number, by that number. */
typedef struct sums {
    size_t n_sizes;
    unsigned n_parts;             /* operators */
    unsigned *seen;               /* [n_sizes] operators measured there */
    double *measured, *predicted; /* [n_sizes] */
} sums;

static void sums_finish(sums *s) {
    free(s->seen);
    free(s->measured);
    free(s->predicted);
}

static status sums_init(sums *s, size_t n_sizes) {
    *s = (sums){.n_sizes = n_sizes};
    s->seen = calloc(n_sizes, sizeof(*s->seen));
    s->measured = calloc(n_sizes, sizeof(*s->measured));
    s->predicted = calloc(n_sizes, sizeof(*s->predicted));
    return s->seen && s->measured && s->predicted ? ST_OK : ST_NO_MEMORY;
}

static size_t size_of(const sample *s) {
    return s->op == OP_PER_SEQUENCE ? s->batch.n_sampled : s->batch.n_tokens;
}

/* Adds one operator; where a size was measured more than once, the first counts. */
static void sums_add(sums *s, const judged_fit *j, double weight) {
    s->n_parts++;
    for (size_t i = 0; i < j->group.n; i++) {
        size_t size = size_of(&j->group.samples[i]);
        if (size >= s->n_sizes || s->seen[size] != s->n_parts - 1) continue;
        s->seen[size]++;
        s->measured[size] += weight * j->group.samples[i].seconds;
        s->predicted[size] += weight * j->predicted[i];
    }
}

static bool complete(const sums *s, size_t size) {
    return s->n_parts == 0 || (size < s->n_sizes && s->seen[size] == s->n_parts);
}

typedef struct points {
    size_t n, capacity;
    double *predicted, *measured;
} points;

static status add_point(points *p, double predicted, double measured) {
    if (p->n == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 256;
        double *a = realloc(p->predicted, capacity * sizeof(*a));
        if (!a) return ST_NO_MEMORY;
        p->predicted = a;
        double *b = realloc(p->measured, capacity * sizeof(*b));
        if (!b) return ST_NO_MEMORY;
        p->measured = b;
        p->capacity = capacity;
    }
    p->predicted[p->n] = predicted;
    p->measured[p->n++] = measured;
    return ST_OK;
}

static bool is_attention(part_driver d) {
    return d == PART_PREFILL || d == PART_DECODE || d == PART_MIXED;
}

static status add_attention(points *p, const judged_fit *j, double weight, const sums *tokens,
                            const sums *sampled) {
    for (size_t i = 0; i < j->group.n; i++) {
        const batch_shape *b = &j->group.samples[i].batch;
        size_t n = b->n_tokens, rows = b->n_prefill + b->n_decode;
        if (!complete(tokens, n) || !complete(sampled, rows)) continue;
        double predicted = weight * j->predicted[i] + tokens->predicted[n];
        double measured = weight * j->group.samples[i].seconds + tokens->measured[n];
        if (sampled->n_parts > 0) {
            predicted += sampled->predicted[rows];
            measured += sampled->measured[rows];
        }
        TRY(add_point(p, predicted, measured));
    }
    return ST_OK;
}

static status add_points(points *p, const judged_fits *fits, const model_spec *model,
                         sums *tokens, sums *sampled) {
    for (size_t i = 0; i < fits->n; i++) {
        const judged_fit *j = &fits->fits[i];
        part_driver driver = part_driver_of(j->f.op, j->f.part);
        double weight = part_weight(&j->f, j->f.part, model);
        if (driver == PART_TOKENS) sums_add(tokens, j, weight);
        if (driver == PART_SAMPLED) sums_add(sampled, j, weight);
    }
    if (tokens->n_parts == 0) return ST_OK;
    bool attention = false;
    for (size_t i = 0; i < fits->n; i++) {
        const judged_fit *j = &fits->fits[i];
        if (!is_attention(part_driver_of(j->f.op, j->f.part))) continue;
        attention = true;
        TRY(add_attention(p, j, part_weight(&j->f, j->f.part, model), tokens, sampled));
    }
    for (size_t n = 1; !attention && n < tokens->n_sizes; n++)
        if (complete(tokens, n)) TRY(add_point(p, tokens->predicted[n], tokens->measured[n]));
    return ST_OK;
}

status fit_assemble(judged_fits *fits, const model_spec *model, errbuf *err) {
    sums tokens = {0}, sampled = {0};
    points p = {0};
    status st = sums_init(&tokens, SIZE_MAX_TOKENS);
    if (st == ST_OK) st = sums_init(&sampled, SIZE_MAX_TOKENS);
    if (st == ST_OK) st = add_points(&p, fits, model, &tokens, &sampled);
    if (st == ST_OK) st = fit_judge(&fits->iterations, p.predicted, p.measured, p.n);
    sums_finish(&tokens);
    sums_finish(&sampled);
    free(p.predicted);
    free(p.measured);
    return st == ST_OK ? ST_OK : fail(err, st, "out of memory for fits");
}
