#include "run.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build_commit.h"
#include "interrupt.h"
#include "iteration_log.h"
#include "machine.h"
#include "output_log.h"
#include "progress.h"
#include "run_belief.h"
#include "run_json.h"
#include "run_setup.h"
#include "store.h"
#include "timeline.h"

struct run {
    run_settings settings;
    run_setup setup;
    trace *trace;
    scheduler *scheduler;
    executor executor;
    solo_times *solo;
    metrics *metrics;
    belief *belief; /* NULL: no fits were given */
    belief *still;  /* the same, which learns nothing from the run */
    run_figures figures;
    char *settings_json, *policy_text, *machine_json;

    store *store; /* and what follows: NULL where not asked for */
    run_info info;
    store_run *stored;
    iteration_log *log;
    output_log *outputs;
    step_log *steps;
    timeline *timeline;
    copy_ledger copies;
    cut_outputs cut;
    progress bar;
    status watch_status; /* first failure of a watcher; its message is in watch_err */
    errbuf watch_err;
    double wall_s;
    double host_step_s; /* of the host for a plan that computes, mean; NAN: no real time */
};

run_settings run_settings_defaults(void) {
    return (run_settings){.trace = trace_options_defaults(),
                          .backend = "sim",
                          .device = "h200",
                          .model = "llama-3-8b",
                          .policy = "vllm-v1",
                          .latency = "analytic",
                          .tp = 1,
                          .block_size = 16,
                          .max_seqs = 256,
                          .top_p = 1,
                          .results_wait_s = 60,
                          .keep_requests = STORE_KEEP_REQUESTS};
}

static status open_outputs(run *r, errbuf *err) {
    const run_settings *o = &r->settings;
    if (o->results) {
        TRY(store_open(&r->store, o->results, DATABASE_CREATE, err));
        r->info =
            (run_info){.commit_hash = strcmp(BUILD_COMMIT, "unknown") ? BUILD_COMMIT : NULL,
                       .machine = r->machine_json,
                       .seed = o->trace.seed,
                       .label = o->label,
                       .trace = o->trace.file ? o->trace.file : o->trace.workload,
                       .backend = o->backend,
                       .device = r->setup.device->name,
                       .model = r->setup.model->name,
                       .policy = r->policy_text,
                       .settings = r->settings_json};
        TRY(store_begin_run(r->store, &r->stored, &r->info, o->keep_requests, err));
    }
    if (o->log) TRY(iteration_log_open(&r->log, o->log, err));
    if (o->timeline) TRY(timeline_open(&r->timeline, o->timeline, err));
    return ST_OK;
}

/* A fair share among one is nothing. */
static void warn_of_clients(const run *r) {
    const run_settings *o = &r->settings;
    if (policy_uses_clients(&r->setup.config.policy) && !trace_has_clients(r->trace))
        fprintf(
            stderr,
            "adaptivellm replay: policy %s shares between clients, but %s has no client ids "
            "that differ: all requests count as one client\n",
            r->policy_text, o->trace.file ? o->trace.file : o->trace.workload);
}

static status watch_steps(run *r, errbuf *err) {
    TRY(step_log_open(&r->steps, r->settings.step_times, err));
    return step_log_watch(r->steps, &r->executor, err);
}

/* From the simulated device's own times, else from the fits of a real one, else not known. */
static status make_solo(run *r) {
    latency_source latency = r->setup.latency;
    if (!latency.iteration_s && !r->still) return ST_OK;
    if (!latency.iteration_s) latency = run_belief_latency(r->still);
    return solo_times_create(&r->solo, &latency, r->setup.config.max_batched_tokens);
}

static status build(run *r, errbuf *err) {
    const run_settings *o = &r->settings;
    TRY(run_setup_init(&r->setup, o, err));
    const scheduler_config *c = &r->setup.config;
    TRY(trace_open(&r->trace, &o->trace, err));
    TRY(run_belief_open(&r->belief, &r->still, &r->setup, o, err));
    r->setup.config.costs = r->belief ? belief_costs(r->belief) : NULL;
    if (o->outputs) TRY(output_log_open(&r->outputs, o->outputs, err));
    r->setup.outputs = r->outputs;
    TRY(run_setup_serving(&r->scheduler, &r->executor, &r->setup, o, err));
    if (o->step_times && strcmp(o->backend, "sim") != 0) TRY(watch_steps(r, err));
    r->settings_json = run_setup_json(&r->setup, o);
    r->policy_text = run_setup_policy_text(&c->policy);
    r->machine_json = machine_describe();
    if (!r->settings_json || !r->policy_text || !r->machine_json || make_solo(r) != ST_OK ||
        metrics_create(&r->metrics, r->solo, &r->setup.slo,
                       scheduler_n_free_device(r->scheduler)) != ST_OK)
        return fail(err, ST_NO_MEMORY, "out of memory");
    warn_of_clients(r);
    return open_outputs(r, err);
}

