#include "scheduler.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "offload.h"
#include "rng.h"

scheduler_config scheduler_config_defaults(void) {
    return (scheduler_config){.block_tokens = 16,
                              .max_seqs = 256,
                              .max_batched_tokens = 8192,
                              .max_model_len = 8192,
                              .horizon_max = HORIZON_MAX};
}

static status check_config(const scheduler_config *c, errbuf *err) {
    if (!c->policy.row) return fail(err, ST_INVALID, "no policy is set");
    if (c->block_tokens == 0) return fail(err, ST_INVALID, "block size is 0 tokens");
    if (c->n_device_blocks == 0) return fail(err, ST_INVALID, "the device has no KV blocks");
    if (c->max_seqs == 0) return fail(err, ST_INVALID, "max-seqs is 0");
    if (c->max_batched_tokens == 0) return fail(err, ST_INVALID, "max-batched-tokens is 0");
    if (c->max_model_len == 0) return fail(err, ST_INVALID, "max-model-len is 0");
    if (policy_needs_costs(&c->policy) && !c->costs)
        return fail(err, ST_INVALID,
                    "policy %s needs a predictor: give its fits with --profile",
                    c->policy.row->name);
    if (c->pad_tokens > 0 && !c->costs)
        return fail(err, ST_INVALID, "padding needs a predictor: give its fits with --profile");
    if (c->horizon_max == 0 || c->horizon_max > HORIZON_MAX)
        return fail(err, ST_INVALID, "horizon %u is not in 1 to %d", c->horizon_max,
                    HORIZON_MAX);
    return ST_OK;
}

static status build(scheduler *s) {
    const scheduler_config *c = &s->config;
    sequence_table_init(&s->table);
    s->waiting = s->running = s->swapped = SEQUENCE_LIST_EMPTY;
    s->null_block = KV_NO_BLOCK;
    TRY(cohort_init(&s->cohort, c->block_tokens));
    TRY(kv_pool_create(&s->device, c->n_device_blocks, c->block_tokens));
    TRY(kv_pool_create(&s->host, c->n_host_blocks, c->block_tokens));
    s->free_trail = malloc(HORIZON_MAX * sizeof(*s->free_trail));
    s->free_host_trail = malloc(HORIZON_MAX * sizeof(*s->free_host_trail));
    if (!s->free_trail || !s->free_host_trail) return ST_NO_MEMORY;
    s->memory = c->policy.row->memory;
    s->order = policy_order(&c->policy);
    s->settings = c->policy.settings;
    s->watermark_blocks = (uint32_t)(s->settings.watermark * c->n_device_blocks);
    s->plan.seqs = &s->table;
    s->plan.decodes = &s->cohort;
    plan_clear(&s->plan);
    return s->memory->init ? s->memory->init(s) : ST_OK;
}

status scheduler_create(scheduler **out, const scheduler_config *config, errbuf *err) {
    TRY(check_config(config, err));
    scheduler *s = calloc(1, sizeof(*s));
    if (!s) return fail(err, ST_NO_MEMORY, "out of memory for the scheduler");
    s->config = *config;
    status st = build(s);
    if (st != ST_OK) {
        scheduler_destroy(s);
        return fail(err, st, "cannot set up %u device and %u host blocks: %s",
                    config->n_device_blocks, config->n_host_blocks, status_text(st));
    }
    *out = s;
    return ST_OK;
}

void scheduler_destroy(scheduler *s) {
    if (!s) return;
    if (s->policy_state) s->destroy_policy_state(s->policy_state);
    for (uint32_t i = 0; i < s->n_flying; i++) free(s->flying[i].pairs);
    free(s->flying);
    free(s->pairs);
    offload_destroy(s->offload);
    free(s->leaked);
    free(s->free_trail);
    free(s->free_host_trail);
    free(s->finish_order);
    plan_finish(&s->plan);
    cohort_finish(&s->cohort);
    kv_pool_destroy(s->device);
    kv_pool_destroy(s->host);
    sequence_table_finish(&s->table);
    free(s);
}

