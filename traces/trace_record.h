/* trace_record.h - one request as a trace or a generator gives it, before it becomes one. */
#ifndef TRACE_RECORD_H
#define TRACE_RECORD_H

#include <stdint.h>

/* More tokens than this in a prompt or an output is taken for a broken line. */
enum { TRACE_MAX_TOKENS = 1 << 24 };

typedef struct trace_record {
    int64_t time_ns; /* on the clock of the trace; 0 when it has no arrivals */
    uint32_t n_prompt, n_output;
    int32_t priority;
    uint32_t client;
    const uint64_t *prefix_ids; /* as in request.h; valid until the next record */
    uint32_t n_prefix_ids, prefix_tokens;
} trace_record;

#endif
