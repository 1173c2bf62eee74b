#include "sim_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "plain_costs.h"
#include "virtual_device.h"

typedef struct rig {
    const sim_case *c;
    sim_outcome *out;
    scheduler *scheduler;
    executor device;
    plain_costs constants;
    cost_model costs;
    solo_times *solo;
    metrics *metrics;
    uint32_t next; /* of the requests */
    FILE *log;
} rig;

static double iteration_s(void *context, const batch_shape *b) {
    const plain_latency *l = context;
    return l->iteration_s + l->token_s * b->n_tokens +
           l->kv_token_s * (double)b->decode_kv_tokens + l->pair_s * (double)b->prefill_pairs +
           l->sampled_s * b->n_sampled;
}

static double copy_s(void *context, link_direction direction, double n_bytes,
                     uint32_t n_segments, bool beside_compute) {
    const plain_latency *l = context;
    (void)direction, (void)beside_compute;
    return l->byte_s * n_bytes + l->segment_s * n_segments;
}

static double copy_slowdown(void *context) {
    return ((const plain_latency *)context)->copy_slowdown;
}

static void keep(void *context) {
    (void)context;
}

latency_source plain_latency_source(const plain_latency *constants) {
    return (latency_source){.iteration_s = iteration_s,
                            .copy_s = copy_s,
                            .copy_slowdown = copy_slowdown,
                            .destroy = keep,
                            .context = (void *)constants};
}

/* A test cannot go on without. */
static void must(status st, const errbuf *err) {
    if (st == ST_OK) return;
    fprintf(stderr, "%s: %s\n", status_text(st), err->text);
    abort();
}

sim_case sim_case_defaults(const char *policy_text) {
    sim_case c = {.config = scheduler_config_defaults(),
                  .latency = {.iteration_s = 1e-3,
                              .token_s = 1e-5,
                              .kv_token_s = 1e-7,
                              .pair_s = 1e-8,
                              .byte_s = 1e-9,
                              .segment_s = 1e-5,
                              .copy_slowdown = 1.5},
                  .spread = 0.05,
                  .seed = 1,
                  .block_bytes = 1e6,
                  .n_layers = 2};
    errbuf err = {0};
    must(policy_parse(&c.config.policy, policy_text, &err), &err);
    return c;
}

static status next_request(void *context, request *out, uint32_t *n_output, errbuf *err) {
    rig *r = context;
    (void)err;
    if (r->next == r->c->n_requests) return ST_END;
    *out = r->c->requests[r->next];
    *n_output = r->c->n_outputs[r->next];
    r->next++;
    return ST_OK;
}

static void on_planned(void *context, const plan *p, int64_t now_ns) {
    (void)now_ns;
    metrics_planned(((rig *)context)->metrics, p);
}

/* One line per iteration, whatever the horizon; copies of a plan go before its first. */
static void on_iterated(void *context, const iteration_span *span) {
    rig *r = context;
    const completion *c = span->completion;
    const plan *p = span->plan;
    metrics_iterated(r->metrics, span);
    if (r->c->watch) r->c->watch(r->c->watch_context, span);
    if (!r->log) return;
    for (uint32_t i = 0; i < p->n_copies; i++)
        fprintf(r->log, "copy %" PRIu64 " of slot %" PRIu32 " way %d blocks %" PRIu32 "\n",
                p->copies[i].id, p->copies[i].seq, (int)p->copies[i].direction,
                p->copies[i].n_pairs);
    for (uint32_t i = 0; i < p->n_pairs; i++)
        fprintf(r->log, "pair %" PRIu32 " %" PRIu32 "\n", p->pairs[i].device, p->pairs[i].host);
    for (uint32_t i = 0; i < p->n_preempted; i++)
        fprintf(r->log, "preempted slot %" PRIu32 "\n", p->preempted[i]);
    for (uint32_t i = 0; i < p->n_chunks; i++)
        fprintf(r->log, "chunk of slot %" PRIu32 " from %" PRIu32 " tokens %" PRIu32 "\n",
                p->chunks[i].seq, p->chunks[i].n_before, p->chunks[i].n_tokens);
    for (uint32_t i = 0; i < c->n_iterations; i++)
        fprintf(r->log,
                "ends %" PRId64 " tokens %" PRIu32 " waiting %" PRIu32 " running %" PRIu32
                " swapped %" PRIu32 " free %" PRIu32 " host %" PRIu32 "\n",
                c->end_ns[i], p->n_tokens, span->n_waiting, span->n_running, span->n_swapped,
                span->n_free_device[i], span->n_free_host[i]);
}

