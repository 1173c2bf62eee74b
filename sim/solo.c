#include "solo.h"

#include <assert.h>
#include <stdlib.h>

/* Running sums: sum[i] over the first i entries; n sums are there. */
typedef struct prefix_sums {
    double *sum;
    uint32_t n, capacity;
} prefix_sums;

struct solo_times {
    latency_source latency;
    uint32_t budget;
    prefix_sums chunks;  /* prefill of i full chunks, which sample nothing */
    prefix_sums decodes; /* decodes at contexts 0 .. i - 1 */
};

status solo_times_create(solo_times **out, const latency_source *latency,
                         uint32_t max_batched_tokens) {
    solo_times *t = calloc(1, sizeof(*t));
    if (!t) return ST_NO_MEMORY;
    t->latency = *latency;
    t->budget = max_batched_tokens;
    *out = t;
    return ST_OK;
}

void solo_times_destroy(solo_times *t) {
    if (!t) return;
    free(t->chunks.sum);
    free(t->decodes.sum);
    free(t);
}

static double iteration_s(const solo_times *t, const batch_shape *b) {
    return t->latency.iteration_s(t->latency.context, b);
}

static double chunk_s(const solo_times *t, uint32_t n_before, uint32_t n, bool samples) {
    batch_shape b = {0};
    batch_shape_add_chunk(&b, n_before, n, samples);
    return iteration_s(t, &b);
}

static double decode_s(const solo_times *t, uint32_t context) {
    batch_shape b = {0};
    batch_shape_add_decodes(&b, 1, context, context);
    return iteration_s(t, &b);
}

static double full_chunk_s(const solo_times *t, uint32_t i) {
    return chunk_s(t, i * t->budget, t->budget, false);
}

/* Makes sums up to [0, n] of what each entry costs. */
static status extend(solo_times *t, prefix_sums *p, uint32_t n,
                     double (*cost)(const solo_times *t, uint32_t i)) {
    if (n < p->n) return ST_OK;
    if (n >= p->capacity) {
        uint32_t capacity = n + n / 2 + 1024;
        double *sum = realloc(p->sum, capacity * sizeof(*sum));
        if (!sum) return ST_NO_MEMORY;
        p->sum = sum;
        p->capacity = capacity;
    }
    if (p->n == 0) p->sum[p->n++] = 0;
    for (; p->n <= n; p->n++) p->sum[p->n] = p->sum[p->n - 1] + cost(t, p->n - 1);
    return ST_OK;
}

status solo_service_s(solo_times *t, double *out, uint32_t n_prompt, uint32_t n_output) {
    assert(n_prompt > 0 && n_output > 0);
    uint32_t n_full = (n_prompt - 1) / t->budget, n_before = n_full * t->budget;
    TRY(extend(t, &t->chunks, n_full, full_chunk_s));
    double s = t->chunks.sum[n_full] + chunk_s(t, n_before, n_prompt - n_before, true);
    /* The token after k outputs attends to n_prompt + k tokens, itself included. */
    TRY(extend(t, &t->decodes, n_prompt + n_output, decode_s));
    *out = s + t->decodes.sum[n_prompt + n_output] - t->decodes.sum[n_prompt + 1];
    return ST_OK;
}
