#include "cpu_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forward.h"
#include "model_init.h"
#include "sampling.h"
#include "serve.h"
#include "token_table.h"

enum { BLOCK_TOKENS = 4 };

/* A test cannot go on without. */
static void must(status st, const errbuf *err) {
    if (st == ST_OK) return;
    fprintf(stderr, "%s: %s\n", status_text(st), err->text);
    abort();
}

static void *must_have(void *memory) {
    errbuf err = {0};
    must(memory ? ST_OK : ST_NO_MEMORY, &err);
    return memory;
}

/* The files stay mapped after they are gone. */
model *cpu_rig_model(model_arch arch, uint64_t seed) {
    char parent[] = "/tmp/cpu_rig_XXXXXX", dir[64], file[96];
    errbuf err = {0};
    model *m;
    must_have(mkdtemp(parent));
    snprintf(dir, sizeof(dir), "%s/m", parent);
    model_init_options o = model_init_defaults(arch);
    o.hidden = 32;
    o.n_heads = 4;
    o.n_kv_heads = arch == ARCH_OPT ? 0 : 2;
    o.n_ffn = 48;
    o.vocab = 101;
    o.max_model_len = 256;
    o.seed = seed;
    must(model_init_random(dir, &o, &err), &err);
    must(model_open(&m, dir, true, &err), &err);
    snprintf(file, sizeof(file), "%s/config.json", dir);
    unlink(file);
    snprintf(file, sizeof(file), "%s/model.safetensors", dir);
    unlink(file);
    rmdir(dir);
    rmdir(parent);
    return m;
}

static cost believed(double s) {
    return (cost){.s = s, .low_s = 0.9 * s, .high_s = 1.1 * s, .in_range = true};
}

static cost believed_iteration(void *context, const batch_shape *b) {
    const rig_costs *k = context;
    return believed(2e-4 + k->token_s * b->n_tokens + 1e-7 * (double)b->decode_kv_tokens +
                    k->pair_s * (double)b->prefill_pairs);
}

static cost believed_copy(void *context, link_direction direction, uint32_t n_blocks,
                          uint32_t n_segments, copy_load load) {
    const rig_costs *k = context;
    (void)direction;
    (void)n_segments;
    return believed((1e-5 + k->block_s * n_blocks) * (load.other_direction ? 1.5 : 1));
}

static bool ignore_iteration(void *context, const batch_shape *b, double s) {
    (void)context;
    (void)b;
    (void)s;
    return false;
}

static bool ignore_copy(void *context, link_direction direction, uint32_t n_blocks,
                        uint32_t n_segments, copy_load load, double s) {
    (void)context;
    (void)direction;
    (void)n_blocks;
    (void)n_segments;
    (void)load;
    (void)s;
    return false;
}

static cost_model costs_of(const rig_costs *k) {
    return (cost_model){.iteration = believed_iteration,
                        .copy = believed_copy,
                        .observe_iteration = ignore_iteration,
                        .observe_copy = ignore_copy,
                        .context = (void *)k};
}

cpu_case cpu_case_defaults(const char *policy_text) {
    cpu_case c = {.config = scheduler_config_defaults(),
                  .costs = {.token_s = 2e-5, .pair_s = 1e-7, .block_s = 2e-5},
                  .engine = cpu_executor_defaults()};
    errbuf err = {0};
    must(policy_parse(&c.config.policy, policy_text, &err), &err);
    c.config.block_tokens = BLOCK_TOKENS;
    c.config.max_seqs = 16;
    c.config.max_batched_tokens = 64;
    c.config.max_model_len = 64;
    c.engine.n_threads = 1;
    c.engine.common.deterministic = true;
    c.engine.common.sampling.temperature = 1;
    return c;
}

typedef struct rig {
    const cpu_case *c;
    cpu_outcome *out;
    scheduler *scheduler;
    executor engine;
    cost_model costs;
    FILE *log;
    uint32_t next; /* of the requests */
} rig;

static status next_request(void *context, request *out, uint32_t *n_output, errbuf *err) {
    rig *r = context;
    (void)err;
    if (r->next == r->c->n_requests) return ST_END;
    *out = r->c->requests[r->next];
    *n_output = r->c->n_outputs[r->next++];
    return ST_OK;
}

