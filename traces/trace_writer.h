/* trace_writer.h - writes requests as a native trace, CSV or JSONL, plain or gzip-compressed.
 *
 * What is written reads back the same: times to the nanosecond, tokens, priority, client, and
 * in JSONL the prefix ids. (The declared output limit is not of the trace, but of its use.)
 * Equal requests give equal bytes. A file appears under its name only when it is complete
 * (commit); until then it is NAME.part. */
#ifndef TRACE_WRITER_H
#define TRACE_WRITER_H

#include "request.h"
#include "status.h"

typedef enum trace_output_format { TRACE_OUTPUT_CSV, TRACE_OUTPUT_JSONL } trace_output_format;

typedef struct trace_writer trace_writer;

/* Opens path ("-" is standard output) for writing, compressed when its name ends in .gz.
 * Devices and pipes are written directly. On error *out is not written. ST_IO, ST_NO_MEMORY. */
MUST_USE status trace_writer_open(trace_writer **out, const char *path,
                                  trace_output_format format, errbuf *err);

/* Adds a request. ST_INVALID: the format cannot hold it (prefix ids in CSV, a time beyond 26
 * days in JSONL). ST_IO. */
MUST_USE status trace_writer_add(trace_writer *w, const request *r, uint32_t n_output,
                                 errbuf *err);

/* Completes the file and gives it its name. ST_IO: it could not, the part is removed. */
MUST_USE status trace_writer_commit(trace_writer *w, errbuf *err);

/* Frees w; what was not committed is removed. w may be NULL. */
void trace_writer_close(trace_writer *w);

#endif
