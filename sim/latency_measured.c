#include "latency_measured.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "iteration_table.h"
#include "latency_analytic.h"
#include "measured_copies.h"
#include "measured_tables.h"
#include "sample_grid.h"

/* Iterations up to these sizes are computed once; larger ones each time. */
enum { KNOWN_TOKENS = 1 << 15, KNOWN_SAMPLED = 1 << 12 };

typedef struct measured {
    const device_spec *device;
    const model_spec *model;
    uint32_t tp;
    measured_way way;
    measured_tables *own; /* on tp devices, or, scaled, on one */
    measured_tables *reference_single, *reference_tp;
    iteration_table *iterations;
    sample_grid *all_reduce; /* over bytes, or NULL */
    measured_copies *copies;
    latency_source analytic;
    double host_step_s, noise;
    double *tokens_s, *sampled_s; /* [KNOWN_] by the index, 0 until asked for */
} measured;

/* ------------------------------------------------------------ one iteration */

/* What the reference model's operator takes on tp devices as a share of its time on one. */
static double share(double tp_s, double single_s) {
    return single_s > 0 ? tp_s / single_s : 1;
}

static double role_s(const measured *m, measured_role role, uint32_t n_tokens) {
    double s = measured_role_s(m->own, role, n_tokens);
    if (m->way != MEASURED_SCALED) return s;
    /* Queries and keys are split by heads as they are for rotary positions. */
    measured_role like = role == ROLE_QK_NORM ? ROLE_ROTARY : role;
    return s * share(measured_role_s(m->reference_tp, like, n_tokens),
                     measured_role_s(m->reference_single, like, n_tokens));
}

static double attention_s(const measured *m, const batch_shape *b) {
    double s = measured_attention_s(measured_tables_attention(m->own), b);
    if (m->way != MEASURED_SCALED) return s;
    batch_shape equal = *b;
    equal.decode_kv_max = 0;
    return s *
           share(measured_attention_s(measured_tables_attention(m->reference_tp), &equal),
                 measured_attention_s(measured_tables_attention(m->reference_single), &equal));
}

/* Ring all-reduce where none was measured: 2 (tp - 1) / tp of the bytes pass each link (NVIDIA
 * nccl-tests, doc/PERFORMANCE.md). */
static double all_reduce_s(const measured *m, double bytes) {
    if (m->tp == 1) return 0;
    if (m->all_reduce) return sample_grid_at(m->all_reduce, &bytes);
    double passes = 2.0 * (m->tp - 1) / m->tp;
    return m->device->peer_latency_s + passes * bytes / m->device->peer_bytes_per_s;
}

static double tokens_s(const measured *m, uint32_t n_tokens) {
    double hidden_bytes = (double)n_tokens * m->model->hidden * m->model->bytes_per_value;
    double layer_s = 2 * all_reduce_s(m, hidden_bytes), s = all_reduce_s(m, hidden_bytes);
    for (int role = 0; role < N_LAYER_ROLES; role++)
        layer_s += role_s(m, (measured_role)role, n_tokens);
    for (int role = N_LAYER_ROLES; role < N_ROLES; role++)
        s += role_s(m, (measured_role)role, n_tokens);
    return s + m->model->n_layers * layer_s;
}

/* Rows of the head are split by vocabulary; bringing the parts together is half an all-reduce.
 */
static double sampled_s(const measured *m, uint32_t n_sampled) {
    double logits_bytes = (double)n_sampled * m->model->vocab * m->model->bytes_per_value;
    double head_s = measured_head_s(m->own, n_sampled);
    double sampler_s = measured_sampler_s(m->own, n_sampled);
    if (m->way == MEASURED_SCALED) {
        head_s *= share(measured_head_s(m->reference_tp, n_sampled),
                        measured_head_s(m->reference_single, n_sampled));
        sampler_s *= share(measured_sampler_s(m->reference_tp, n_sampled),
                           measured_sampler_s(m->reference_single, n_sampled));
    }
    return head_s + sampler_s + all_reduce_s(m, logits_bytes / 2);
}

static double known_s(const measured *m, double *known, uint32_t n_known, uint32_t i,
                      double (*compute)(const measured *, uint32_t)) {
    if (i == 0) return 0;
    if (i >= n_known) return compute(m, i);
    if (known[i] == 0) known[i] = compute(m, i);
    return known[i];
}

static double measured_iteration_s(void *context, const batch_shape *b) {
    const measured *m = context;
    if (m->way == MEASURED_ITERATIONS)
        return m->host_step_s + iteration_table_s(m->iterations, b);
    return m->host_step_s + measured_host_s(m->own, b->n_prefill + b->n_decode) +
           known_s(m, m->tokens_s, KNOWN_TOKENS, b->n_tokens, tokens_s) +
           known_s(m, m->sampled_s, KNOWN_SAMPLED, b->n_sampled, sampled_s) +
           m->model->n_layers * attention_s(m, b);
}

/* ------------------------------------------------------------ copies */

