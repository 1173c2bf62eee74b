/* trace_stat.h - exact statistics of a stream of records.
 *
 * Lengths are counted per value, so that quantiles are exact and memory is that of the longest
 * length seen, not of the stream. A quantile q of n sorted values lies at position (n - 1) * q,
 * between two values by linear interpolation (type 7 of Hyndman and Fan, 1996; the default of R
 * and NumPy). The CV of the gaps is their population standard deviation over their mean.
 * Prefix ids and clients are kept in sets: 12 to 24 bytes for each distinct one. */
#ifndef TRACE_STAT_H
#define TRACE_STAT_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"
#include "trace_record.h"

typedef struct length_summary {
    double mean, p50, p90, p99;
    uint32_t min, max;
} length_summary;

typedef struct trace_summary {
    uint64_t n;
    length_summary prompt, output; /* all 0 when n is 0 */
    double duration_s;             /* latest time less earliest */
    /* (n - 1) / duration_s and the CV of the gaps; unknown when time runs backwards or stands
     * still. */
    bool rate_known;
    double rate_per_s, gap_cv;
    uint64_t n_backwards; /* records whose time is before the one above */
    uint64_t n_empty;     /* records without prompt or without output */
    uint64_t n_clients;   /* distinct; 1 when the trace does not say who sent what */
    /* Ids of prefix pieces; the share that an unbounded cache would not compute again is
     * 1 - distinct / all. */
    uint64_t n_prefix_ids, n_distinct_prefix_ids;
} trace_summary;

typedef struct trace_stat trace_stat;

/* On error *out is not written. ST_NO_MEMORY. */
MUST_USE status trace_stat_create(trace_stat **out, errbuf *err);

/* s may be NULL. */
void trace_stat_destroy(trace_stat *s);

/* Adds a record. ST_NO_MEMORY: s is then only good to be destroyed. */
MUST_USE status trace_stat_add(trace_stat *s, const trace_record *record, errbuf *err);

trace_summary trace_stat_summary(const trace_stat *s);

/* Lengths in [2^k, 2^(k+1)) for each k; 0 and 1 share the first bin. */
enum { TRACE_STAT_N_BINS = 25 };
void trace_stat_bins(const trace_stat *s, uint64_t prompt[TRACE_STAT_N_BINS],
                     uint64_t output[TRACE_STAT_N_BINS]);

#endif
