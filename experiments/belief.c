#include "belief.h"

#include <math.h>
#include <stdlib.h>

#include "fitted_model.h"

static const double OFF = 0.02; /* an error that counts as off the mark */

/* Mean of relative errors. */
typedef struct mean_error {
    double sum;
    uint64_t n;
} mean_error;

struct belief {
    fitted_model *model;
    cost_model costs;
    mean_error iterations, recomputes, copies;
    double window[BELIEF_WINDOW], window_sum;
    uint64_t n_off, n_drifts;
    noticed_drift drifts[BELIEF_DRIFTS_MAX];
};

status belief_create(belief **out, profile_store *store, const char *device, const char *model,
                     uint32_t tp, errbuf *err) {
    belief *b = calloc(1, sizeof(*b));
    if (!b) return fail(err, ST_NO_MEMORY, "out of memory for the predictor");
    status st = fitted_model_load(&b->model, store, device, model, tp, err);
    if (st == ST_OK && !fitted_model_has_iteration(b->model))
        st = fail(err, ST_NOT_FOUND, "no fit of iterations of %s on %s, tp %u", model, device,
                  (unsigned)tp);
    if (st != ST_OK) {
        belief_destroy(b);
        return st;
    }
    b->costs = fitted_model_costs(b->model);
    *out = b;
    return ST_OK;
}

bool belief_knows_copies(const belief *b) {
    return fitted_model_has_copy(b->model, LINK_TO_HOST) &&
           fitted_model_has_copy(b->model, LINK_TO_DEVICE);
}

const cost_model *belief_costs(const belief *b) {
    return &b->costs;
}

void belief_destroy(belief *b) {
    if (!b) return;
    fitted_model_destroy(b->model);
    free(b);
}

static void add_error(mean_error *m, double error) {
    m->sum += error;
    m->n++;
}

static void slide_window(belief *b, double error) {
    double *slot = &b->window[b->iterations.n % BELIEF_WINDOW];
    b->window_sum += error - *slot;
    *slot = error;
    if (b->iterations.n + 1 >= BELIEF_WINDOW && b->window_sum > OFF * BELIEF_WINDOW) b->n_off++;
}

static void note_drift(belief *b, double t_s, bool of_copies) {
    if (b->n_drifts < BELIEF_DRIFTS_MAX)
        b->drifts[b->n_drifts] = (noticed_drift){t_s, b->iterations.n, of_copies};
    b->n_drifts++;
}

static void compare(belief *b, const batch_shape *batch, double measured_s, double t_s) {
    double predicted_s = b->costs.iteration(b->costs.context, batch).s;
    double error = fabs(predicted_s / measured_s - 1);
    slide_window(b, error);
    add_error(&b->iterations, error);
    if (b->costs.observe_iteration(b->costs.context, batch, measured_s))
        note_drift(b, t_s, false);
}

/* The same estimate of the truth as of the belief: an iteration with and without the tokens. */
static void compare_recompute(belief *b, const plan *p, const batch_shape *batch,
                              double measured_s) {
    batch_shape without = plan_shape_without_recompute(p);
    double predicted_s = b->costs.iteration(b->costs.context, batch).s;
    if (without.n_tokens) predicted_s -= b->costs.iteration(b->costs.context, &without).s;
    add_error(&b->recomputes, fabs(predicted_s / measured_s - 1));
}

void belief_iterated(belief *b, const iteration_span *span) {
    const completion *c = span->completion;
    batch_shape batch = plan_shape(span->plan);
    if (batch.n_tokens == 0) return;
    if (c->recompute_s > 0) compare_recompute(b, span->plan, &batch, c->recompute_s);
    int64_t start_ns = c->start_ns;
    for (uint32_t i = 0; i < c->n_iterations; i++) {
        double s = (double)(c->end_ns[i] - start_ns) * 1e-9 - (i == 0 ? c->ordered_copy_s : 0);
        if (s > 0) compare(b, &batch, s, (double)c->end_ns[i] * 1e-9);
        start_ns = c->end_ns[i];
        batch.decode_kv_tokens += batch.n_decode;
        batch.decode_kv_max++;
    }
}

static double copy_s(const belief *b, const copy_in_flight *c, copy_load load) {
    return b->costs.copy(b->costs.context, c->direction, c->n_blocks, c->n_segments, load).s;
}

double belief_predict_copy(const belief *b, const copy_in_flight *c) {
    if (!fitted_model_has_copy(b->model, c->direction)) return NAN;
    return copy_s(b, c, c->load);
}

/* The error counts what was not known at submission. What is learnt must not: the time that the
 * copy shared the link is taken at the rate that the fits have for it. */
void belief_copied(belief *b, const copy_in_flight *c, double busy_share, double measured_s,
                   double t_s) {
    if (isnan(c->predicted_s) || measured_s <= 0) return;
    add_error(&b->copies, fabs(c->predicted_s / measured_s - 1));
    const copy_load both = {true, c->load.compute}, alone = {false, c->load.compute};
    double slower = copy_s(b, c, both) / copy_s(b, c, alone);
    double alone_s = measured_s * (1 - busy_share + busy_share / slower);
    if (b->costs.observe_copy(b->costs.context, c->direction, c->n_blocks, c->n_segments, alone,
                              alone_s))
        note_drift(b, t_s, true);
}

static void set(run_figures *f, figure_id id, const mean_error *m) {
    if (m->n == 0) return;
    f->value[id] = m->sum / (double)m->n;
    f->known[id] = true;
}

void belief_figures(const belief *b, run_figures *out) {
    set(out, FIG_predictor_mape_iteration, &b->iterations);
    set(out, FIG_predictor_mape_swap, &b->copies);
    set(out, FIG_predictor_mape_recompute, &b->recomputes);
}

const noticed_drift *belief_drifts(const belief *b, uint32_t *n, uint64_t *n_all) {
    *n_all = b->n_drifts;
    *n = b->n_drifts < BELIEF_DRIFTS_MAX ? (uint32_t)b->n_drifts : BELIEF_DRIFTS_MAX;
    return b->drifts;
}

uint64_t belief_n_off(const belief *b) {
    return b->n_off;
}
