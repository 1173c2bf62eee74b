#include "cost_terms.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const names[N_VARIABLES] = {
#define X(code, name, text) [code] = name,
    VARIABLES(X)
#undef X
};
static const char *const texts[N_VARIABLES] = {
#define X(code, name, text) [code] = text,
    VARIABLES(X)
#undef X
};
static const char *const forms[N_TERM_FORMS] = {"product", "tiles", "waves", "beyond"};

const char *variable_name(variable v) {
    return v < N_VARIABLES ? names[v] : NULL;
}

const char *variable_text(variable v) {
    return v < N_VARIABLES ? texts[v] : NULL;
}

variable variable_find(const char *name) {
    variable v = 0;
    while (v < N_VARIABLES && strcmp(names[v], name) != 0) v++;
    return v;
}

const char *term_form_name(term_form f) {
    return f < N_TERM_FORMS ? forms[f] : NULL;
}

term_form term_form_find(const char *name) {
    term_form f = 0;
    while (f < N_TERM_FORMS && strcmp(forms[f], name) != 0) f++;
    return f;
}

/* Cached tokens of a chunk, mean: pairs = n q k + n q (q + 1) / 2 solved for k. */
static double cached_of(const batch_shape *b, double query) {
    double own = (double)b->n_prefill_tokens * (query + 1) / 2;
    return fmax(0, ((double)b->prefill_pairs - own) / (double)b->n_prefill_tokens);
}

void cost_terms_read(double *v, const sample *s) {
    const batch_shape *b = &s->batch;
    memset(v, 0, N_VARIABLES * sizeof(*v));
    v[VAR_ONE] = 1;
    v[VAR_TOKENS] = b->n_tokens;
    v[VAR_SAMPLED] = b->n_sampled;
    if (b->n_prefill > 0 && b->n_prefill_tokens > 0) {
        v[VAR_CHUNKS] = b->n_prefill;
        v[VAR_PREFILL_TOKENS] = b->n_prefill_tokens;
        v[VAR_QUERY] = (double)b->n_prefill_tokens / b->n_prefill;
        v[VAR_CACHED] = cached_of(b, v[VAR_QUERY]);
        v[VAR_KEYS] = (double)b->prefill_kv_tokens / b->n_prefill;
        v[VAR_PAIRS] = (double)b->prefill_pairs;
        v[VAR_HAS_PREFILL] = 1;
    }
    if (b->n_decode > 0) {
        v[VAR_DECODES] = b->n_decode;
        v[VAR_DECODE_KV] = (double)b->decode_kv_tokens;
        v[VAR_CONTEXT] = v[VAR_DECODE_KV] / b->n_decode;
        v[VAR_CONTEXT_MAX] = fmax((double)b->decode_kv_max, v[VAR_CONTEXT]);
        v[VAR_HAS_DECODE] = 1;
    }
    v[VAR_ALL_KV] = (double)b->prefill_kv_tokens + v[VAR_DECODE_KV];
    v[VAR_MIXED] = v[VAR_HAS_PREFILL] * v[VAR_HAS_DECODE];
    v[VAR_BYTES] = s->bytes;
    v[VAR_SEGMENTS] = s->n_segments;
    v[VAR_BUSY] = s->other_direction_busy;
    v[VAR_BUSY_BYTES] = s->other_direction_busy ? s->bytes : 0;
    v[VAR_COMPUTE] = s->compute_busy;
    v[VAR_COMPUTE_BYTES] = s->compute_busy ? s->bytes : 0;
}

void term_describe(char *text, size_t size, const term *t) {
    char inner[128], times[64] = "";
    const char *a = names[t->a];
    if (t->form == TERM_TILES)
        snprintf(inner, sizeof(inner), "ceil(%s / %g)", a, t->p);
    else if (t->form == TERM_BEYOND)
        snprintf(inner, sizeof(inner), "max(0, %s - %g)", a, t->p);
    else if (t->form == TERM_PRODUCT)
        snprintf(inner, sizeof(inner), "%s", a);
    else
        snprintf(inner, sizeof(inner), "ceil(%.4g * %s%sceil(%s / %g))", t->g,
                 t->c == VAR_ONE ? "" : names[t->c], t->c == VAR_ONE ? "" : " * ", a, t->p);
    if (t->b != VAR_ONE) snprintf(times, sizeof(times), " * %s", names[t->b]);
    snprintf(text, size, "%s%s", inner, times);
}
