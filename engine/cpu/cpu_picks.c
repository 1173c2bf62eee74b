#include "cpu_picks.h"

#include <math.h>
#include <stdlib.h>

void cpu_picks_finish(cpu_picks *p) {
    free(p->logits);
    free(p->picked);
    *p = (cpu_picks){0};
}

status cpu_picks_reserve(cpu_picks *p, uint32_t n, uint32_t vocab) {
    if (n <= p->capacity) return ST_OK;
    size_t capacity = (size_t)n + n / 4;
    cpu_picks_finish(p);
    p->logits = malloc(capacity * vocab * sizeof(*p->logits));
    p->picked = malloc(capacity * sizeof(*p->picked));
    if (!p->logits || !p->picked) {
        cpu_picks_finish(p);
        return ST_NO_MEMORY;
    }
    p->capacity = (uint32_t)capacity;
    return ST_OK;
}

static bool all_numbers(const float *values, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (isnan(values[i])) return false;
    return true;
}

bool cpu_picks_make(cpu_picks *p, const token_batch *b, sampler *s,
                    const sampling_options *options, const token_table *tokens,
                    uint64_t *request_id) {
    const float *logits = p->logits;
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        const token_row *r = &tokens->rows[b->seqs[i]];
        if (!b->chunks[i].samples) continue;
        *request_id = r->request_id;
        if (!all_numbers(logits, tokens->vocab)) return false;
        p->picked[n++] = sampler_pick(s, logits, options, r->request_id,
                                      token_batch_end(&b->chunks[i]) - r->n_prompt);
        logits += tokens->vocab;
    }
    return true;
}
