/* sampling.c - ranks what it must by a heap, then walks along the shares. See sampling.h. */
#include "sampling.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "rng.h"

enum { STREAM_SAMPLING = 1 };

struct sampler {
    uint32_t vocab;
    uint32_t *ids;   /* [vocab] heap, then behind it what left it, the last to leave first */
    double *weights; /* [vocab] by id: exp((logit - highest) / temperature) */
};

status sampler_create(sampler **out, uint32_t vocab) {
    if (vocab == 0) return ST_INVALID;
    sampler *s = calloc(1, sizeof(*s));
    if (!s) return ST_NO_MEMORY;
    s->vocab = vocab;
    s->ids = calloc(vocab, sizeof(*s->ids));
    s->weights = calloc(vocab, sizeof(*s->weights));
    if (!s->ids || !s->weights) {
        sampler_destroy(s);
        return ST_NO_MEMORY;
    }
    *out = s;
    return ST_OK;
}

void sampler_destroy(sampler *s) {
    if (!s) return;
    free(s->weights);
    free(s->ids);
    free(s);
}

static uint32_t likeliest(const float *logits, uint32_t vocab) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static bool ranks_before(const float *logits, uint32_t a, uint32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
}

static void sift_down(uint32_t *ids, uint32_t n, const float *logits, uint32_t at) {
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= n) return;
        if (child + 1 < n && ranks_before(logits, ids[child + 1], ids[child])) child++;
        if (!ranks_before(logits, ids[child], ids[at])) return;
        uint32_t id = ids[at];
        ids[at] = ids[child];
        ids[child] = id;
        at = child;
    }
}

static void heapify(sampler *s, const float *logits) {
    for (uint32_t i = 0; i < s->vocab; i++) s->ids[i] = i;
    for (uint32_t i = s->vocab / 2; i-- > 0;) sift_down(s->ids, s->vocab, logits, i);
}

/* Takes the first of the heap of n out, to ids[n - 1]. */
static uint32_t pop(sampler *s, uint32_t n, const float *logits) {
    uint32_t id = s->ids[0];
    s->ids[0] = s->ids[n - 1];
    s->ids[n - 1] = id;
    sift_down(s->ids, n - 1, logits, 0);
    return id;
}

/* The n likeliest to the end of ids, in falling rank from the end; returns their weight. */
static double rank_first(sampler *s, uint32_t n, const float *logits) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += s->weights[pop(s, s->vocab - i, logits)];
    return sum;
}

static bool keeps_all(const sampler *s, const sampling_options *o) {
    return o->top_k == 0 || o->top_k >= s->vocab;
}

/* Ranks as many as top_k and top_p keep; their number, and their weight to *sum, which holds
 * that of all tokens. */
static uint32_t keep(sampler *s, const sampling_options *o, const float *logits, double *sum) {
    heapify(s, logits);
    bool all = keeps_all(s, o);
    uint32_t n = all ? s->vocab : o->top_k;
    if (!all) *sum = rank_first(s, n, logits);
    double least = o->top_p * *sum, kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = all ? pop(s, s->vocab - i, logits) : s->ids[s->vocab - 1 - i];
        kept += s->weights[id];
        if (kept < least) continue;
        *sum = kept;
        return i + 1;
    }
    *sum = kept;
    return n;
}

/* From the end of ids: where the weight so far exceeds `at`. */
static uint32_t walk(const sampler *s, uint32_t n_kept, double at) {
    uint32_t last = s->ids[s->vocab - 1];
    for (uint32_t i = 0; i < n_kept; i++) {
        uint32_t id = s->ids[s->vocab - 1 - i];
        if (s->weights[id] == 0) continue; /* never picked, not even by rounding */
        last = id;
        at -= s->weights[id];
        if (at < 0) break;
    }
    return last;
}

uint32_t sampler_pick(sampler *s, const float *logits, const sampling_options *o,
                      uint64_t request_id, uint32_t index) {
    uint32_t best = likeliest(logits, s->vocab);
    if (o->temperature == 0) return best;
    double sum = 0;
    for (uint32_t i = 0; i < s->vocab; i++) {
        s->ids[i] = i;
        s->weights[i] = exp(((double)logits[i] - logits[best]) / o->temperature);
        sum += s->weights[i];
    }
    uint32_t n_kept = s->vocab;
    if (!keeps_all(s, o) || o->top_p < 1) n_kept = keep(s, o, logits, &sum);
    uint64_t key = rng_bits(o->seed, STREAM_SAMPLING, request_id);
    return walk(s, n_kept, rng_uniform(key, STREAM_SAMPLING, index) * sum);
}