status scheduler_add(scheduler *s, uint32_t *id, const request *req) {
    assert(req->n_prompt > 0 && req->n_output_max > 0);
    bool keep_prefix = s->settings.prefix_cache || s->config.keep_prefixes;
    TRY(sequence_add(&s->table, id, req, keep_prefix));
    seq_at(s, *id)->n_output_max = scheduler_output_limit(s, req);
    s->memory->enqueue(s, *id);
    return ST_OK;
}

bool scheduler_is_oracle(const scheduler *s) {
    return policy_is_oracle(&s->config.policy);
}

void scheduler_reveal(scheduler *s, uint32_t id, uint32_t n_output) {
    assert(scheduler_is_oracle(s));
    enum { STREAM_LENGTH_ERROR = 31 };
    sequence *q = seq_at(s, id);
    double error = s->settings.length_error;
    double told = n_output < q->n_output_max ? n_output : q->n_output_max;
    if (error > 0) told *= exp(error * rng_normal(1, STREAM_LENGTH_ERROR, q->req.id));
    q->n_output_true = told < 1 ? 1 : told < q->n_output_max ? (uint32_t)told : q->n_output_max;
}

/* Takes the blocks of the horizon's later iterations, in the order of single steps. */
static status bind_ahead(scheduler *s) {
    uint32_t before = kv_pool_n_free(s->device);
    for (uint32_t later = 1; later < s->plan.horizon; later++) TRY(state_grow_cohort(s, later));
    s->n_bound_ahead = before - kv_pool_n_free(s->device);
    return ST_OK;
}

/* Gives back the blocks of iterations [n_ran, horizon) in reverse. */
static void unbind_ahead(scheduler *s, uint32_t n_ran) {
    for (uint32_t later = s->plan.horizon; later-- > n_ran;) {
        uint32_t id = cohort_growth(&s->cohort, later)->last;
        for (; id != NO_SEQ; id = seq_at(s, id)->phase_prev) {
            sequence *q = seq_at(s, id);
            kv_pool_untake(s->device, q->slots[--q->n_slots].device);
        }
    }
    s->n_bound_ahead = 0;
}

/* Share of an iteration that padding must save: less than that a fit cannot tell. */
static const double PAD_GAIN_MIN = 0.01;

/* The cost of tokens is a staircase whose steps are uneven: a full tile can be cheaper than a
 * part of it. Iterations of decodes alone are left to the executor's own buckets. */
static void pad_plan(scheduler *s) {
    uint32_t tile = s->config.pad_tokens;
    const cost_model *costs = s->config.costs;
    if (tile == 0 || !costs || s->plan.n_chunks == 0 || s->plan.n_tokens % tile == 0) return;
    uint32_t n_padding = tile - s->plan.n_tokens % tile;
    batch_shape bare = plan_shape(&s->plan), padded = bare;
    padded.n_tokens += n_padding;
    double padded_s = costs->iteration(costs->context, &padded).s;
    if (padded_s < costs->iteration(costs->context, &bare).s * (1 - PAD_GAIN_MIN))
        s->plan.n_padding = n_padding;
}

status scheduler_schedule(scheduler *s, const plan **out, int64_t now_ns, errbuf *err) {
    assert(now_ns >= s->now_ns);
    s->now_ns = now_ns;
    s->n_late_device = s->n_late_host = 0;
    plan_clear(&s->plan);
    status st = s->memory->schedule(s, err);
    if (st == ST_NO_MEMORY) return fail(err, st, "out of memory while scheduling");
    if (st != ST_OK) return st;
    if (s->plan.runs_cohort) {
        s->plan.n_tokens += s->cohort.n;
        state_name_cohort(s, 0);
        if (s->plan.n_chunks == 0 && s->config.horizon_max > 1) {
            uint32_t h = s->memory->horizon(s);
            s->plan.horizon = h < s->config.horizon_max ? h : s->config.horizon_max;
        }
        if (s->config.bind_early && bind_ahead(s) != ST_OK)
            return fail(err, ST_NO_MEMORY, "out of memory for the blocks of later iterations");
    }
    pad_plan(s);
    *out = &s->plan;
    return ST_OK;
}