static void keep_output(void *context, uint64_t request_id, const uint32_t *tokens,
                        uint32_t n) {
    cpu_output *o = &((cpu_outcome *)context)->outputs[request_id];
    errbuf err = {.text = "a request finished twice"};
    must(o->tokens ? ST_INVALID : ST_OK, &err);
    o->tokens = must_have(malloc(n * sizeof(*tokens)));
    o->n = n;
    memcpy(o->tokens, tokens, n * sizeof(*tokens));
    ((cpu_outcome *)context)->n_finished++;
}

static void on_planned(void *context, const plan *p, int64_t now_ns) {
    rig *r = context;
    r->out->n_preempted += p->n_preempted;
    for (uint32_t i = 0; i < p->n_copies; i++) {
        const plan_copy *c = &p->copies[i];
        *(c->direction == LINK_TO_DEVICE ? &r->out->n_in_blocks
          : c->write_back                ? &r->out->n_back_blocks
                                         : &r->out->n_out_blocks) += c->n_pairs;
        fprintf(r->log, "%" PRId64 " copy %" PRIu64 " way %d ordered %d blocks %" PRIu32 "\n",
                now_ns, c->id, (int)c->direction, c->ordered, c->n_pairs);
    }
    for (uint32_t i = 0; i < p->n_chunks; i++) {
        const plan_chunk *c = &p->chunks[i];
        r->out->n_recomputed += c->n_recomputed;
        r->out->n_split += p->seqs->seqs[c->seq].n_arriving > 0;
        fprintf(r->log,
                "%" PRId64 " chunk of %" PRIu64 " from %" PRIu32 " tokens %" PRIu32 "\n",
                now_ns, p->seqs->seqs[c->seq].req.id, c->n_before, c->n_tokens);
    }
}

static void on_iterated(void *context, const iteration_span *span) {
    rig *r = context;
    const completion *c = span->completion;
    r->out->n_iterations += c->n_iterations;
    for (uint32_t i = 0; i < c->n_iterations; i++)
        fprintf(r->log, "ends %" PRId64 " tokens %" PRIu32 " free %" PRIu32 " %" PRIu32 "\n",
                c->end_ns[i], span->plan->n_tokens, span->n_free_device[i],
                span->n_free_host[i]);
}

static void on_ended(void *context, const sequence *s, request_outcome outcome,
                     int64_t now_ns) {
    fprintf(((rig *)context)->log, "%" PRId64 " request %" PRIu64 " outcome %d\n", now_ns,
            s->req.id, (int)outcome);
}

static status on_checked(void *context, errbuf *err) {
    return scheduler_check(((rig *)context)->scheduler, err);
}

static void set_up(rig *r) {
    const cpu_case *c = r->c;
    cpu_executor_config engine = c->engine;
    scheduler_config config = c->config;
    errbuf err = {0};
    size_t size;
    engine.common.block_tokens = config.block_tokens;
    engine.common.n_device_blocks = config.n_device_blocks;
    engine.common.n_host_blocks = config.n_host_blocks;
    engine.common.max_batched_tokens = config.max_batched_tokens;
    r->costs = costs_of(&c->costs);
    engine.common.costs = config.costs = &r->costs;
    engine.common.finished = keep_output;
    engine.common.finished_context = r->out;
    must(cpu_executor_create(&r->engine, &engine, &err), &err);
    if (c->wrap) r->engine = c->wrap(c->wrap_context, r->engine);
    config.bind_early = r->engine.binds_blocks_early;
    config.keep_prefixes = r->engine.reads_prefixes;
    must(scheduler_create(&r->scheduler, &config, &err), &err);
    r->log = must_have(open_memstream(&r->out->log, &size));
}

cpu_outcome cpu_run(const cpu_case *c) {
    cpu_outcome out = {.outputs = must_have(calloc(c->n_requests + 1, sizeof(cpu_output)))};
    rig *r = must_have(calloc(1, sizeof(*r)));
    r->c = c;
    r->out = &out;
    set_up(r);
    request_source source = {next_request, r};
    const serve_observer watch = {.planned = on_planned,
                                  .iterated = on_iterated,
                                  .ended = on_ended,
                                  .checked = on_checked,
                                  .context = r};
    out.result = serve(r->scheduler, &r->engine, &source, &watch, &out.err);
    r->engine.destroy(r->engine.context);
    scheduler_destroy(r->scheduler);
    fclose(r->log);
    free(r);
    return out;
}

