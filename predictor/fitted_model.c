#include "fitted_model.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit_json.h"
#include "iteration_parts.h"
#include "recalibration.h"

enum { TABULATED_MAX = 32768 }; /* tokens or sequences; beyond them fits are asked one by one */

/* An operator of an iteration. */
typedef struct piece {
    const fit *f;
    part_driver driver;
    double weight;
} piece;

/* Sum of pieces: seconds, and the square of the interval's half width. */
typedef struct total {
    double s, width2;
    bool in_range;
} total;

struct fitted_model {
    fit *fits; /* [n_fits] */
    size_t n_fits;
    const model_spec *model;
    piece *pieces; /* [n_pieces] in the order of their drivers */
    size_t n_pieces;
    const fit *whole, *mixed, *copies[N_LINK_DIRECTIONS];
    total *by_tokens, *by_sampled; /* [n_tabulated] */
    size_t n_tabulated;
    recalibration drift, copy_drift[N_LINK_DIRECTIONS];
};

static void add_cost(total *t, cost c, double weight) {
    double width = weight * (c.high_s - c.s);
    t->s += weight * c.s;
    t->width2 += width * width;
    t->in_range = t->in_range && c.in_range;
}

static void add_total(total *t, const total *other) {
    t->s += other->s;
    t->width2 += other->width2;
    t->in_range = t->in_range && other->in_range;
}

/* Pieces of one driver. */
static void add_pieces(total *t, const fitted_model *m, part_driver driver,
                       const batch_shape *batch) {
    for (size_t i = 0; i < m->n_pieces; i++) {
        const piece *p = &m->pieces[i];
        if (p->driver != driver) continue;
        sample s;
        part_sample(&s, driver, p->f, m->model, batch);
        add_cost(t, fit_predict(p->f, &s), p->weight);
    }
}

static void add_tabulated(total *t, const fitted_model *m, part_driver driver,
                          const batch_shape *batch) {
    bool tokens = driver == PART_TOKENS;
    uint32_t n = tokens ? batch->n_tokens : batch->n_sampled;
    if (n == 0) return;
    if (n < m->n_tabulated)
        add_total(t, tokens ? &m->by_tokens[n] : &m->by_sampled[n]);
    else
        add_pieces(t, m, driver, batch);
}

static cost total_cost(const total *t) {
    double width = sqrt(t->width2);
    return (cost){t->s, fmax(0, t->s - width), t->s + width, t->in_range};
}

cost fitted_model_iteration(const fitted_model *m, const batch_shape *batch) {
    assert(fitted_model_has_iteration(m));
    if (m->whole) {
        sample s;
        part_sample(&s, PART_WHOLE, m->whole, m->model, batch);
        return fit_predict(m->whole, &s);
    }
    total t = {.in_range = true};
    add_tabulated(&t, m, PART_TOKENS, batch);
    add_tabulated(&t, m, PART_SAMPLED, batch);
    bool together = batch->n_prefill > 0 && batch->n_decode > 0 && m->mixed;
    if (together) {
        add_pieces(&t, m, PART_MIXED, batch);
    } else {
        if (batch->n_prefill > 0) add_pieces(&t, m, PART_PREFILL, batch);
        if (batch->n_decode > 0) add_pieces(&t, m, PART_DECODE, batch);
    }
    add_pieces(&t, m, PART_MESSAGE, batch);
    add_pieces(&t, m, PART_HOST, batch);
    return total_cost(&t);
}

cost fitted_model_copy(const fitted_model *m, link_direction direction, uint32_t n_blocks,
                       uint32_t n_segments, copy_load load) {
    const fit *f = m->copies[direction];
    assert(f);
    sample s = {.op = f->op, .tp = f->tp, .n_blocks = n_blocks, .n_segments = n_segments};
    s.bytes = n_blocks * f->bytes_per_block;
    s.other_direction_busy = load.other_direction;
    /* Where no copy was measured beside compute, those alone have to do. */
    s.compute_busy = load.compute && f->high[VAR_COMPUTE] > 0;
    return fit_predict(f, &s);
}

bool fitted_model_has_iteration(const fitted_model *m) {
    return m->whole || (m->n_pieces > 0 && m->by_tokens);
}

bool fitted_model_has_copy(const fitted_model *m, link_direction direction) {
    return m->copies[direction] && m->copies[direction]->bytes_per_block > 0;
}

/* Sorts the fits into their uses. */
static void place_fits(fitted_model *m) {
    for (size_t i = 0; i < m->n_fits; i++) {
        const fit *f = &m->fits[i];
        part_driver driver = part_driver_of(f->op, f->part);
        if (f->op == OP_SWAP_OUT) m->copies[LINK_TO_HOST] = f;
        if (f->op == OP_SWAP_IN) m->copies[LINK_TO_DEVICE] = f;
        if (f->op == OP_MIXED_ATTENTION) m->mixed = f;
        if (driver == PART_WHOLE) m->whole = f;
        if (driver == PART_NO_PART || driver == PART_WHOLE || !m->model) continue;
        m->pieces[m->n_pieces++] = (piece){f, driver, part_weight(f, f->part, m->model)};
    }
}