/* Free blocks at the end of each iteration; copies that completed did so during the last. */
static void trail_free(scheduler *s, uint32_t n_iterations) {
    uint32_t n_device = kv_pool_n_free(s->device) + s->n_bound_ahead - s->n_late_device;
    uint32_t n_host = kv_pool_n_free(s->host) - s->n_late_host;
    for (uint32_t i = 0; i < n_iterations; i++) {
        if (i > 0) n_device -= cohort_growth(&s->cohort, i)->n;
        s->free_trail[i] = n_device;
        s->free_host_trail[i] = n_host;
    }
    s->free_trail[n_iterations - 1] += s->n_late_device;
    s->free_host_trail[n_iterations - 1] += s->n_late_host;
}

void scheduler_span(scheduler *s, iteration_span *out, const completion *c) {
    trail_free(s, c->n_iterations);
    *out = (iteration_span){.plan = &s->plan,
                            .completion = c,
                            .previous_tick_ns = s->latest_tick_ns,
                            .newcomers = s->cohort.joined,
                            .n_newcomers = s->cohort.n_joined,
                            .n_free_device = s->free_trail,
                            .n_free_host = s->free_host_trail,
                            .n_running = s->running.n,
                            .n_waiting = s->waiting.n,
                            .n_swapped = s->swapped.n};
}

/* The cohort ran n iterations. */
static status complete_cohort(scheduler *s, uint32_t n, int64_t end_ns) {
    if (s->config.bind_early) unbind_ahead(s, n);
    for (uint32_t later = 1; later < n; later++) {
        if (!s->config.bind_early) TRY(state_grow_cohort(s, later));
        state_name_cohort(s, later);
    }
    cohort_advance(&s->cohort, n);
    s->latest_tick_ns = end_ns;
    return ST_OK;
}

static status complete_chunk(scheduler *s, const plan_chunk *chunk, int64_t end_ns) {
    sequence *q = seq_at(s, chunk->seq);
    q->n_planned = 0;
    q->n_computed += chunk->n_tokens;
    if (q->n_kv_peak < q->n_computed) q->n_kv_peak = q->n_computed;
    if (s->names_after)
        state_name_blocks(s, chunk->seq, chunk->n_before / s->config.block_tokens,
                          q->n_computed);
    if (!chunk->samples) return ST_OK;
    if (q->n_output++ == 0) q->first_token_ns = end_ns;
    q->last_token_ns = end_ns;
    q->decoding = true;
    return cohort_join(&s->cohort, &s->table, chunk->seq);
}

static void finish_sequence(scheduler *s, uint32_t id) {
    if (s->memory->finished) s->memory->finished(s, id);
    state_leave_cohort(s, id);
    sequence_list_remove(&s->running, &s->table, id);
    state_release(s, id);
}

/* Copies the finished ids into running order: that is the order in which blocks are freed. */
static status sort_finished(scheduler *s, const uint32_t *ids, uint32_t n) {
    if (n > s->finish_capacity) {
        uint32_t *order = realloc(s->finish_order, 2 * n * sizeof(*order));
        if (!order) return ST_NO_MEMORY;
        s->finish_order = order;
        s->finish_capacity = 2 * n;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i;
        int64_t no = seq_at(s, ids[i])->running_no;
        for (; at > 0 && seq_at(s, s->finish_order[at - 1])->running_no > no; at--)
            s->finish_order[at] = s->finish_order[at - 1];
        s->finish_order[at] = ids[i];
    }
    return ST_OK;
}

