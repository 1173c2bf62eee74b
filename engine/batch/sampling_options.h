/* sampling_options.h - how the next token is picked out of logits.
 *
 * The order is that of Hugging Face transformers: temperature, then the top_k likeliest, then
 * the fewest of these whose share reaches top_p. Equal logits rank by token id, lowest first.
 */
#ifndef SAMPLING_OPTIONS_H
#define SAMPLING_OPTIONS_H

#include <stdint.h>

#include "status.h"

typedef struct sampling_options {
    double temperature; /* 0: the likeliest token (greedy), and the others do not count */
    uint32_t top_k;     /* 0: all */
    double top_p;       /* in (0, 1]; 1: all */
    uint64_t seed;
} sampling_options;

/* Greedy. */
sampling_options sampling_options_defaults(void);

/* ST_INVALID: a value is out of its range, which err names. */
MUST_USE status sampling_options_check(const sampling_options *o, errbuf *err);

#endif