/* ------------------------------------------------------------ without a scheduler */

typedef struct loner {
    forward *forward;
    sampler *sampler;
    float *arena, *logits;
    uint32_t *blocks, *tokens; /* of the longest request */
    uint32_t max_len;
    token_table prompts;
} loner;

static void loner_init(loner *l, const cpu_case *c) {
    const model_config *m = model_config_of(c->engine.model);
    errbuf err = {0};
    l->max_len = c->config.max_model_len + 1; /* vLLM V0 goes one further */
    uint32_t n_blocks = l->max_len / BLOCK_TOKENS + 1;
    const forward_options o = {.block_tokens = BLOCK_TOKENS,
                               .n_threads = 1,
                               .max_tokens = l->max_len,
                               .deterministic = c->engine.common.deterministic};
    size_t floats = forward_block_floats(m, BLOCK_TOKENS) * n_blocks;
    must(forward_create(&l->forward, c->engine.model, &o, &err), &err);
    must(sampler_create(&l->sampler, m->vocab), &err);
    l->arena = must_have(aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64));
    l->logits = must_have(malloc(m->vocab * sizeof(float)));
    l->blocks = must_have(malloc(n_blocks * sizeof(uint32_t)));
    l->tokens = must_have(malloc((l->max_len + 1) * sizeof(uint32_t)));
    for (uint32_t i = 0; i < n_blocks; i++) l->blocks[i] = i;
    token_table_init(&l->prompts, m->vocab, c->engine.common.seed);
}

static void loner_finish(loner *l) {
    forward_destroy(l->forward);
    sampler_destroy(l->sampler);
    free(l->arena);
    free(l->logits);
    free(l->blocks);
    free(l->tokens);
}

static bool ends(const cpu_case *c, uint32_t token) {
    const model_config *m = model_config_of(c->engine.model);
    for (uint32_t i = 0; c->engine.common.stops_at_eos && i < m->n_eos_tokens; i++)
        if (token == m->eos_tokens[i]) return true;
    return false;
}

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* The prompt in one pass, then token by token. */
static void generate(loner *l, cpu_outcome *out, const cpu_case *c, uint32_t i) {
    const request *q = &c->requests[i];
    uint32_t stop =
        c->config.policy.row->memory->length_stop(q->n_prompt, c->config.max_model_len);
    uint32_t n_output = least(least(c->n_outputs[i], q->n_output_max), stop), n_computed = 0, n;
    for (n = 0; n < q->n_prompt; n++) l->tokens[n] = prompt_token(&l->prompts, q, n);
    while (n < q->n_prompt + n_output) {
        token_chunk chunk = {.tokens = l->tokens + n_computed,
                             .n_tokens = n - n_computed,
                             .n_before = n_computed,
                             .blocks = l->blocks,
                             .samples = true};
        forward_run(l->forward, l->arena, &chunk, 1, l->logits);
        l->tokens[n] = sampler_pick(l->sampler, l->logits, &c->engine.common.sampling, q->id,
                                    n - q->n_prompt);
        n_computed = n;
        if (ends(c, l->tokens[n++])) break;
    }
    keep_output(out, q->id, l->tokens + q->n_prompt, n - q->n_prompt);
}

cpu_outcome cpu_run_alone(const cpu_case *c) {
    cpu_outcome out = {.outputs = must_have(calloc(c->n_requests + 1, sizeof(cpu_output)))};
    loner l;
    loner_init(&l, c);
    for (uint32_t i = 0; i < c->n_requests; i++) generate(&l, &out, c, i);
    loner_finish(&l);
    return out;
}

void cpu_outcome_finish(cpu_outcome *o, uint32_t n_requests) {
    for (uint32_t i = 0; i < n_requests; i++) free(o->outputs[i].tokens);
    free(o->outputs);
    free(o->log);
    *o = (cpu_outcome){0};
}
