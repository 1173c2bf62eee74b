/* workload.h - request generators: streams that look like what services see.
 *
 * A workload is written "NAME[,key=value...]". Its lengths follow the quantiles of a recorded
 * trace or table (workload_tables.c says which), prompt and output drawn independently. The
 * records carry no times: the arrival process of the settings gives them (trace.h puts both
 * together). Memory is constant.
 * Keys: n, clients, priorities, those of arrivals.h, and prompt_mean and output_mean, which
 * scale the lengths; of `fixed` instead prompt and output, the lengths themselves. Determinism:
 * equal text and seed give equal records; each purpose has its own random stream. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "arrivals.h"
#include "length_table.h"
#include "status.h"
#include "trace_record.h"

/* A row of the catalogue. */
typedef struct workload_kind {
    const char *name, *text; /* as on the command line; one line for people */
    double rate_per_s;       /* default */
    const length_table *prompt, *output;
} workload_kind;

/* All workloads in the order in which they are listed, `fixed` the last, its tables NULL. */
const workload_kind *workload_kinds(size_t *n);

typedef struct workload_settings {
    const workload_kind *kind;
    uint64_t n; /* requests; 1000 */
    /* Requests come from clients 0 ... clients - 1, client i with a weight of 1 / (i + 1); 1.
     * (ServeGen's ten largest clients send 63 % to 93 % of the requests of a service; this
     * gives them 52 % of 162 and 67 % of 43.) */
    uint64_t clients;
    uint64_t priorities; /* uniform over 0 ... priorities - 1; 1 */
    double prompt_mean, output_mean;
    uint64_t fixed_prompt, fixed_output; /* 512, 128 */
    arrival_settings arrivals;
} workload_settings;

/* ST_INVALID: an unknown name or key (the nearest is suggested), a value out of range. On error
 * *out is undefined. */
MUST_USE status workload_parse(workload_settings *out, const char *spec, errbuf *err);

typedef struct workload workload;

/* On error *out is not written. ST_INVALID: means that scale a length beyond TRACE_MAX_TOKENS.
 * ST_NO_MEMORY. */
MUST_USE status workload_create(workload **out, const workload_settings *settings,
                                uint64_t seed, errbuf *err);

/* w may be NULL. */
void workload_destroy(workload *w);

/* The next record; the stream has no end, its user stops after settings.n. */
void workload_next(workload *w, trace_record *out);

/* The longest output that the workload can give: a constant, known beforehand. */
uint32_t workload_output_max(const workload *w);

#endif
