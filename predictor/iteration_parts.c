#include "iteration_parts.h"

#include <string.h>

#include "fit_groups.h"

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

part_driver part_driver_of(operation op, const char *part) {
    switch (op) {
    case OP_ITERATION:
        return PART_WHOLE;
    case OP_GEMM:
        return strcmp(part, "head") == 0 ? PART_SAMPLED : PART_TOKENS;
    case OP_LAYER:
        return PART_TOKENS;
    case OP_PER_SEQUENCE:
        return PART_SAMPLED;
    case OP_PREFILL_ATTENTION:
        return PART_PREFILL;
    case OP_DECODE_ATTENTION:
        return PART_DECODE;
    case OP_MIXED_ATTENTION:
        return PART_MIXED;
    case OP_ALL_REDUCE:
        return PART_MESSAGE;
    case OP_HOST:
        return PART_HOST;
    case OP_SWAP_OUT:
    case OP_SWAP_IN:
    case N_OPERATIONS:
        break;
    }
    return PART_NO_PART;
}

/* Calls of an operation in an iteration. */
static double n_calls(operation op, const char *part, const model_spec *m) {
    static const char *const once[] = {"emb", "final", "lm_head", "head", "sampler"};
    static const char *const twice[] = {"add", "layernorm"}; /* in each layer */
    if (op == OP_ITERATION || op == OP_HOST) return 1;
    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
        if (starts_with(part, once[i])) return 1;
    for (size_t i = 0; i < sizeof(twice) / sizeof(twice[0]); i++)
        if (strcmp(part, twice[i]) == 0) return 2.0 * m->n_layers;
    return (op == OP_ALL_REDUCE ? 2.0 : 1.0) * m->n_layers;
}

double part_weight(const fit *f, const char *part, const model_spec *m) {
    double calls = n_calls(f->op, part, m), scale = 1;
    uint32_t n, k;
    if (f->op == OP_GEMM && f->gemm_n > 0 && f->gemm_k > 0 &&
        model_gemm_shape(&n, &k, m, f->tp, part))
        scale = (double)n * k / ((double)f->gemm_n * f->gemm_k);
    if ((f->op == OP_PREFILL_ATTENTION || f->op == OP_MIXED_ATTENTION) && f->n_heads > 0)
        scale = (double)(m->n_heads / f->tp) / f->n_heads;
    if (f->op == OP_DECODE_ATTENTION && f->n_kv_heads > 0) {
        uint32_t kv_heads = m->n_kv_heads > f->tp ? m->n_kv_heads / f->tp : 1;
        scale = (double)kv_heads / f->n_kv_heads;
    }
    return calls * scale;
}

void part_sample(sample *out, part_driver driver, const fit *f, const model_spec *model,
                 const batch_shape *batch) {
    const batch_shape *b = batch;
    *out = (sample){.op = f->op, .tp = f->tp};
    switch (driver) {
    case PART_TOKENS:
        out->batch.n_tokens = b->n_tokens;
        break;
    case PART_SAMPLED: /* a head that was measured as a matrix product counts its rows */
        if (f->op == OP_GEMM)
            out->batch.n_tokens = b->n_sampled;
        else
            out->batch.n_sampled = b->n_sampled;
        break;
    case PART_PREFILL:
        out->batch = (batch_shape){.n_tokens = b->n_prefill_tokens,
                                   .n_prefill = b->n_prefill,
                                   .n_prefill_tokens = b->n_prefill_tokens,
                                   .prefill_pairs = b->prefill_pairs,
                                   .prefill_kv_tokens = b->prefill_kv_tokens};
        break;
    case PART_DECODE:
    case PART_HOST:
        out->batch = (batch_shape){.n_tokens = b->n_decode,
                                   .n_decode = b->n_decode,
                                   .decode_kv_tokens = b->decode_kv_tokens,
                                   .decode_kv_max = b->decode_kv_max};
        if (driver == PART_HOST) out->batch.n_decode += b->n_prefill;
        break;
    case PART_MIXED:
    case PART_WHOLE:
        out->batch = *b;
        break;
    case PART_MESSAGE: /* activations of all tokens */
        out->bytes = (double)b->n_tokens * model->hidden * model->bytes_per_value;
        break;
    case PART_NO_PART:
        break;
    }
}
