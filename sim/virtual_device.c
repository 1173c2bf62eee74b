#include "virtual_device.h"

#include <assert.h>
#include <stdlib.h>

#include "copy_link.h"
#include "finish_wheel.h"
#include "rng.h"

enum { STREAM_ITERATION = 11, STREAM_COPY = 12 }; /* of the noise */

typedef struct virtual_device {
    virtual_device_config config;
    int64_t slow_from_ns;
    int64_t now_ns;
    copy_link link;
    finish_wheel wheel;

    const plan *plan; /* outstanding, or NULL */
    batch_shape shape;
    bool computes;  /* the plan has more than copies */
    bool running;   /* an iteration has started and ends at iteration_end_ns */
    bool stop_here; /* the horizon ends with this iteration */
    int64_t start_ns, iteration_end_ns;
    double ordered_copy_s, recompute_s;
    uint64_t n_iterations; /* of the whole run: the index of the noise */
    uint32_t n_done;       /* of the plan */
    int64_t end_ns[HORIZON_MAX];
    int64_t compute_ns; /* busy so far; rounded as the clock is, so that it is never more */
    double ordered_s;
} virtual_device;

static double noisy(const virtual_device *d, double seconds, uint64_t stream, uint64_t index) {
    if (d->now_ns >= d->slow_from_ns) seconds *= 1 + d->config.slowdown;
    if (d->config.noise == 0) return seconds;
    return seconds * (1 + d->config.noise * rng_normal(d->config.seed, stream, index));
}

static int64_t to_ns(double seconds) {
    int64_t ns = (int64_t)(seconds * 1e9 + 0.5);
    return ns > 0 ? ns : 1;
}

static double iteration_s(const virtual_device *d, const batch_shape *b) {
    return b->n_tokens ? d->config.latency.iteration_s(d->config.latency.context, b) : 0;
}

static double estimate_recompute_s(const virtual_device *d, const plan *p) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < p->n_chunks; i++) n += p->chunks[i].n_recomputed;
    if (n == 0) return 0;
    batch_shape without = plan_shape_without_recompute(p);
    double s = iteration_s(d, &d->shape) - iteration_s(d, &without);
    return s > 0 ? s : 0;
}

static double copy_s(const virtual_device *d, const plan *p, const plan_copy *c,
                     bool beside_compute) {
    double bytes = d->config.block_bytes * c->n_pairs;
    double s =
        d->config.latency.copy_s(d->config.latency.context, c->direction, bytes,
                                 plan_copy_segments(p, c, d->config.n_layers), beside_compute);
    return noisy(d, s, STREAM_COPY, c->id);
}

static status admit(void *context, const sequence_table *seqs, uint32_t seq,
                    uint32_t n_output) {
    virtual_device *d = context;
    (void)seqs;
    return finish_wheel_admit(&d->wheel, seq, n_output);
}

static status submit(void *context, const plan *p, errbuf *err) {
    virtual_device *d = context;
    assert(!d->plan);
    assert(p->horizon >= 1 && p->horizon <= HORIZON_MAX);
    d->plan = plan_occupies_compute(p) ? p : NULL;
    d->ordered_copy_s = 0;
    for (uint32_t i = 0; i < p->n_copies; i++) {
        const plan_copy *c = &p->copies[i];
        double s = copy_s(d, p, c, d->plan && !c->ordered);
        if (c->ordered)
            d->ordered_copy_s += s;
        else if (copy_link_add(&d->link, c->direction, c->id, s, d->now_ns) != ST_OK)
            return fail(err, ST_NO_MEMORY, "out of memory for copies in flight");
    }
    if (p->runs_cohort)
        for (uint32_t i = 0; i < p->decodes->n_joined; i++)
            finish_wheel_join(&d->wheel, p->seqs, p->decodes->joined[i]);
    d->shape = plan_shape(p);
    d->computes = d->shape.n_tokens > 0;
    d->recompute_s = estimate_recompute_s(d, p);
    d->running = d->stop_here = false;
    d->start_ns = d->now_ns;
    d->n_done = 0;
    return ST_OK;
}

static void start_iteration(virtual_device *d) {
    double s = iteration_s(d, &d->shape);
    if (d->computes) {
        s = noisy(d, s, STREAM_ITERATION, d->n_iterations++);
        d->compute_ns += to_ns(s);
    }
    if (d->n_done == 0) {
        s += d->ordered_copy_s;
        d->ordered_s += d->ordered_copy_s;
    }
    d->iteration_end_ns = d->now_ns + to_ns(s);
    d->running = true;
}

