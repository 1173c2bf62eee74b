#include "batch_outputs.h"

#include <stdlib.h>

void batch_outputs_init(batch_outputs *o, const engine_config *config,
                        const uint32_t *eos_tokens, uint32_t n) {
    *o = (batch_outputs){.config = config, .eos_tokens = eos_tokens, .n_eos_tokens = n};
}

void batch_outputs_finish(batch_outputs *o) {
    free(o->finished);
    *o = (batch_outputs){0};
}

status batch_outputs_reserve(batch_outputs *o, uint32_t n) {
    o->n_finished = 0;
    if (n <= o->capacity) return ST_OK;
    uint32_t *finished = realloc(o->finished, 2 * (size_t)n * sizeof(*finished));
    if (!finished) return ST_NO_MEMORY;
    o->finished = finished;
    o->capacity = 2 * n;
    return ST_OK;
}

static bool is_eos(const batch_outputs *o, uint32_t token) {
    for (uint32_t i = 0; o->config->stops_at_eos && i < o->n_eos_tokens; i++)
        if (token == o->eos_tokens[i]) return true;
    return false;
}

static void accept(batch_outputs *o, token_row *r, uint32_t seq, uint32_t position,
                   uint32_t token) {
    r->tokens[position] = token;
    uint32_t n_output = position + 1 - r->n_prompt;
    if (n_output < r->n_output && !is_eos(o, token)) return;
    o->finished[o->n_finished++] = seq;
    if (o->config->finished)
        o->config->finished(o->config->finished_context, r->request_id, r->tokens + r->n_prompt,
                            n_output);
}

void batch_outputs_accept(batch_outputs *o, token_table *tokens, const token_batch *b,
                          const uint32_t *picked) {
    for (uint32_t i = 0; i < b->n; i++)
        if (b->chunks[i].samples)
            accept(o, &tokens->rows[b->seqs[i]], b->seqs[i], token_batch_end(&b->chunks[i]),
                   *picked++);
}

double batch_recompute_s(const cost_model *costs, const plan *p) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < p->n_chunks; i++) n += p->chunks[i].n_recomputed;
    if (!costs || n == 0) return 0;
    batch_shape with = plan_shape(p), without = plan_shape_without_recompute(p);
    double s = costs->iteration(costs->context, &with).s;
    if (without.n_tokens > 0) s -= costs->iteration(costs->context, &without).s;
    return s > 0 ? s : 0;
}