static status tabulate(fitted_model *m) {
    double largest = 0;
    for (size_t i = 0; i < m->n_pieces; i++)
        if (m->pieces[i].driver == PART_TOKENS)
            largest = fmax(largest, m->pieces[i].f->high[VAR_TOKENS]);
    if (largest == 0)
        return ST_OK; /* no operator of a layer: iterations cannot be put together */
    m->n_tabulated = (size_t)fmin(largest, TABULATED_MAX) + 1;
    m->by_tokens = calloc(m->n_tabulated, sizeof(*m->by_tokens));
    m->by_sampled = calloc(m->n_tabulated, sizeof(*m->by_sampled));
    if (!m->by_tokens || !m->by_sampled) return ST_NO_MEMORY;
    for (uint32_t n = 1; n < m->n_tabulated; n++) {
        batch_shape batch = {.n_tokens = n, .n_sampled = n};
        m->by_tokens[n].in_range = m->by_sampled[n].in_range = true;
        add_pieces(&m->by_tokens[n], m, PART_TOKENS, &batch);
        add_pieces(&m->by_sampled[n], m, PART_SAMPLED, &batch);
    }
    return ST_OK;
}

/* Standard deviation of a fit's error: its spread is the 90 % quantile, 1.645 of them. */
static double noise_of(const fit *f) {
    return f ? f->spread / 1.645 : 0.01;
}

status fitted_model_create(fitted_model **out, fit *fits, size_t n, const model_spec *model,
                           errbuf *err) {
    fitted_model *m = calloc(1, sizeof(*m));
    fit *own = calloc(n + 1, sizeof(*own));
    piece *pieces = calloc(n + 1, sizeof(*pieces));
    if (!m || !own || !pieces) {
        for (size_t i = 0; i < n; i++) fit_finish(&fits[i]);
        free(own);
        free(pieces);
        free(m);
        return fail(err, ST_NO_MEMORY, "out of memory for fits");
    }
    if (n > 0) memcpy(own, fits, n * sizeof(*own));
    m->fits = own;
    m->n_fits = n;
    m->pieces = pieces;
    m->model = model;
    place_fits(m);
    status st = m->whole ? ST_OK : tabulate(m);
    if (st != ST_OK) fail(err, st, "out of memory for fits");
    if (st == ST_OK && !fitted_model_has_iteration(m) && !m->copies[LINK_TO_HOST] &&
        !m->copies[LINK_TO_DEVICE])
        st = fail(err, ST_NOT_FOUND, "there is no fit of iterations, layers or copies");
    if (st != ST_OK) {
        fitted_model_destroy(m);
        return st;
    }
    recalibration_init(&m->drift, noise_of(m->whole));
    for (int d = 0; d < N_LINK_DIRECTIONS; d++)
        recalibration_init(&m->copy_drift[d], noise_of(m->copies[d]));
    *out = m;
    return ST_OK;
}

status fitted_model_load(fitted_model **out, profile_store *store, const char *device,
                         const char *model, uint32_t tp, errbuf *err) {
    stored_fits stored = {0};
    TRY(profile_store_read_fits(store, &stored, device, model, tp, err));
    fit *fits = calloc(stored.n + 1, sizeof(*fits));
    size_t n = 0;
    status st = fits ? ST_OK : fail(err, ST_NO_MEMORY, "out of memory for fits");
    while (st == ST_OK && n < stored.n) {
        if (strcmp(stored.fits[n].kind, FIT_KIND) != 0)
            st = fail(err, ST_VERSION, "a fit of kind '%s' is stored, not '%s': fit again",
                      stored.fits[n].kind, FIT_KIND);
        else
            st = fit_from_json(&fits[n], stored.fits[n].json, err);
        if (st == ST_OK) memcpy(fits[n].part, stored.fits[n].part, sizeof(fits[n].part));
        if (st == ST_OK) fits[n++].tp = tp; /* kernels are measured alone, for any tp */
    }
    stored_fits_finish(&stored);
    if (st == ST_OK && n == 0)
        st = fail(err, ST_NOT_FOUND,
                  "no fits for device %s, model %s, tp %u: run `adaptivellm fit`", device,
                  model ? model : "(none)", (unsigned)tp);
    if (st == ST_OK) {
        st = fitted_model_create(out, fits, n, model ? model_spec_find(model) : NULL, err);
    } else {
        for (size_t i = 0; i < n; i++) fit_finish(&fits[i]);
    }
    free(fits);
    return st;
}

void fitted_model_destroy(fitted_model *m) {
    if (!m) return;
    for (size_t i = 0; i < m->n_fits; i++) fit_finish(&m->fits[i]);
    free(m->fits);
    free(m->pieces);
    free(m->by_tokens);
    free(m->by_sampled);
    free(m);
}

static cost scaled(cost c, double scale) {
    return (cost){c.s * scale, c.low_s * scale, c.high_s * scale, c.in_range};
}

static cost costs_iteration(void *context, const batch_shape *batch) {
    const fitted_model *m = context;
    return scaled(fitted_model_iteration(m, batch), m->drift.scale);
}

static cost costs_copy(void *context, link_direction direction, uint32_t n_blocks,
                       uint32_t n_segments, copy_load load) {
    const fitted_model *m = context;
    return scaled(fitted_model_copy(m, direction, n_blocks, n_segments, load),
                  m->copy_drift[direction].scale);
}

static bool costs_observe_iteration(void *context, const batch_shape *batch, double s) {
    fitted_model *m = context;
    return recalibration_observe(&m->drift, fitted_model_iteration(m, batch).s, s);
}

static bool costs_observe_copy(void *context, link_direction direction, uint32_t n_blocks,
                               uint32_t n_segments, copy_load load, double s) {
    fitted_model *m = context;
    cost c = fitted_model_copy(m, direction, n_blocks, n_segments, load);
    return recalibration_observe(&m->copy_drift[direction], c.s, s);
}

cost_model fitted_model_costs(fitted_model *m) {
    return (cost_model){costs_iteration, costs_copy, costs_observe_iteration,
                        costs_observe_copy, m};
}
