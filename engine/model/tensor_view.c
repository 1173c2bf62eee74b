#include "tensor_view.h"

#include <string.h>

const char *tensor_dtype_name(tensor_dtype dtype) {
    static const char *const names[N_TENSOR_DTYPES] = {"F32", "F16", "BF16"};
    return names[dtype];
}

size_t tensor_dtype_bytes(tensor_dtype dtype) {
    return dtype == TENSOR_F32 ? 4 : 2;
}

static float float_from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

float float_from_bfloat(uint16_t bits) {
    return float_from_bits((uint32_t)bits << 16);
}

/* IEEE 754 binary16: 1 sign bit, 5 bits of exponent with bias 15, 10 of fraction. */
float float_from_half(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16, rest = bits & 0x7fff;
    if (rest >= 0x7c00) return float_from_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    /* As the fraction and exponent of a float it is 2^(127 - 15) too small; the product is
     * exact, and right for subnormal halves too. */
    return float_from_bits(sign | bits_of(float_from_bits(rest << 13) * 0x1p112f));
}

/* Drops the n lowest bits: to nearest, ties to even. */
static uint32_t rounded_shift(uint32_t bits, unsigned n) {
    uint32_t odd = bits >> n & 1;
    return (bits + ((UINT32_C(1) << (n - 1)) - 1 + odd)) >> n;
}

uint16_t bfloat_from_float(float x) {
    uint32_t bits = bits_of(x);
    if (x != x) return (uint16_t)(bits >> 16 | 0x40); /* quiet, whatever the payload */
    return (uint16_t)rounded_shift(bits, 16);
}

uint16_t half_from_float(float x) {
    uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (x != x) return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x47800000) return (uint16_t)(sign | 0x7c00); /* 65536 and above */
    if (magnitude < 0x38800000) { /* below 2^-14: the sum's last bit is worth 2^-24 */
        uint32_t sum = bits_of(float_from_bits(magnitude) + 0.5f);
        return (uint16_t)(sign | (sum - bits_of(0.5f)));
    }
    return (uint16_t)(sign | rounded_shift(magnitude - (UINT32_C(112) << 23), 13));
}

void tensor_to_floats(float *out, const tensor_view *t, size_t first, size_t n) {
    if (t->dtype == TENSOR_F32) {
        memcpy(out, (const float *)t->data + first, n * sizeof(*out));
        return;
    }
    const uint16_t *from = (const uint16_t *)t->data + first;
    if (t->dtype == TENSOR_F16)
        for (size_t i = 0; i < n; i++) out[i] = float_from_half(from[i]);
    else
        for (size_t i = 0; i < n; i++) out[i] = float_from_bfloat(from[i]);
}