static bool copy_ends_by(virtual_device *d, int64_t until_ns, completion *out) {
    int64_t next_ns = copy_link_next_ns(&d->link);
    copy_job job;
    if (next_ns > until_ns || next_ns == INT64_MAX) return false;
    if (!copy_link_advance(&d->link, next_ns, &job)) return false;
    d->now_ns = next_ns;
    *out = (completion){.kind = COMPLETION_COPY,
                        .now_ns = next_ns,
                        .copy_id = job.id,
                        .copy_s = (double)(next_ns - job.started_ns) * 1e-9};
    return true;
}

/* The iteration at hand is over: one token for each decode. True if the plan is over, too. */
static bool end_iteration(virtual_device *d, int64_t until_ns) {
    d->now_ns = d->iteration_end_ns;
    d->running = false;
    d->end_ns[d->n_done++] = d->now_ns;
    finish_wheel_collect(&d->wheel, d->plan, d->n_done);
    if (d->plan->runs_cohort) {
        d->shape.decode_kv_tokens += d->plan->decodes->n;
        d->shape.decode_kv_max++;
    }
    return d->wheel.n_finished > 0 || d->stop_here || d->n_done == d->plan->horizon ||
           d->now_ns >= until_ns;
}

static void report_compute(virtual_device *d, completion *out) {
    d->plan = NULL;
    *out = (completion){.kind = COMPLETION_COMPUTE,
                        .now_ns = d->now_ns,
                        .start_ns = d->start_ns,
                        .end_ns = d->end_ns,
                        .n_iterations = d->n_done,
                        .finished = d->wheel.finished,
                        .n_finished = d->wheel.n_finished,
                        .ordered_copy_s = d->ordered_copy_s,
                        .recompute_s = d->recompute_s};
}

static status next(void *context, int64_t until_ns, completion *out, errbuf *err) {
    virtual_device *d = context;
    (void)err;
    if (!d->plan) {
        if (copy_ends_by(d, until_ns, out)) return ST_OK;
        if (until_ns > d->now_ns) d->now_ns = until_ns;
        *out = (completion){.kind = COMPLETION_NONE, .now_ns = d->now_ns};
        return ST_OK;
    }
    for (;;) {
        if (!d->running) start_iteration(d);
        if (copy_ends_by(d, d->iteration_end_ns, out)) {
            d->stop_here = true;
            return ST_OK;
        }
        if (!end_iteration(d, until_ns)) continue;
        report_compute(d, out);
        return ST_OK;
    }
}

static int64_t now_ns(void *context) {
    return ((virtual_device *)context)->now_ns;
}

static void usage(void *context, executor_usage *out) {
    const virtual_device *d = context;
    *out = (executor_usage){.compute_s = (double)d->compute_ns * 1e-9,
                            .link_s = d->ordered_s + d->link.busy_s};
}

static void destroy(void *context) {
    virtual_device *d = context;
    copy_link_finish(&d->link);
    finish_wheel_finish(&d->wheel);
    free(d);
}

status virtual_device_create(executor *out, const virtual_device_config *config, errbuf *err) {
    if (!(config->noise >= 0 && config->noise <= 0.2))
        return fail(err, ST_INVALID, "noise %g is not in [0, 0.2]", config->noise);
    if (!(config->slowdown > -0.99 && config->slowdown < 100 && config->slow_from_s >= 0))
        return fail(err, ST_INVALID, "times %g times as long from %g s on: must be 0.01 to 100",
                    1 + config->slowdown, config->slow_from_s);
    if (!(config->block_bytes > 0) || config->n_layers == 0)
        return fail(err, ST_INVALID, "a KV block of %g bytes in %u layers", config->block_bytes,
                    config->n_layers);
    virtual_device *d = calloc(1, sizeof(*d));
    if (!d) return fail(err, ST_NO_MEMORY, "out of memory for the virtual device");
    d->config = *config;
    d->slow_from_ns =
        config->slow_from_s < 9e9 ? (int64_t)(config->slow_from_s * 1e9) : INT64_MAX;
    copy_link_init(&d->link, config->latency.copy_slowdown(config->latency.context));
    finish_wheel_init(&d->wheel);
    *out = (executor){.admit = admit,
                      .submit = submit,
                      .next = next,
                      .now_ns = now_ns,
                      .usage = usage,
                      .destroy = destroy,
                      .context = d};
    return ST_OK;
}
