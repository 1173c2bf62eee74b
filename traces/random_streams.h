/* random_streams.h - the random streams of this folder, one per purpose.
 *
 * The seed of each generator is rng_bits(seed, stream, 0). Numbers are part of what a seed
 * means: never reused, never changed. */
#ifndef RANDOM_STREAMS_H
#define RANDOM_STREAMS_H

enum {
    RNG_ARRIVALS = 0x7001,
    RNG_PROMPT_LENGTHS,
    RNG_OUTPUT_LENGTHS,
    RNG_CLIENTS,
    RNG_PRIORITIES,
};

#endif
