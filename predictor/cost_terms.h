/* cost_terms.h - what the time of an operation may depend on: variables and terms.
 *
 * Variables are read off a sample. A term is a cost that a kernel can have: so much for each
 * token, for each tile of tokens, for each wave of tiles over the multiprocessors, for what is
 * beyond a threshold (where memory stops hiding arithmetic), times the length of what is
 * attended to. Every term is >= 0 and grows with its variables, so a sum with coefficients >= 0
 * does too. Which terms an operation is offered follows from its complexity; which it keeps,
 * the fit decides.
 *
 * Must not know: coefficients, measurements. Threads: none. */
#ifndef COST_TERMS_H
#define COST_TERMS_H

#include <stddef.h>
#include <stdint.h>

#include "sample.h"
#include "status.h"

/* code, name in stored fits, text for people */
#define VARIABLES(X)                                                                           \
    X(VAR_ONE, "one", "1")                                                                     \
    X(VAR_TOKENS, "tokens", "tokens of the batch")                                             \
    X(VAR_SAMPLED, "sampled", "sequences that get a token")                                    \
    X(VAR_CHUNKS, "chunks", "prefill chunks")                                                  \
    X(VAR_PREFILL_TOKENS, "prefill_tokens", "tokens of all prefill chunks")                    \
    X(VAR_QUERY, "query", "new tokens of a chunk, mean")                                       \
    X(VAR_CACHED, "cached", "cached tokens of a chunk, mean")                                  \
    X(VAR_KEYS, "keys", "cached and new tokens of a chunk, mean")                              \
    X(VAR_PAIRS, "pairs", "query-key pairs of prefill")                                        \
    X(VAR_DECODES, "decodes", "sequences that decode")                                         \
    X(VAR_CONTEXT, "context", "context of a decode, mean")                                     \
    X(VAR_CONTEXT_MAX, "context_max", "context of a decode, longest")                          \
    X(VAR_DECODE_KV, "decode_kv", "contexts of all decodes")                                   \
    X(VAR_ALL_KV, "all_kv", "keys of all chunks and decodes")                                  \
    X(VAR_MIXED, "mixed", "1 where prefill and decode meet")                                   \
    X(VAR_HAS_PREFILL, "has_prefill", "1 where there is prefill")                              \
    X(VAR_HAS_DECODE, "has_decode", "1 where there are decodes")                               \
    X(VAR_BYTES, "bytes", "bytes moved")                                                       \
    X(VAR_SEGMENTS, "segments", "contiguous pieces")                                           \
    X(VAR_BUSY_BYTES, "busy_bytes", "bytes moved against the other direction")                 \
    X(VAR_BUSY, "busy", "1 while the other direction is busy")                                 \
    X(VAR_COMPUTE_BYTES, "compute_bytes", "bytes moved beside an iteration")                   \
    X(VAR_COMPUTE, "compute", "1 beside an iteration")

typedef enum variable {
#define X(code, name, text) code,
    VARIABLES(X)
#undef X
        N_VARIABLES,
    VAR_FIRST_LATER = VAR_COMPUTE_BYTES /* from here on: added to stored fits and their folds */
} variable;

typedef enum term_form {
    TERM_PRODUCT, /* a * b */
    TERM_TILES,   /* ceil(a / p) * b */
    TERM_WAVES,   /* ceil(c * g * ceil(a / p)) * b */
    TERM_BEYOND,  /* max(0, a - p) * b */
    N_TERM_FORMS
} term_form;

typedef struct term {
    term_form form;
    variable a, b, c;
    double p, g;
    double inverse; /* 1 / p: exact, tiles are powers of two */
} term;

enum { TERMS_MAX = 256 }; /* candidates of one operation */

/* What shapes the candidates besides the samples: tiles are spread over multiprocessors. */
typedef struct term_shape {
    operation op;
    uint32_t n_sms;               /* of the device */
    uint32_t n_heads, n_kv_heads; /* of attention; 0 where there is none */
} term_shape;

/* NULL, NULL for no such variable or name. */
const char *variable_name(variable v);
const char *variable_text(variable v);
variable variable_find(const char *name); /* N_VARIABLES: none */
const char *term_form_name(term_form f);
term_form term_form_find(const char *name); /* N_TERM_FORMS: none */

/* Reads the variables off a sample's features: v[N_VARIABLES]. */
void cost_terms_read(double *v, const sample *s);

/* ceil() of what is >= 0 and far below 2^63, without a call. */
static inline double term_ceil(double x) {
    double whole = (double)(int64_t)x;
    return whole + (whole < x ? 1.0 : 0.0);
}

/* Value of a term. */
static inline double term_value(const term *t, const double *v) {
    double a = v[t->a];
    switch (t->form) {
    case TERM_TILES:
        a = term_ceil(a * t->inverse);
        break;
    case TERM_WAVES:
        /* A hair less: 132 tiles on 132 multiprocessors are one wave, whatever g rounds to. */
        a = term_ceil(v[t->c] * t->g * term_ceil(a * t->inverse) - 1e-9);
        break;
    case TERM_BEYOND:
        a -= t->p;
        a = a > 0 ? a : 0; /* in this form without a jump that nobody can guess */
        break;
    case TERM_PRODUCT:
    case N_TERM_FORMS:
        break;
    }
    return a * v[t->b];
}

/* Candidates of an operation into out[TERMS_MAX]; returns how many. The first is the constant.
 */
size_t cost_terms_candidates(term *out, const term_shape *shape);

/* Writes a term as a formula, "ceil(0.19 * ceil(tokens / 128))", cut to fit. */
void term_describe(char *text, size_t size, const term *t);

#endif
