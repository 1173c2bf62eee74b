/* rng.h - random numbers without state: a hash of (seed, stream, index).
 *
 * The n-th draw of a stream does not depend on how many draws other streams made, so two
 * policies that run the same trace meet the same noise at the same iteration. One stream per
 * purpose. Source: finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
#ifndef RNG_H
#define RNG_H

#include <stdint.h>

/* 64 well-mixed bits of (seed, stream, index). */
uint64_t rng_bits(uint64_t seed, uint64_t stream, uint64_t index);

/* Uniform in [0, 1), 53 bits. */
double rng_uniform(uint64_t seed, uint64_t stream, uint64_t index);

/* Close to standard normal, mean 0, variance 1, always within +-3.47: the sum of four 16-bit
 * uniforms (Irwin-Hall). No libm, so equal bits everywhere. */
double rng_normal(uint64_t seed, uint64_t stream, uint64_t index);

#endif
