#include "cpu_executor.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "arena.h"
#include "batch_outputs.h"
#include "compute_thread.h"
#include "copy_thread.h"
#include "cpu_picks.h"
#include "event_board.h"
#include "forward.h"

typedef struct cpu_executor {
    cpu_executor_config config;
    const model_config *shape;
    arena device, host;
    forward *forward;
    sampler *sampler;
    token_table tokens;
    batch_outputs outputs;
    event_board *board;
    copy_thread *copiers[N_LINK_DIRECTIONS];
    compute_thread *computer;
    int64_t now_ns; /* of the latest event */
    bool has_clock; /* it runs */

    const plan *plan; /* outstanding, or NULL */
    bool has_ordered; /* it has ordered copies */
    bool stop_here;   /* the horizon ends with this iteration */
    int64_t start_ns;
    int64_t end_ns[HORIZON_MAX];
    uint32_t n_done; /* iterations of the plan */
    double recompute_s;
    double compute_s; /* busy so far */
    double host_s;    /* as executor_usage has it */
    uint64_t n_submitted;

    /* The compute thread's while an iteration runs. */
    token_batch batch;
    cpu_picks picks;
    double pass_s, ordered_copy_s;
    bool no_number;
    uint64_t bad_request;
} cpu_executor;

cpu_executor_config cpu_executor_defaults(void) {
    return (cpu_executor_config){.common = engine_config_defaults()};
}

uint64_t cpu_executor_kv_bytes(const model_config *m, uint32_t block_tokens,
                               uint32_t n_device_blocks, uint32_t n_host_blocks) {
    size_t block_floats = forward_block_floats(m, block_tokens);
    return arena_bytes(n_device_blocks, block_floats) +
           arena_bytes(n_host_blocks, block_floats);
}

static int64_t now_ns(void *context) {
    cpu_executor *x = context;
    if (!x->has_clock) event_board_now_ns(x->board); /* it starts */
    x->has_clock = true;
    return x->now_ns;
}

/* ------------------------------------------------------------ the compute thread */

static void copy_ordered(cpu_executor *x) {
    const plan *p = x->plan;
    int64_t started_ns = event_board_now_ns(x->board);
    event_board_copy_starts(x->board);
    for (uint32_t i = 0; i < p->n_copies; i++)
        if (p->copies[i].ordered)
            copy_blocks(p->copies[i].direction, &x->device, &x->host,
                        p->pairs + p->copies[i].first_pair, p->copies[i].n_pairs);
    event_board_copy_ends(x->board);
    x->ordered_copy_s = (double)(event_board_now_ns(x->board) - started_ns) * 1e-9;
}

/* What ordered copies take off the device may make room for asynchronous ones. */
static void hold_copiers(cpu_executor *x, bool held) {
    for (int d = 0; d < N_LINK_DIRECTIONS; d++) copy_thread_hold(x->copiers[d], held);
}

/* One iteration: ordered copies, the pass, the picks. */
static void iterate(void *context) {
    cpu_executor *x = context;
    if (x->n_done == 0 && x->has_ordered) {
        copy_ordered(x);
        hold_copiers(x, false);
    }
    int64_t started_ns = event_board_now_ns(x->board);
    if (x->batch.n > 0) {
        forward_run(x->forward, x->device.floats, x->batch.chunks, x->batch.n, x->picks.logits);
        x->no_number = !cpu_picks_make(&x->picks, &x->batch, x->sampler,
                                       &x->config.common.sampling, &x->tokens, &x->bad_request);
    }
    x->pass_s = (double)(event_board_now_ns(x->board) - started_ns) * 1e-9;
    event_board_post(x->board, (board_event){.kind = BOARD_COMPUTE});
}

/* ------------------------------------------------------------ plans in */

static status admit(void *context, const sequence_table *seqs, uint32_t seq,
                    uint32_t n_output) {
    cpu_executor *x = context;
    const sequence *q = &seqs->seqs[seq];
    if (n_output > q->n_output_max) n_output = q->n_output_max;
    return token_table_admit(&x->tokens, &q->req, seq, n_output);
}

