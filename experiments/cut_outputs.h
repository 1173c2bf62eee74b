/* cut_outputs.h - counts the requests of a stream that want more tokens than the model length
 * leaves them: they end early, as in the modelled systems, and finish nevertheless. */
#ifndef CUT_OUTPUTS_H
#define CUT_OUTPUTS_H

#include "scheduler.h"

typedef struct cut_outputs {
    request_source from;
    const scheduler *scheduler;
    uint64_t n_requests, n_tokens; /* cut so far, and tokens that they lack */
} cut_outputs;

/* The same stream, counted by c, which it borrows. */
request_source cut_outputs_count(cut_outputs *c, request_source from, const scheduler *s);

#endif