status run_create(run **out, const run_settings *settings, errbuf *err) {
    run *r = calloc(1, sizeof(*r));
    if (!r) return fail(err, ST_NO_MEMORY, "out of memory");
    r->settings = *settings;
    status st = build(r, err);
    if (st != ST_OK) {
        run_destroy(r);
        return st;
    }
    *out = r;
    return ST_OK;
}

void run_destroy(run *r) {
    if (!r) return;
    errbuf ignored;
    status st = iteration_log_close(r->log, &ignored);
    st = timeline_close(r->timeline, &ignored);
    st = output_log_close(r->outputs, &ignored);
    st = step_log_close(r->steps, &ignored);
    (void)st; /* run_store closes them with their errors; here the run has failed before */
    store_discard_run(r->stored);
    store_close(r->store);
    belief_destroy(r->belief);
    belief_destroy(r->still);
    copy_ledger_finish(&r->copies);
    metrics_destroy(r->metrics);
    solo_times_destroy(r->solo);
    if (r->executor.destroy) r->executor.destroy(r->executor.context);
    scheduler_destroy(r->scheduler);
    trace_close(r->trace);
    run_setup_finish(&r->setup);
    free(r->settings_json);
    free(r->policy_text);
    free(r->machine_json);
    free(r);
}

/* Keeps the first failure of a watcher; the run ends with it at the next look. */
static void keep_failure(run *r, status st, const char *message) {
    if (st == ST_OK || r->watch_status != ST_OK) return;
    r->watch_status = st;
    if (message != r->watch_err.text) fail(&r->watch_err, st, "%s", message);
}

static void sample(run *r, const iteration_span *span) {
    const uint32_t n_total = r->setup.config.n_device_blocks;
    sample_row row = {.t_s = (double)span->completion->start_ns * 1e-9,
                      .n_running = span->n_running,
                      .n_waiting = span->n_waiting,
                      .n_swapped = span->n_swapped,
                      .kv_used_blocks = n_total - span->n_free_device[0],
                      .kv_total_blocks = n_total};
    errbuf err = {0};
    keep_failure(r, store_add_sample(r->stored, &row, &err), err.text);
}

static void on_planned(void *context, const plan *p, int64_t now_ns) {
    run *r = context;
    uint32_t i;
    metrics_planned(r->metrics, p);
    status st = copy_ledger_submitted(&r->copies, &i, p, r->setup.model->n_layers, now_ns);
    keep_failure(r, st, status_text(st));
    for (; r->belief && i < r->copies.n; i++)
        r->copies.copies[i].predicted_s = belief_predict_copy(r->belief, &r->copies.copies[i]);
}

static void on_iterated(void *context, const iteration_span *span) {
    run *r = context;
    metrics_iterated(r->metrics, span);
    if (r->belief) belief_iterated(r->belief, span);
    if (r->stored) sample(r, span);
    if (r->log) iteration_log_write(r->log, span);
    if (r->timeline) timeline_iterated(r->timeline, span);
}

static void on_ended(void *context, const sequence *s, request_outcome outcome,
                     int64_t now_ns) {
    run *r = context;
    request_result q;
    if (r->steps && r->settings.eos && outcome == REQUEST_FINISHED)
        step_log_ended(r->steps, s->req.id, s->n_output);
    status st = metrics_ended(r->metrics, &q, s, outcome, now_ns);
    keep_failure(r, st, status_text(st));
    if (!r->stored || st != ST_OK) return;
    request_row row = {.request_id = q.id,
                       .arrival_s = q.arrival_s,
                       .first_scheduled_s = q.first_scheduled_s,
                       .first_token_s = q.first_token_s,
                       .finish_s = outcome == REQUEST_FINISHED ? q.finish_s : NAN,
                       .solo_s = q.solo_s,
                       .n_prompt = q.n_prompt,
                       .n_output = q.n_output,
                       .n_preemptions = q.n_preemptions,
                       .outcome = outcome};
    errbuf err = {0};
    keep_failure(r, store_add_request(r->stored, &row, &err), err.text);
}

