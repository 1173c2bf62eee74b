/* fuzz_model_config.c - any bytes as a config.json. Where it is taken, its fields must hold
 * together as the header promises, and what is computed from them must not overflow. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "model_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(int condition) {
    if (!condition) abort();
}

static int in_range(uint64_t x, uint64_t most) {
    return x >= 1 && x <= most;
}

static void check(const model_config *c) {
    require(c->arch < N_MODEL_ARCHS && c->dtype < N_TENSOR_DTYPES);
    require(in_range(c->n_layers, MODEL_LAYERS_MAX) && in_range(c->hidden, MODEL_WIDTH_MAX));
    require(in_range(c->n_heads, MODEL_WIDTH_MAX) && in_range(c->n_kv_heads, c->n_heads));
    require(in_range((uint64_t)c->n_heads * c->head_dim, MODEL_WIDTH_MAX));
    require(in_range(c->n_ffn, MODEL_SIZE_MAX) && in_range(c->vocab, MODEL_SIZE_MAX));
    require(in_range(c->max_model_len, MODEL_SIZE_MAX));
    require(c->n_heads % c->n_kv_heads == 0 && c->norm_eps > 0);
    if (!c->learned_positions) require(c->head_dim % 2 == 0 && c->rope_theta > 0);
    if (c->rope.kind != ROPE_UNSCALED) require(c->rope.factor >= 1);
    require(c->n_eos_tokens <= MODEL_EOS_MAX);
    for (uint32_t i = 0; i < c->n_eos_tokens; i++) require(c->eos_tokens[i] < c->vocab);
    uint64_t n = model_config_n_parameters(c);
    require(n > (uint64_t)c->vocab * c->hidden && n <= UINT64_MAX / 8);
    require(in_range(model_config_kv_bytes(c, 4), UINT64_C(1) << 40));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    model_config c = {0};
    errbuf err = {0};
    status st = model_config_parse(&c, (const char *)data, n, "fuzz", &err);
    require(st == ST_OK || (st == ST_FORMAT && err.text[0] != '\0'));
    if (st == ST_OK) check(&c);
    return 0;
}
