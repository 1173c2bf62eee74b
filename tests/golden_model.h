/* golden_model.h - what Hugging Face transformers computes with the models of tests/golden/.
 *
 * See tests/golden/README.md. Must not know: the engine. */
#ifndef GOLDEN_MODEL_H
#define GOLDEN_MODEL_H

#include <stdint.h>

#include "status.h"

enum { GOLDEN_LISTS_MAX = 4, GOLDEN_TOKENS_MAX = 64 };

typedef struct golden_tokens {
    uint32_t ids[GOLDEN_TOKENS_MAX];
    uint32_t n;
} golden_tokens;

typedef struct golden_model {
    char dir[512]; /* of the model */
    uint32_t vocab;
    uint32_t n_sequences, n_continuations;
    golden_tokens sequences[GOLDEN_LISTS_MAX];
    golden_tokens prompts[GOLDEN_LISTS_MAX], continuations[GOLDEN_LISTS_MAX]; /* greedy */
    uint32_t first_row[GOLDEN_LISTS_MAX]; /* of each sequence */
    float *rows; /* [sum of the sequences' n, vocab] logits after each token */
} golden_model;

/* Reads root/name. Undone by golden_model_finish. ST_IO, ST_FORMAT, ST_NO_MEMORY: *out is as if
 * finished. */
MUST_USE status golden_model_read(golden_model *out, const char *root, const char *name,
                                  errbuf *err);

void golden_model_finish(golden_model *g);

/* Logits after token `position` of sequence i: [vocab]. */
const float *golden_model_row(const golden_model *g, uint32_t i, uint32_t position);

/* |a - b| / |b|, in double; NaN where one is. */
double relative_l2(const float *a, const float *b, uint32_t n);

#endif