static void on_copied(void *context, const completion *c) {
    run *r = context;
    copy_in_flight copy;
    double busy_share;
    metrics_copied(r->metrics, c->now_ns);
    if (!copy_ledger_completed(&r->copies, &copy, &busy_share, c->copy_id, c->now_ns)) return;
    if (r->belief)
        belief_copied(r->belief, &copy, busy_share, c->copy_s, (double)c->now_ns * 1e-9);
    if (r->timeline) timeline_copied(r->timeline, &copy, c);
}

static status on_checked(void *context, errbuf *err) {
    run *r = context;
    progress_update(&r->bar, metrics_n_ended(r->metrics));
    if (interrupt_came()) return fail(err, ST_INTERRUPTED, "interrupted");
    if (r->watch_status != ST_OK) return fail(err, r->watch_status, "%s", r->watch_err.text);
    return ST_OK;
}

static void book_figures(run *r) {
    executor_usage usage;
    r->executor.usage(r->executor.context, &usage);
    r->host_step_s = usage.n_submitted > 0 ? usage.host_s / (double)usage.n_submitted : NAN;
    metrics_figures(r->metrics, &r->figures, &usage, scheduler_n_hit_tokens(r->scheduler),
                    r->wall_s);
    if (r->belief) belief_figures(r->belief, &r->figures);
    /* What a recompute really added is known in a simulation alone; elsewhere the estimate is
     * the belief's own. */
    if (!r->setup.latency.iteration_s) r->figures.known[FIG_predictor_mape_recompute] = false;
}

static void store_unfinished(run *r, const sequence *s) {
    request_row row = {.request_id = s->req.id,
                       .arrival_s = (double)s->req.arrival_ns * 1e-9,
                       .first_scheduled_s =
                           s->has_run ? (double)s->first_scheduled_ns * 1e-9 : NAN,
                       .first_token_s = s->n_output ? (double)s->first_token_ns * 1e-9 : NAN,
                       .finish_s = NAN,
                       .solo_s = NAN,
                       .n_prompt = s->req.n_prompt,
                       .n_output = s->n_output,
                       .n_preemptions = s->n_preemptions,
                       .outcome = REQUEST_UNFINISHED};
    errbuf err = {0};
    keep_failure(r, store_add_request(r->stored, &row, &err), err.text);
}

/* Requests that had arrived when the run stopped early count, too. */
static void keep_unfinished(run *r) {
    const sequence_table *t = scheduler_table(r->scheduler);
    for (uint32_t id = 0; id < t->n_touched; id++) {
        if (t->seqs[id].state == SEQ_UNUSED) continue;
        metrics_unfinished(r->metrics, &t->seqs[id]);
        if (r->stored) store_unfinished(r, &t->seqs[id]);
    }
}

status run_execute(run *r, errbuf *err) {
    interrupt signals;
    interrupt_begin(&signals);
    const serve_observer watch = {.planned = on_planned,
                                  .iterated = on_iterated,
                                  .ended = on_ended,
                                  .copied = on_copied,
                                  .checked = on_checked,
                                  .context = r};
    request_source source = cut_outputs_count(&r->cut, trace_requests(r->trace), r->scheduler);
    r->bar = progress_start(trace_n_requests(r->trace), "requests", r->settings.quiet);
    double started_s = monotonic_s();
    status st = serve(r->scheduler, &r->executor, &source, &watch, err);
    r->wall_s = monotonic_s() - started_s;
    progress_end(&r->bar);
    interrupt_end(&signals);
    if (st != ST_OK) keep_unfinished(r);
    book_figures(r);
    return st;
}

static run_outcome outcome_of(status result) {
    switch (result) {
    case ST_OK:
        return RUN_FINISHED;
    case ST_ABORTED:
        return RUN_ABORTED;
    case ST_STUCK:
        return RUN_STUCK;
    case ST_INTERRUPTED:
        return RUN_INTERRUPTED;
    default:
        return RUN_FAILED;
    }
}

static status write_json(const run *r, status result, const char *message, errbuf *err) {
    const run_json j = {.figures = &r->figures,
                        .cut = &r->cut,
                        .belief = r->belief,
                        .n_skipped_lines = trace_n_bad(r->trace),
                        .host_step_s = r->host_step_s,
                        .settings = r->settings_json,
                        .result = result,
                        .message = message};
    return run_json_write(&j, r->settings.json, err);
}

