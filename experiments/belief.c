#include "belief.h"

#include <math.h>
#include <stdlib.h>

#include "fitted_model.h"

static const double OFF = 0.02; /* an error that counts as off the mark */

/* Half widths of the fit's 90 % interval by which its factor changes with the device. With the
 * batches alone it changes by up to two. */
static const double BEYOND_FIT = 3;

/* Observations after an alarm of the predictor's, by which its factor is a mean again. */
enum { SETTLING = 8 };

/* Mean of relative errors. */
typedef struct mean_error {
    double sum;
    uint64_t n;
} mean_error;

/* The predictor is alarmed by the device, but also where its fits are off for a while: batches
 * in a row are alike. The device has changed if the factor is another one afterwards. */
typedef struct drift_watch {
    double factor; /* when it last changed; 0 stands for 1 */
    uint32_t n_left;
    noticed_drift since; /* the alarm, while n_left > 0 */
} drift_watch;

struct belief {
    fitted_model *model;
    cost_model costs;
    mean_error iterations, recomputes, copies;
    double window[BELIEF_WINDOW], window_sum;
    uint64_t n_off, n_drifts;
    drift_watch iteration_watch, copy_watch[N_LINK_DIRECTIONS];
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

/* True when an alarm of before is over, and the predictor's factor a mean again. */
static bool has_settled(drift_watch *w, bool alarmed, noticed_drift now) {
    if (alarmed) {
        if (w->n_left == 0) w->since = now;
        w->n_left = SETTLING;
        return false;
    }
    return w->n_left > 0 && --w->n_left == 0;
}

/* believed: what the predictor says now; fitted: what its fits do. */
static void note_change(belief *b, drift_watch *w, cost believed, cost fitted) {
    double before = w->factor > 0 ? w->factor : 1, factor = believed.s / fitted.s;
    double least = BEYOND_FIT * (fitted.high_s / fitted.s - 1);
    if (fabs(factor / before - 1) <= fmax(least, OFF)) return;
    w->factor = w->since.factor = factor;
    if (b->n_drifts < BELIEF_DRIFTS_MAX) b->drifts[b->n_drifts] = w->since;
    b->n_drifts++;
}

static void compare(belief *b, const batch_shape *batch, double measured_s, double t_s) {
    double predicted_s = b->costs.iteration(b->costs.context, batch).s;
    double error = fabs(predicted_s / measured_s - 1);
    slide_window(b, error);
    add_error(&b->iterations, error);
    bool alarmed = b->costs.observe_iteration(b->costs.context, batch, measured_s);
    noticed_drift now = {.t_s = t_s, .iteration = b->iterations.n};
    if (has_settled(&b->iteration_watch, alarmed, now))
        note_change(b, &b->iteration_watch, b->costs.iteration(b->costs.context, batch),
                    fitted_model_iteration(b->model, batch));
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

static cost copy_cost(const belief *b, const copy_in_flight *c, copy_load load) {
    return b->costs.copy(b->costs.context, c->direction, c->n_blocks, c->n_segments, load);
}

double belief_predict_copy(const belief *b, const copy_in_flight *c) {
    if (!fitted_model_has_copy(b->model, c->direction)) return NAN;
    return copy_cost(b, c, c->load).s;
}

/* The error counts what was not known at submission. What is learnt must not: the time that the
 * copy shared the link is taken at the rate that the fits have for it. */
void belief_copied(belief *b, const copy_in_flight *c, double busy_share, double measured_s,
                   double t_s) {
    if (isnan(c->predicted_s) || measured_s <= 0) return;
    add_error(&b->copies, fabs(c->predicted_s / measured_s - 1));
    const copy_load both = {true, c->load.compute}, alone = {false, c->load.compute};
    double slower = copy_cost(b, c, both).s / copy_cost(b, c, alone).s;
    double alone_s = measured_s * (1 - busy_share + busy_share / slower);
    bool alarmed = b->costs.observe_copy(b->costs.context, c->direction, c->n_blocks,
                                         c->n_segments, alone, alone_s);
    noticed_drift now = {.t_s = t_s, .iteration = b->iterations.n, .of_copies = true};
    drift_watch *watch = &b->copy_watch[c->direction];
    if (has_settled(watch, alarmed, now))
        note_change(
            b, watch, copy_cost(b, c, alone),
            fitted_model_copy(b->model, c->direction, c->n_blocks, c->n_segments, alone));
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