static status push_copies(cpu_executor *x, const plan *p, errbuf *err) {
    for (uint32_t i = 0; i < p->n_copies; i++) {
        const plan_copy *c = &p->copies[i];
        if (c->ordered) continue;
        status st = event_board_reserve(x->board);
        if (st == ST_OK)
            st = copy_thread_push(x->copiers[c->direction], c->id, p->pairs + c->first_pair,
                                  c->n_pairs);
        if (st != ST_OK) return fail(err, st, "out of memory for copies in flight");
    }
    return ST_OK;
}

static status load(cpu_executor *x, const plan *p, errbuf *err) {
    status st = token_batch_load(&x->batch, p, &x->tokens, x->config.common.n_device_blocks);
    if (st == ST_OK) st = cpu_picks_reserve(&x->picks, x->batch.n_sampling, x->tokens.vocab);
    if (st == ST_OK) st = batch_outputs_reserve(&x->outputs, x->batch.n);
    if (st != ST_OK) return fail(err, st, "out of memory for a batch");
    if (x->batch.n_tokens <= x->config.common.max_batched_tokens) return ST_OK;
    return fail(err, ST_INVALID, "an iteration of %u tokens, where at most %u were announced",
                x->batch.n_tokens, x->config.common.max_batched_tokens);
}

static status start_iteration(cpu_executor *x, errbuf *err) {
    if (event_board_reserve(x->board) != ST_OK)
        return fail(err, ST_NO_MEMORY, "out of memory for an event");
    compute_thread_start(x->computer);
    return ST_OK;
}

static status submit(void *context, const plan *p, errbuf *err) {
    cpu_executor *x = context;
    assert(!x->plan);
    assert(p->horizon >= 1 && p->horizon <= HORIZON_MAX);
    assert(p->horizon == 1 || p->n_chunks == 0);
    x->start_ns = now_ns(x);
    x->ordered_copy_s = 0;
    x->n_done = x->outputs.n_finished = 0;
    x->stop_here = false;
    if (!plan_occupies_compute(p)) return push_copies(x, p, err);
    TRY(load(x, p, err));
    x->recompute_s = batch_recompute_s(x->config.common.costs, p);
    x->has_ordered = plan_has_ordered_copies(p);
    if (x->has_ordered) hold_copiers(x, true);
    TRY(push_copies(x, p, err));
    x->plan = p;
    TRY(start_iteration(x, err));
    x->host_s += (double)(event_board_now_ns(x->board) - x->start_ns) * 1e-9;
    x->n_submitted++;
    return ST_OK;
}

/* ------------------------------------------------------------ completions out */

static status accept_all(cpu_executor *x, errbuf *err) {
    if (x->no_number)
        return fail(err, ST_FORMAT,
                    "the model gave a value that is no number for request %llu; its weights "
                    "may hold some: `adaptivellm models show DIR --check-weights` looks",
                    (unsigned long long)x->bad_request);
    batch_outputs_accept(&x->outputs, &x->tokens, &x->batch, x->picks.picked);
    return ST_OK;
}

/* The iteration at hand is over. True if the plan is over, too. */
static bool end_iteration(cpu_executor *x, int64_t until_ns) {
    x->end_ns[x->n_done++] = x->now_ns;
    x->compute_s += x->pass_s;
    return x->outputs.n_finished > 0 || x->stop_here || x->n_done == x->plan->horizon ||
           x->now_ns >= until_ns;
}

static void report_compute(cpu_executor *x, completion *out) {
    x->plan = NULL;
    *out = (completion){.kind = COMPLETION_COMPUTE,
                        .now_ns = x->now_ns,
                        .start_ns = x->start_ns,
                        .end_ns = x->end_ns,
                        .n_iterations = x->n_done,
                        .finished = x->outputs.finished,
                        .n_finished = x->outputs.n_finished,
                        .ordered_copy_s = x->ordered_copy_s,
                        .recompute_s = x->recompute_s};
}

static void report_copy(cpu_executor *x, const board_event *e, completion *out) {
    x->stop_here = x->plan != NULL;
    *out = (completion){.kind = COMPLETION_COPY,
                        .now_ns = x->now_ns,
                        .copy_id = e->copy_id,
                        .copy_s = e->copy_s};
}

