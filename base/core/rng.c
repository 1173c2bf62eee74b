#include "rng.h"

static uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t rng_bits(uint64_t seed, uint64_t stream, uint64_t index) {
    uint64_t x = mix(seed + UINT64_C(0x9e3779b97f4a7c15));
    x = mix(x + stream * UINT64_C(0xd1b54a32d192ed03));
    return mix(x + index * UINT64_C(0x9e3779b97f4a7c15));
}

double rng_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
    return (double)(rng_bits(seed, stream, index) >> 11) * 0x1p-53;
}

double rng_normal(uint64_t seed, uint64_t stream, uint64_t index) {
    uint64_t x = rng_bits(seed, stream, index);
    int32_t sum = (int32_t)((x & 0xffff) + (x >> 16 & 0xffff) + (x >> 32 & 0xffff) + (x >> 48));
    /* Four uniforms on 0..65535: mean 131070, variance 4 * (65536^2 - 1) / 12. */
    return (double)(sum - 131070) * 2.6428997921303014e-05;
}
