/* device_rng.cuh - the counter-based generator of base/core/rng.h, for kernels. */
#ifndef DEVICE_RNG_CUH
#define DEVICE_RNG_CUH

#include <stdint.h>

/* rng_bits and rng_uniform of base/core/rng.h, bit for bit. */
__host__ __device__ static inline uint64_t device_rng_mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
__host__ __device__ static inline uint64_t device_rng_bits(uint64_t seed, uint64_t stream,
                                                           uint64_t index) {
    uint64_t x = device_rng_mix(seed + 0x9e3779b97f4a7c15u);
    x = device_rng_mix(x + stream * 0xd1b54a32d192ed03u);
    return device_rng_mix(x + index * 0x9e3779b97f4a7c15u);
}
__host__ __device__ static inline double device_rng_uniform(uint64_t seed, uint64_t stream,
                                                            uint64_t index) {
    return (double)(device_rng_bits(seed, stream, index) >> 11) * 0x1p-53;
}

#endif