static status next(void *context, int64_t until_ns, completion *out, errbuf *err) {
    cpu_executor *x = context;
    for (;;) {
        board_event e;
        if (!event_board_wait(x->board, &e, x->plan ? INT64_MAX : until_ns)) {
            if (until_ns > x->now_ns) x->now_ns = until_ns;
            *out = (completion){.kind = COMPLETION_NONE, .now_ns = x->now_ns};
            return ST_OK;
        }
        x->now_ns = e.at_ns;
        if (e.kind == BOARD_COPY) {
            report_copy(x, &e, out);
            return ST_OK;
        }
        TRY(accept_all(x, err));
        if (end_iteration(x, until_ns)) {
            report_compute(x, out);
            return ST_OK;
        }
        token_batch_advance(&x->batch);
        TRY(start_iteration(x, err));
    }
}

/* ------------------------------------------------------------ making and ending */

static void usage(void *context, executor_usage *out) {
    const cpu_executor *x = context;
    *out = (executor_usage){.compute_s = x->compute_s,
                            .link_s = event_board_copying_s(x->board),
                            .host_s = x->host_s,
                            .n_submitted = x->n_submitted};
}

/* Threads first: they use all else. */
static void destroy(void *context) {
    cpu_executor *x = context;
    compute_thread_destroy(x->computer);
    for (int d = 0; d < N_LINK_DIRECTIONS; d++) copy_thread_destroy(x->copiers[d]);
    event_board_destroy(x->board);
    forward_destroy(x->forward);
    sampler_destroy(x->sampler);
    token_batch_finish(&x->batch);
    cpu_picks_finish(&x->picks);
    token_table_finish(&x->tokens);
    arena_finish(&x->device);
    arena_finish(&x->host);
    batch_outputs_finish(&x->outputs);
    free(x);
}

static status make_threads(cpu_executor *x, errbuf *err) {
    TRY(event_board_create(&x->board, err));
    for (int d = 0; d < N_LINK_DIRECTIONS; d++)
        TRY(copy_thread_create(&x->copiers[d], (link_direction)d, &x->device, &x->host,
                               x->board, err));
    return compute_thread_create(&x->computer, iterate, x, err);
}

static status build(cpu_executor *x, errbuf *err) {
    const engine_config *c = &x->config.common;
    size_t block_floats = forward_block_floats(x->shape, c->block_tokens);
    long n_processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n_threads = x->config.n_threads ? x->config.n_threads
                                             : (uint32_t)(n_processors > 0 ? n_processors : 1);
    const forward_options options = {.block_tokens = c->block_tokens,
                                     .n_threads = n_threads,
                                     .max_tokens = c->max_batched_tokens,
                                     .deterministic = c->deterministic};
    token_table_init(&x->tokens, x->shape->vocab, c->seed);
    batch_outputs_init(&x->outputs, c, x->shape->eos_tokens, x->shape->n_eos_tokens);
    TRY(arena_init(&x->device, c->n_device_blocks, block_floats, "the device's KV", err));
    TRY(arena_init(&x->host, c->n_host_blocks, block_floats, "the host's KV", err));
    TRY(forward_create(&x->forward, x->config.model, &options, err));
    if (sampler_create(&x->sampler, x->shape->vocab) != ST_OK)
        return fail(err, ST_NO_MEMORY, "out of memory for %u logits", x->shape->vocab);
    return make_threads(x, err);
}

status cpu_executor_create(executor *out, const cpu_executor_config *config, errbuf *err) {
    TRY(engine_config_check(&config->common, err));
    cpu_executor *x = calloc(1, sizeof(*x));
    if (!x) return fail(err, ST_NO_MEMORY, "out of memory for the CPU engine");
    x->config = *config;
    x->shape = model_config_of(config->model);
    status st = build(x, err);
    if (st != ST_OK) {
        destroy(x);
        return st;
    }
    *out = (executor){.admit = admit,
                      .submit = submit,
                      .next = next,
                      .now_ns = now_ns,
                      .usage = usage,
                      .destroy = destroy,
                      .binds_blocks_early = true,
                      .reads_prefixes = true,
                      .context = x};
    return ST_OK;
}

float *cpu_executor_block(const executor *e, bool on_host, uint32_t id) {
    const cpu_executor *x = e->context;
    const arena *a = on_host ? &x->host : &x->device;
    assert(id < a->n_blocks);
    return arena_block(a, id);
}
