/* fuzz_safetensors.c - any bytes as a file of weights. Where the header is taken, the tensors
 * must lie in the file side by side, each of the size that its shape says. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(int condition) {
    if (!condition) abort();
}

static uint64_t n_values(const safetensor *t) {
    uint64_t product = 1;
    for (uint32_t i = 0; i < t->n_dims; i++) product *= t->shape[i];
    return product;
}

static void check(const safetensors *s, size_t n) {
    for (size_t i = 0; i < s->n; i++) {
        const safetensor *t = &s->tensors[i];
        require(t->name && t->n_dims <= SAFETENSOR_DIMS_MAX);
        require(t->begin >= 8 && t->begin <= t->end && t->end <= n);
        require(i == 0 || t->begin == s->tensors[i - 1].end);
        if (t->has_dtype)
            require(t->end - t->begin == n_values(t) * tensor_dtype_bytes(t->dtype));
    }
    if (s->n > 0) require(s->tensors[s->n - 1].end == n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    safetensors s = {0};
    errbuf err = {0};
    status st = safetensors_parse(&s, data, n, "fuzz", &err);
    require(st == ST_OK || (st == ST_FORMAT && err.text[0] != '\0'));
    if (st == ST_OK) check(&s, n);
    safetensors_finish(&s);
    return 0;
}
