/* trace_reader.h - the records of a trace file, one at a time.
 *
 * The format is told from the content: the CSV formats of trace_csv.h and the JSONL formats of
 * trace_json.h, plain or gzip-compressed. Memory is constant. Times are on the trace's own
 * clock. Order: as in the file. Threads: none; one owner. */
#ifndef TRACE_READER_H
#define TRACE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"
#include "trace_record.h"

typedef struct trace_reader_options {
    bool skip_bad;    /* pass over lines that are not of the format, and count them */
    bool any_order;   /* a time before the one above is fine, otherwise the line is bad */
    bool allow_empty; /* no prompt or no output tokens are fine, otherwise the line is bad */
    uint32_t n_output_max; /* a longer output makes the line bad; 0: any goes */
    int32_t priority;      /* of requests whose trace does not say */
    uint32_t client;
} trace_reader_options;

/* Strict, for serving: all false, all 0. */
trace_reader_options trace_reader_options_defaults(void);

typedef struct trace_reader trace_reader;

/* Opens a file ("-" is standard input) and finds its format. On error *out is not written.
 * ST_IO, ST_NO_MEMORY. ST_FORMAT: empty, or of no known format. */
MUST_USE status trace_reader_open(trace_reader **out, const char *path,
                                  const trace_reader_options *options, errbuf *err);

/* As above, from bytes[0..n), which must outlive the reader. */
MUST_USE status trace_reader_open_memory(trace_reader **out, const void *bytes, size_t n,
                                         const char *name, const trace_reader_options *options,
                                         errbuf *err);

/* r may be NULL. */
void trace_reader_close(trace_reader *r);

/* The next record. ST_END at the end; ST_FORMAT: a bad line, without skip_bad; the message
 * names file, line, column and value. ST_IO, ST_NO_MEMORY. On error *out is not written. */
MUST_USE status trace_reader_next(trace_reader *r, trace_record *out, errbuf *err);

/* "Azure CSV", ... */
const char *trace_reader_format(const trace_reader *r);

/* False for a length table: all times are 0. */
bool trace_reader_has_arrivals(const trace_reader *r);

/* Lines passed over so far: bad ones, and requests that the trace marks as failed. */
uint64_t trace_reader_n_bad(const trace_reader *r);
uint64_t trace_reader_n_failed(const trace_reader *r);

#endif
