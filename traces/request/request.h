/* request.h - one arrival, as the scheduler may know it.
 *
 * A request never changes. Its true output length is not in it: a source hands that out beside
 * the request, for the executor and for policies with `oracle` in their name. */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdint.h>

#include "status.h"

typedef struct request {
    uint64_t id;           /* position in its stream, from 0 */
    int64_t arrival_ns;    /* from the start of the stream, never before the one before it */
    uint32_t n_prompt;     /* tokens, at least 1 */
    uint32_t n_output_max; /* declared limit, at least 1: a constant of the workload, not the
                              truth */
    int32_t priority;      /* lower is more urgent */
    uint32_t client;       /* who sent it, 0 when the trace does not say */

    /* Content of the prompt for prefix sharing, or NULL: ids [n_prefix_ids], one for each
     * prefix_tokens tokens of the prompt (the last may be partial). Equal ids at the same place
     * mean equal prompts up to and including that piece. Borrowed from the source, valid until
     * its next call. */
    const uint64_t *prefix_ids;
    uint32_t n_prefix_ids, prefix_tokens;
} request;

/* How a request ended; the code as text. */
#define REQUEST_OUTCOMES(X)                                                                    \
    X(REQUEST_FINISHED, "finished")                                                            \
    X(REQUEST_REJECTED, "rejected") /* by the front end: no room for output in the model */    \
    X(REQUEST_IGNORED, "ignored")   /* given up by the policy: it can never fit the pool */    \
    X(REQUEST_UNFINISHED, "unfinished") /* the run stopped before it */

typedef enum request_outcome {
#define X(code, text) code,
    REQUEST_OUTCOMES(X)
#undef X
} request_outcome;

/* A stream of requests, pulled one at a time. */
typedef struct request_source {
    /* Writes the next request and its true output length (at least 1). ST_END at the end, with
     * nothing written; ST_FORMAT, ST_IO and ST_NO_MEMORY with a message. */
    status (*next)(void *context, request *out, uint32_t *n_output, errbuf *err);
    void *context;
} request_source;

#endif