/* All of them; the first error is told. */
static status close_logs(run *r, errbuf *err) {
    status all[] = {ST_OK, ST_OK, ST_OK, ST_OK};
    errbuf why[4] = {{{0}}};
    all[0] = iteration_log_close(r->log, &why[0]);
    all[1] = timeline_close(r->timeline, &why[1]);
    all[2] = output_log_close(r->outputs, &why[2]);
    all[3] = step_log_close(r->steps, &why[3]);
    r->log = NULL;
    r->timeline = NULL;
    r->outputs = NULL;
    r->steps = NULL;
    for (int i = 0; i < 4; i++)
        if (all[i] != ST_OK) return fail(err, all[i], "%s", why[i].text);
    return ST_OK;
}

/* Another program may hold the database. The run may have taken an hour, so it waits longer
 * than others do, and says so. */
static status commit_run(run *r, int64_t *run_id, status result, const char *message,
                         errbuf *err) {
    static const double quiet_s = 5;
    const run_settings *o = &r->settings;
    bool is_long = o->results_wait_s > quiet_s;
    store_set_busy_timeout(r->store, is_long ? quiet_s : o->results_wait_s);
    status st =
        store_commit_run(r->stored, run_id, &r->figures, outcome_of(result), message, err);
    if (st == ST_BUSY && is_long) {
        fprintf(stderr,
                "adaptivellm replay: %s is in use by another program: waiting %g s for it to "
                "store the run\n",
                o->results, o->results_wait_s);
        store_set_busy_timeout(r->store, o->results_wait_s);
        st = store_commit_run(r->stored, run_id, &r->figures, outcome_of(result), message, err);
    }
    if (st == ST_OK) r->stored = NULL;
    return st;
}

/* The files come first: they are written even if the database cannot be, and before the wait
 * for it. */
status run_store(run *r, int64_t *run_id, status result, const char *message, errbuf *err) {
    *run_id = 0;
    errbuf json_err = {0}, commit_err = {0};
    status logs = close_logs(r, err);
    status json = r->settings.json ? write_json(r, result, message, &json_err) : ST_OK;
    status stored = r->stored ? commit_run(r, run_id, result, message, &commit_err) : ST_OK;
    /* Where the database failed, too, that is the greater loss. */
    if (stored != ST_OK) return fail(err, stored, "%s", commit_err.text);
    if (logs != ST_OK) return logs;
    return json == ST_OK ? ST_OK : fail(err, json, "%s", json_err.text);
}

const run_figures *run_get_figures(const run *r) {
    return &r->figures;
}

const belief *run_get_belief(const run *r) {
    return r->belief;
}

const cut_outputs *run_get_cut(const run *r) {
    return &r->cut;
}

uint32_t run_max_model_len(const run *r) {
    return r->setup.config.max_model_len;
}

/* The pool is as large as was asked for, even where a simulated device could not hold it. */
static bool is_overcommitted(const run *r, double kv_gib, double memory_gib) {
    double weights_gib = run_setup_weights_gib(&r->setup, r->settings.tp);
    return !r->setup.engine && kv_gib / r->settings.tp + weights_gib > memory_gib;
}

void run_describe(const run *r, char *buf, size_t size) {
    const scheduler_config *c = &r->setup.config;
    double gib = (double)r->setup.block_bytes * r->settings.tp / (1024.0 * 1024 * 1024);
    double memory_gib = r->setup.device->memory_bytes / (1024.0 * 1024 * 1024);
    int n = snprintf(
        buf, size,
        "%s on %u x %s, %s; KV %u blocks of %u tokens (%.1f GiB), host %u (%.1f GiB); "
        "at most %u sequences, %u tokens per iteration, %u per request",
        r->setup.model->name, r->settings.tp, r->setup.device->name, r->policy_text,
        c->n_device_blocks, c->block_tokens, c->n_device_blocks * gib, c->n_host_blocks,
        c->n_host_blocks * gib, c->max_seqs, c->max_batched_tokens, c->max_model_len);
    if (n > 0 && (size_t)n < size && is_overcommitted(r, c->n_device_blocks * gib, memory_gib))
        snprintf(
            buf + n, size - (size_t)n,
            "\nnote: %.1f GiB of weights and the KV are more than the %.1f GiB of the device",
            run_setup_weights_gib(&r->setup, r->settings.tp), memory_gib);
}