static void on_ended(void *context, const sequence *s, request_outcome outcome,
                     int64_t now_ns) {
    rig *r = context;
    errbuf err = {0};
    must(metrics_ended(r->metrics, &r->out->requests[s->req.id], s, outcome, now_ns), &err);
    r->out->n_ended++;
    if (!r->log) return;
    fprintf(r->log,
            "request %" PRIu64 " outcome %d at %" PRId64 " first %" PRId64 " token %" PRId64
            " last %" PRId64 " outputs %" PRIu32 " preempted %" PRIu32 "\n",
            s->req.id, (int)outcome, now_ns, s->first_scheduled_ns, s->first_token_ns,
            s->last_token_ns, s->n_output, s->n_preemptions);
}

static status on_checked(void *context, errbuf *err) {
    rig *r = context;
    return r->c->checks ? scheduler_check(r->scheduler, err) : ST_OK;
}

static void set_up(rig *r) {
    const sim_case *c = r->c;
    errbuf err = {0};
    virtual_device_config device = {.latency = plain_latency_source(&c->latency),
                                    .noise = c->noise,
                                    .seed = c->seed,
                                    .block_bytes = c->block_bytes,
                                    .n_layers = c->n_layers};
    scheduler_config config = c->config;
    r->constants = (plain_costs){c->latency, c->block_bytes, c->spread};
    r->costs = plain_cost_model(&r->constants);
    if (!config.costs) config.costs = &r->costs;
    must(scheduler_create(&r->scheduler, &config, &err), &err);
    must(virtual_device_create(&r->device, &device, &err), &err);
    must(solo_times_create(&r->solo, &device.latency, c->config.max_batched_tokens), &err);
    must(metrics_create(&r->metrics, r->solo, &c->slo, scheduler_n_free_device(r->scheduler)),
         &err);
    r->out->requests = calloc(c->n_requests + 1, sizeof(*r->out->requests));
    size_t size;
    if (c->keeps_log) r->log = open_memstream(&r->out->log, &size);
    must(r->out->requests && (r->log || !c->keeps_log) ? ST_OK : ST_NO_MEMORY, &err);
    for (uint32_t i = 0; i < c->n_requests; i++)
        r->out->requests[i].outcome = REQUEST_UNFINISHED;
}

static void tear_down(rig *r) {
    errbuf err = {0};
    if (r->log && fclose(r->log) != 0) must(ST_NO_MEMORY, &err);
    metrics_destroy(r->metrics);
    solo_times_destroy(r->solo);
    r->device.destroy(r->device.context);
    scheduler_destroy(r->scheduler);
}

/* Copies may outlive the last request; what they hold is not lost. */
static void drain(rig *r) {
    const plan *p;
    completion c = {0};
    errbuf err = {0};
    while (scheduler_n_copies_in_flight(r->scheduler) > 0) {
        int64_t now_ns = r->device.now_ns(r->device.context);
        must(scheduler_schedule(r->scheduler, &p, now_ns, &err), &err);
        if (plan_has_work(p)) must(r->device.submit(r->device.context, p, &err), &err);
        must(r->device.next(r->device.context, INT64_MAX, &c, &err), &err);
        scheduler_copy_done(r->scheduler, c.copy_id);
    }
}

sim_outcome sim_run(const sim_case *c) {
    sim_outcome out = {0};
    rig r = {.c = c, .out = &out};
    set_up(&r);
    uint32_t n_device = scheduler_n_free_device(r.scheduler);
    uint32_t n_host = scheduler_n_free_host(r.scheduler);
    request_source source = {next_request, &r};
    const serve_observer watch = {.planned = on_planned,
                                  .iterated = on_iterated,
                                  .ended = on_ended,
                                  .checked = on_checked,
                                  .context = &r};
    out.result = serve(r.scheduler, &r.device, &source, &watch, &out.err);
    if (r.log) fprintf(r.log, "result %d %s\n", (int)out.result, out.err.text);
    executor_usage usage;
    r.device.usage(r.device.context, &usage);
    metrics_figures(r.metrics, &out.figures, &usage, scheduler_n_hit_tokens(r.scheduler), 0);
    if (out.result == ST_OK) drain(&r);
    out.n_used_device = n_device - scheduler_n_free_device(r.scheduler);
    out.n_used_host = n_host - scheduler_n_free_host(r.scheduler);
    tear_down(&r);
    return out;
}

void sim_outcome_finish(sim_outcome *o) {
    free(o->requests);
    free(o->log);
    *o = (sim_outcome){0};
}
