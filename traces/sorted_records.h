/* sorted_records.h - all records of a trace that is not in order, held in memory and sorted.
 *
 * Order: time, then place in the file. For traces that were written minute by minute or by
 * several writers; all others stream. */
#ifndef SORTED_RECORDS_H
#define SORTED_RECORDS_H

#include <stdint.h>

#include "status.h"
#include "trace_reader.h"
#include "trace_record.h"

typedef struct sorted_records sorted_records;

/* Reads r to its end. On error *out is not written. ST_NO_MEMORY and the errors of
 * trace_reader_next(). */
MUST_USE status sorted_records_read(sorted_records **out, trace_reader *r, errbuf *err);

/* s may be NULL. */
void sorted_records_destroy(sorted_records *s);

/* The next record, prefix ids included, valid as long as s. ST_END at the end, nothing written.
 */
MUST_USE status sorted_records_next(sorted_records *s, trace_record *out);

/* Back to the first record. */
void sorted_records_rewind(sorted_records *s);

#endif
