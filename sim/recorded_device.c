#include "recorded_device.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "finish_wheel.h"

typedef struct recorded_device {
    recorded_times times;
    finish_wheel wheel;
    int64_t now_ns;
    size_t next_iteration, next_copy; /* that did not end yet */
    uint64_t *flying; /* [n_flying] asynchronous copies submitted that did not end */
    uint32_t n_flying, flying_capacity;

    const plan *plan; /* outstanding, or NULL */
    bool stop_here;   /* the horizon ends with this iteration */
    int64_t start_ns;
    size_t first_iteration; /* of the plan */
    uint32_t n_done;        /* of the plan */
    int64_t end_ns[HORIZON_MAX];
} recorded_device;

static int by_request(const void *key, const void *row) {
    uint64_t a = *(const uint64_t *)key, b = ((const recorded_output *)row)->request_id;
    return (a > b) - (a < b);
}

static status admit(void *context, const sequence_table *seqs, uint32_t seq,
                    uint32_t n_output) {
    recorded_device *d = context;
    const recorded_output *o = NULL;
    if (d->times.n_outputs > 0)
        o = bsearch(&seqs->seqs[seq].req.id, d->times.outputs, d->times.n_outputs, sizeof(*o),
                    by_request);
    return finish_wheel_admit(&d->wheel, seq, o ? o->n_output : n_output);
}

static status add_flying(recorded_device *d, uint64_t id) {
    if (d->n_flying == d->flying_capacity) {
        uint32_t capacity = d->flying_capacity ? 2 * d->flying_capacity : 16;
        uint64_t *flying = realloc(d->flying, capacity * sizeof(*flying));
        if (!flying) return ST_NO_MEMORY;
        d->flying = flying;
        d->flying_capacity = capacity;
    }
    d->flying[d->n_flying++] = id;
    return ST_OK;
}

/* Takes a copy off the list; false: it is not there. */
static bool drop_flying(recorded_device *d, uint64_t id) {
    for (uint32_t i = 0; i < d->n_flying; i++) {
        if (d->flying[i] != id) continue;
        d->flying[i] = d->flying[--d->n_flying];
        return true;
    }
    return false;
}

static status submit(void *context, const plan *p, errbuf *err) {
    recorded_device *d = context;
    assert(!d->plan);
    assert(p->horizon >= 1 && p->horizon <= HORIZON_MAX);
    for (uint32_t i = 0; i < p->n_copies; i++)
        if (!p->copies[i].ordered && add_flying(d, p->copies[i].id) != ST_OK)
            return fail(err, ST_NO_MEMORY, "out of memory for copies in flight");
    if (p->runs_cohort)
        for (uint32_t i = 0; i < p->decodes->n_joined; i++)
            finish_wheel_join(&d->wheel, p->seqs, p->decodes->joined[i]);
    d->plan = plan_occupies_compute(p) ? p : NULL;
    d->stop_here = false;
    d->start_ns = d->now_ns;
    d->first_iteration = d->next_iteration;
    d->n_done = 0;
    return ST_OK;
}

static bool copy_ends_by(const recorded_device *d, int64_t until_ns) {
    return d->n_flying > 0 && d->next_copy < d->times.n_copies &&
           d->times.copies[d->next_copy].end_ns <= until_ns;
}

static status report_copy(recorded_device *d, completion *out, errbuf *err) {
    const recorded_copy *c = &d->times.copies[d->next_copy++];
    if (!drop_flying(d, c->id))
        return fail(err, ST_INVALID,
                    "the recorded times are not of this run: copy %llu ends at %.6f s and was "
                    "not started",
                    (unsigned long long)c->id, (double)c->end_ns * 1e-9);
    d->now_ns = c->end_ns;
    *out = (completion){
        .kind = COMPLETION_COPY, .now_ns = d->now_ns, .copy_id = c->id, .copy_s = c->copy_s};
    return ST_OK;
}

static void report_compute(recorded_device *d, completion *out) {
    const recorded_iteration *first = &d->times.iterations[d->first_iteration];
    d->plan = NULL;
    *out = (completion){.kind = COMPLETION_COMPUTE,
                        .now_ns = d->now_ns,
                        .start_ns = d->start_ns,
                        .end_ns = d->end_ns,
                        .n_iterations = d->n_done,
                        .finished = d->wheel.finished,
                        .n_finished = d->wheel.n_finished,
                        .ordered_copy_s = first->ordered_copy_s,
                        .recompute_s = first->recompute_s};
}

/* The iteration at hand is over. True if the plan is over, too. */
static bool end_iteration(recorded_device *d, int64_t until_ns) {
    d->now_ns = d->times.iterations[d->next_iteration++].end_ns;
    d->end_ns[d->n_done++] = d->now_ns;
    finish_wheel_collect(&d->wheel, d->plan, d->n_done);
    return d->wheel.n_finished > 0 || d->stop_here || d->n_done == d->plan->horizon ||
           d->now_ns >= until_ns;
}

static status is_recorded(const recorded_device *d, errbuf *err) {
    char why[96] = "no more were recorded";
    if (d->next_iteration < d->times.n_iterations) {
        const recorded_iteration *i = &d->times.iterations[d->next_iteration];
        if (i->end_ns > d->now_ns && i->n_tokens == d->plan->n_tokens) return ST_OK;
        snprintf(why, sizeof(why), "the recorded one is of %u and ends at %.6f s", i->n_tokens,
                 (double)i->end_ns * 1e-9);
    }
    return fail(err, ST_INVALID,
                "the recorded times are not of this run: at %.6f s it computes iteration %zu, "
                "of %u tokens, and %s",
                (double)d->now_ns * 1e-9, d->next_iteration, d->plan->n_tokens, why);
}

static status next(void *context, int64_t until_ns, completion *out, errbuf *err) {
    recorded_device *d = context;
    if (!d->plan) {
        if (copy_ends_by(d, until_ns)) return report_copy(d, out, err);
        if (until_ns == INT64_MAX)
            return fail(err, ST_INVALID,
                        "the recorded times are not of this run: %u copies of it never end",
                        d->n_flying);
        if (until_ns > d->now_ns) d->now_ns = until_ns;
        *out = (completion){.kind = COMPLETION_NONE, .now_ns = d->now_ns};
        return ST_OK;
    }
    for (;;) {
        TRY(is_recorded(d, err));
        if (copy_ends_by(d, d->times.iterations[d->next_iteration].end_ns)) {
            d->stop_here = true;
            return report_copy(d, out, err);
        }
        if (!end_iteration(d, until_ns)) continue;
        report_compute(d, out);
        return ST_OK;
    }
}

static int64_t now_ns(void *context) {
    return ((recorded_device *)context)->now_ns;
}

static void usage(void *context, executor_usage *out) {
    const recorded_device *d = context;
    *out = (executor_usage){.compute_s = d->times.compute_s, .link_s = d->times.link_s};
}

static void destroy(void *context) {
    recorded_device *d = context;
    finish_wheel_finish(&d->wheel);
    free(d->flying);
    free(d);
}

status recorded_device_create(executor *out, const recorded_times *times, errbuf *err) {
    recorded_device *d = calloc(1, sizeof(*d));
    if (!d) return fail(err, ST_NO_MEMORY, "out of memory for the recorded device");
    d->times = *times;
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