status scheduler_complete(scheduler *s, const uint32_t **finished, uint32_t *n_finished,
                          const completion *c) {
    assert(c->kind == COMPLETION_COMPUTE && c->n_iterations > 0);
    assert(c->n_iterations <= s->plan.horizon);
    int64_t end_ns = c->end_ns[c->n_iterations - 1];
    s->latest_start_ns = c->n_iterations > 1 ? c->end_ns[c->n_iterations - 2] : c->start_ns;
    s->latest_end_ns = end_ns;
    if (s->plan.runs_cohort) TRY(complete_cohort(s, c->n_iterations, end_ns));
    for (uint32_t i = 0; i < s->plan.n_chunks; i++)
        TRY(complete_chunk(s, &s->plan.chunks[i], end_ns));
    TRY(sort_finished(s, c->finished, c->n_finished));
    for (uint32_t i = 0; i < c->n_finished; i++) finish_sequence(s, s->finish_order[i]);
    *finished = s->finish_order;
    *n_finished = c->n_finished;
    return ST_OK;
}

void scheduler_copy_done(scheduler *s, uint64_t copy_id) {
    uint32_t i = 0;
    while (s->flying[i].id != copy_id) {
        i++;
        assert(i < s->n_flying); /* a copy completes once, and only if it was started */
    }
    flying_copy *f = &s->flying[i];
    if (s->memory->copied) s->memory->copied(s, f);
    uint32_t n_device = kv_pool_n_free(s->device), n_host = kv_pool_n_free(s->host);
    for (uint32_t j = f->n_pairs; j-- > 0;) { /* the last first, as state_release */
        kv_pool_release(s->device, f->pairs[j].device);
        kv_pool_release(s->host, f->pairs[j].host);
    }
    s->n_late_device += kv_pool_n_free(s->device) - n_device;
    s->n_late_host += kv_pool_n_free(s->host) - n_host;
    sequence *q = f->seq == NO_SEQ ? NULL : seq_at(s, f->seq);
    if (q && q->state != SEQ_UNUSED && q->req.id == f->request_id)
        --*(f->direction == LINK_TO_HOST ? &q->n_leaving : &q->n_arriving);
    free(f->pairs);
    s->flying[i] = s->flying[--s->n_flying];
}

void scheduler_end(scheduler *s, uint32_t id) {
    sequence_remove(&s->table, id);
}

uint32_t scheduler_n_unfinished(const scheduler *s) {
    return s->waiting.n + s->running.n + s->swapped.n;
}

static uint32_t n_noted_copies(const scheduler *s) {
    return s->offload ? s->offload->n_jobs : 0;
}

bool scheduler_is_idle(const scheduler *s) {
    return scheduler_n_unfinished(s) == 0 && n_noted_copies(s) == 0;
}

uint32_t scheduler_n_copies_in_flight(const scheduler *s) {
    return s->n_flying + n_noted_copies(s);
}

uint32_t scheduler_n_free_device(const scheduler *s) {
    return kv_pool_n_free(s->device);
}

uint32_t scheduler_n_free_host(const scheduler *s) {
    return kv_pool_n_free(s->host);
}

uint64_t scheduler_n_hit_tokens(const scheduler *s) {
    return s->n_hit_tokens;
}

uint32_t scheduler_output_limit(const scheduler *s, const request *req) {
    uint32_t stop = s->memory->length_stop(req->n_prompt, s->config.max_model_len);
    return stop < req->n_output_max ? stop : req->n_output_max;
}

const sequence_table *scheduler_table(const scheduler *s) {
    return &s->table;
}

void scheduler_describe(const scheduler *s, char *buf, size_t size) {
    int n =
        snprintf(buf, size,
                 "%u waiting, %u running, %u swapped out; %u of %u device blocks free, "
                 "%u of %u host blocks free",
                 s->waiting.n, s->running.n, s->swapped.n, kv_pool_n_free(s->device),
                 s->config.n_device_blocks, kv_pool_n_free(s->host), s->config.n_host_blocks);
    if (s->n_flying > 0 && n > 0 && (size_t)n < size)
        snprintf(buf + n, size - (size_t)n, ", %u copies in flight", s->n_flying);
}