static double measured_copy_s(void *context, link_direction direction, double n_bytes,
                              uint32_t n_segments, bool beside_compute) {
    const measured *m = context;
    return measured_copies_s(m->copies, direction, n_bytes, n_segments, beside_compute);
}

static double measured_copy_slowdown(void *context) {
    return measured_copies_slowdown(((const measured *)context)->copies);
}

/* ------------------------------------------------------------ making one */

/* Over bytes; *out stays NULL when there are no samples. */
static status make_all_reduce(sample_grid **out, uint32_t tp, sample_list list) {
    grid_point *points = malloc((list.n + 1) * sizeof(*points));
    if (!points) return ST_NO_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < list.n; i++) {
        const sample *s = &list.samples[i];
        if (s->op == OP_ALL_REDUCE && s->bytes > 0 && s->tp == tp)
            points[n++] = (grid_point){{s->bytes}, s->seconds};
    }
    status st = n ? sample_grid_create(out, 1, points, n) : ST_OK;
    free(points);
    return st;
}

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static status find_noise(double *out, sample_list list) {
    double *shares = malloc((list.n + 1) * sizeof(*shares));
    if (!shares) return ST_NO_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < list.n; i++)
        if (list.samples[i].deviation_s > 0)
            shares[n++] = list.samples[i].deviation_s / list.samples[i].seconds;
    qsort(shares, n, sizeof(*shares), compare_doubles);
    *out = n ? shares[n / 2] : 0;
    free(shares);
    return ST_OK;
}

static status make_scaled(measured *m, const measured_config *c, errbuf *err) {
    const sample_list none = {0};
    m->way = MEASURED_SCALED;
    TRY(measured_tables_create(&m->own, c->model, 1, c->single, c->skew, err));
    TRY(measured_tables_create(&m->reference_single, c->reference_model, 1, c->reference_single,
                               none, err));
    return measured_tables_create(&m->reference_tp, c->reference_model, c->tp, c->reference_tp,
                                  none, err);
}

/* Operators, else scaled ones, else whole iterations; the message is that of the first. */
static status make_times(measured *m, const measured_config *c, errbuf *err) {
    m->way = MEASURED_OPERATORS;
    status st = measured_tables_create(&m->own, c->model, c->tp, c->own, c->skew, err);
    if (st != ST_NOT_FOUND) return st;
    if (c->reference_model) return make_scaled(m, c, err);
    TRY(iteration_table_create(&m->iterations, &m->analytic, c->own.samples, c->own.n));
    m->way = MEASURED_ITERATIONS;
    return m->iterations ? ST_OK : st;
}

static status fill(measured *m, const measured_config *c, errbuf *err) {
    TRY(latency_analytic_create(&m->analytic, c->device, c->model, c->tp, err));
    TRY(make_times(m, c, err));
    TRY(make_all_reduce(&m->all_reduce, c->tp, c->own));
    TRY(measured_copies_create(&m->copies, &m->analytic, c->own));
    TRY(find_noise(&m->noise, m->way == MEASURED_SCALED ? c->single : c->own));
    if (m->way != MEASURED_ITERATIONS)
        m->noise /= sqrt(c->model->n_layers * (double)N_LAYER_ROLES);
    m->tokens_s = calloc(KNOWN_TOKENS, sizeof(*m->tokens_s));
    m->sampled_s = calloc(KNOWN_SAMPLED, sizeof(*m->sampled_s));
    return m->tokens_s && m->sampled_s ? ST_OK : ST_NO_MEMORY;
}

static void measured_destroy(void *context) {
    measured *m = context;
    measured_tables_destroy(m->own);
    measured_tables_destroy(m->reference_single);
    measured_tables_destroy(m->reference_tp);
    iteration_table_destroy(m->iterations);
    sample_grid_destroy(m->all_reduce);
    measured_copies_destroy(m->copies);
    if (m->analytic.destroy) m->analytic.destroy(m->analytic.context);
    free(m->tokens_s);
    free(m->sampled_s);
    free(m);
}

status latency_measured_create(latency_source *out, const measured_config *config,
                               errbuf *err) {
    measured *m = calloc(1, sizeof(*m));
    if (!m) return fail(err, ST_NO_MEMORY, "no memory for the latency source");
    m->device = config->device;
    m->model = config->model;
    m->tp = config->tp;
    m->host_step_s = config->host_step_s;
    status st = fill(m, config, err);
    if (st != ST_OK) {
        measured_destroy(m);
        return st == ST_NO_MEMORY ? fail(err, st, "no memory for the latency source") : st;
    }
    *out = (latency_source){.iteration_s = measured_iteration_s,
                            .copy_s = measured_copy_s,
                            .copy_slowdown = measured_copy_slowdown,
                            .destroy = measured_destroy,
                            .context = m};
    return ST_OK;
}

measured_way latency_measured_way(const latency_source *source) {
    assert(source->iteration_s == measured_iteration_s);
    return ((const measured *)source->context)->way;
}

double latency_measured_noise(const latency_source *source) {
    assert(source->iteration_s == measured_iteration_s);
    return ((const measured *)source->context)->noise;
}
