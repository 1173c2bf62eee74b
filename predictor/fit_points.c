#include "fit_points.h"

#include <stdlib.h>
#include <string.h>

#include "fit.h"
#include "rng.h"
#include "sample_set.h"

/* A point in the order that deals out the folds. */
typedef struct dealt {
    uint64_t hash; /* of its variables */
    size_t at;
} dealt;

static int compare_dealt(const void *a, const void *b) {
    const dealt *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Variables that came later count where they are not 0, so points of before keep their folds,
 * and their fits what they were. */
static uint64_t hash_variables(const double *v) {
    uint64_t hash = 0;
    for (size_t j = 0; j < N_VARIABLES; j++) {
        if (j >= VAR_FIRST_LATER && v[j] == 0) continue;
        uint64_t bits;
        memcpy(&bits, &v[j], sizeof(bits));
        hash = rng_bits(hash, j, bits);
    }
    return hash;
}

/* Deals the points out over the folds, equal ones together; *n_different is how many there are.
 */
static status deal_folds(fit_points *p, size_t *n_different) {
    dealt *order = calloc(p->n, sizeof(*order));
    if (!order) return ST_NO_MEMORY;
    for (size_t i = 0; i < p->n; i++)
        order[i] = (dealt){hash_variables(p->v + i * N_VARIABLES), i};
    qsort(order, p->n, sizeof(*order), compare_dealt);
    *n_different = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (i == 0 || order[i].hash != order[i - 1].hash) ++*n_different;
        p->fold[order[i].at] = (unsigned)(*n_different % FIT_FOLDS);
    }
    free(order);
    return ST_OK;
}

static status allocate(fit_points *p, size_t n) {
    *p = (fit_points){.n = n};
    p->v = calloc(n * N_VARIABLES, sizeof(*p->v));
    p->seconds = calloc(n, sizeof(*p->seconds));
    p->fold = calloc(n, sizeof(*p->fold));
    return p->v && p->seconds && p->fold ? ST_OK : ST_NO_MEMORY;
}

/* One shape, one kind of thing? */
static status check_alike(const sample *a, const sample *b, errbuf *err) {
    if (a->op == b->op && strcmp(a->part, b->part) == 0 && a->gemm_n == b->gemm_n &&
        a->gemm_k == b->gemm_k && a->n_heads == b->n_heads && a->n_kv_heads == b->n_kv_heads &&
        a->head_dim == b->head_dim)
        return ST_OK;
    char one[160], other[160];
    sample_describe(one, sizeof(one), a);
    sample_describe(other, sizeof(other), b);
    return fail(err, ST_INVALID, "one fit cannot hold both %s and %s", one, other);
}

/* What to vary, for the message about too few points. */
static const char *what_to_vary(operation op) {
    switch (op) {
    case OP_PER_SEQUENCE:
    case OP_HOST:
    case OP_DECODE_ATTENTION:
        return "sequences and contexts";
    case OP_SWAP_OUT:
    case OP_SWAP_IN:
    case OP_ALL_REDUCE:
        return "bytes and pieces";
    default:
        return "tokens and contexts";
    }
}

status fit_points_init(fit_points *out, const sample *samples, size_t n, errbuf *err) {
    fit_points p;
    size_t n_different = 0;
    status st = allocate(&p, n);
    for (size_t i = 0; st == ST_OK && i < n; i++) {
        st = sample_check(&samples[i], err);
        if (st == ST_OK) st = check_alike(&samples[0], &samples[i], err);
        cost_terms_read(p.v + i * N_VARIABLES, &samples[i]);
        p.seconds[i] = samples[i].seconds;
    }
    if (st == ST_OK) st = deal_folds(&p, &n_different);
    if (st == ST_NO_MEMORY) fail(err, st, "out of memory for a fit");
    if (st == ST_OK && n_different < FIT_POINTS_MIN)
        st = fail(err, ST_INVALID,
                  "%s%s%s: %zu samples at %zu different points; a fit needs %d: measure more "
                  "%s",
                  operation_name(samples[0].op), samples[0].part[0] ? " " : "", samples[0].part,
                  n, n_different, FIT_POINTS_MIN, what_to_vary(samples[0].op));
    if (st != ST_OK) {
        fit_points_finish(&p);
        return st;
    }
    *out = p;
    return ST_OK;
}

status fit_points_without(fit_points *out, const fit_points *all, unsigned fold) {
    TRY(allocate(out, all->n));
    out->n = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (all->fold[i] == fold) continue;
        memcpy(out->v + out->n * N_VARIABLES, all->v + i * N_VARIABLES,
               N_VARIABLES * sizeof(*out->v));
        out->seconds[out->n++] = all->seconds[i];
    }
    size_t n_different;
    return deal_folds(out, &n_different);
}

void fit_points_finish(fit_points *p) {
    free(p->v);
    free(p->seconds);
    free(p->fold);
    *p = (fit_points){0};
}

fit_rows fit_points_rows(const fit_points *p) {
    return (fit_rows){p->v, p->seconds, p->fold, p->n, FIT_FOLDS};
}
