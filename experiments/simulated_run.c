#include "validate.h"

#include <stdlib.h>

#include "run_setup.h"
#include "serve.h"

/* One replay at work. */
typedef struct replay {
    simulated_run run;
    const measured_run *measured;
    size_t next;           /* request to arrive */
    uint32_t n_output_max; /* declared by all: a policy does not see how long they will be */
    status watch_status;
} replay;

static int64_t to_ns(double seconds) {
    return (int64_t)(seconds * 1e9 + 0.5);
}

static status next_request(void *context, request *out, uint32_t *n_output, errbuf *err) {
    (void)err;
    replay *r = context;
    if (r->next == r->measured->n) return ST_END;
    const measured_request *q = &r->measured->requests[r->next];
    *out = (request){.id = r->next++,
                     .arrival_ns = to_ns(q->arrival_s),
                     .n_prompt = q->n_prompt,
                     .n_output_max = r->n_output_max};
    *n_output = q->n_output;
    return ST_OK;
}

static status add_tick(simulated_run *to, simulated_tick tick) {
    if (to->n_ticks == to->ticks_capacity) {
        size_t capacity = to->ticks_capacity ? 2 * to->ticks_capacity : 1024;
        simulated_tick *ticks = realloc(to->ticks, capacity * sizeof(*ticks));
        if (!ticks) return ST_NO_MEMORY;
        to->ticks = ticks;
        to->ticks_capacity = capacity;
    }
    to->ticks[to->n_ticks++] = tick;
    return ST_OK;
}

/* As the server counts: those who finished with an iteration are gone after it. */
static void on_iterated(void *context, const iteration_span *span) {
    replay *r = context;
    const completion *c = span->completion;
    for (uint32_t i = 0; i < c->n_iterations && r->watch_status == ST_OK; i++) {
        uint32_t n_gone = i + 1 == c->n_iterations ? c->n_finished : 0;
        r->watch_status =
            add_tick(&r->run, (simulated_tick){(double)c->end_ns[i] * 1e-9,
                                               span->n_running - n_gone, span->n_waiting});
    }
}

static void on_ended(void *context, const sequence *s, request_outcome outcome,
                     int64_t now_ns) {
    replay *r = context;
    if (outcome != REQUEST_FINISHED) {
        r->watch_status = ST_INVALID;
        return;
    }
    r->run.ttft_s[s->req.id] = (double)(s->first_token_ns - s->req.arrival_ns) * 1e-9;
    r->run.e2e_s[s->req.id] = (double)(now_ns - s->req.arrival_ns) * 1e-9;
}

static status on_checked(void *context, errbuf *err) {
    const replay *r = context;
    if (r->watch_status == ST_INVALID)
        return fail(err, ST_INVALID,
                    "a request is longer than the model or the KV pool allows; raise "
                    "--max-model-len or --kv-blocks");
    if (r->watch_status != ST_OK) return fail(err, r->watch_status, "out of memory");
    return ST_OK;
}

static status serve_all(replay *r, scheduler *s, executor *device, errbuf *err) {
    const serve_observer watch = {
        .iterated = on_iterated, .ended = on_ended, .checked = on_checked, .context = r};
    request_source source = {next_request, r};
    TRY(serve(s, device, &source, &watch, err));
    return on_checked(r, err); /* the last one may have been turned away */
}

static status run_replay(replay *r, const run_setup *setup, const run_settings *settings,
                         errbuf *err) {
    scheduler *s = NULL;
    executor device = {0};
    status st = run_setup_serving(&s, &device, setup, settings, err);
    if (st == ST_OK) st = serve_all(r, s, &device, err);
    if (device.destroy) device.destroy(device.context);
    scheduler_destroy(s);
    return st;
}

status simulated_run_make(simulated_run *out, const measured_run *measured,
                          const run_settings *settings, errbuf *err) {
    run_setup setup;
    TRY(run_setup_init(&setup, settings, err));
    replay r = {.measured = measured, .n_output_max = setup.config.max_model_len};
    r.run.n = measured->n;
    r.run.ttft_s = calloc(measured->n, sizeof(*r.run.ttft_s));
    r.run.e2e_s = calloc(measured->n, sizeof(*r.run.e2e_s));
    status st = r.run.ttft_s && r.run.e2e_s ? run_replay(&r, &setup, settings, err)
                                            : fail(err, ST_NO_MEMORY, "out of memory");
    run_setup_finish(&setup);
    if (st == ST_OK)
        *out = r.run;
    else
        simulated_run_finish(&r.run);
    return st;
}

void simulated_run_finish(simulated_run *s) {
    free(s->ttft_s);
    free(s->e2e_s);
    free(s->ticks);
    *s = (simulated_run){0};
}
