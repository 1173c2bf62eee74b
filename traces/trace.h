/* trace.h - a stream of requests out of a trace file or a workload: what a run replays.
 *
 * Here records become requests: ids from 0, times from the first request's, rescaled or
 * generated, one declared output limit for all. A regular file is read twice, first to check
 * every line and to count, so that bad input is found before a run starts; memory is constant
 * (but for `sort`). Determinism: equal options give equal requests. Threads: none; one owner.
 */
#ifndef TRACE_H
#define TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "request.h"
#include "status.h"

typedef struct trace_options {
    const char *file;     /* "-" is standard input; this or workload, the other one NULL */
    const char *workload; /* "NAME[,key=value...]", see workload.h */
    /* Arrival process, "NAME[,key=value...]", see arrivals.h. NULL: the times of the trace, the
     * process of the workload, poisson for a length table. */
    const char *arrival;
    /* Mean rate, requests/s; 0: the trace's or workload's own, 1 for a length table. The times
     * of a trace are all multiplied by the same factor, so that (requests - 1) / duration of
     * what is replayed (after `limit`) is this rate. Overrules the arrival process's key. */
    double rate_per_s;
    uint64_t limit; /* at most so many requests, exactly so many of a workload; 0: all */
    uint64_t seed;
    bool skip_bad; /* count bad lines and go on; an unreadable file still stops */
    bool sort;     /* by time, in memory; otherwise a time that runs backwards is a bad line */
    /* Declared limit of every request; 0: the longest output that the workload can give, 32768
     * for a file. A longer output is an error. */
    uint32_t n_output_max;
    int32_t priority; /* of requests whose trace does not say */
    uint32_t client;
} trace_options;

/* All 0 but the seed, which is 1. */
trace_options trace_options_defaults(void);

typedef struct trace trace;

/* Opens and checks the stream; the strings in options must outlive it. On error *out is not
 * written. ST_INVALID: options that do not go together, an unknown name or key. ST_FORMAT: bad
 * input, the message has file, line, column and value; no request at all. ST_IO, ST_NO_MEMORY.
 */
MUST_USE status trace_open(trace **out, const trace_options *options, errbuf *err);

/* t may be NULL. */
void trace_close(trace *t);

/* The requests, once from first to last. Valid as long as t. */
request_source trace_requests(trace *t);

/* Starts over: the same requests again. ST_INVALID for standard input and pipes. On error t can
 * only be closed. */
MUST_USE status trace_rewind(trace *t, errbuf *err);

/* How many requests the stream has in all; 0: not known (standard input, a pipe). */
uint64_t trace_n_requests(const trace *t);

/* Lines passed over: bad ones (skip_bad), and requests that the trace marks as failed. Of the
 * whole stream, or so far where its length is not known. */
uint64_t trace_n_bad(const trace *t);
uint64_t trace_n_failed(const trace *t);

/* False when all requests come from one client, as they do when the trace does not say who sent
 * them. True where the length of the stream is not known: somebody else may come. */
bool trace_has_clients(const trace *t);

/* "Azure CSV", "workload sharegpt", ... */
const char *trace_format(const trace *t);

/* False when the times are those of the file. */
bool trace_arrivals_are_generated(const trace *t);

#endif
