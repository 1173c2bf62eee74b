/* trace_place.h - where in a trace something is wrong, and how that is said.
 *
 * Every message about a line reads FILE:LINE:COLUMN: what is wrong, with the value; the column
 * is the name of a CSV column or a JSON key. */
#ifndef TRACE_PLACE_H
#define TRACE_PLACE_H

#include <stdint.h>

#include "status.h"

typedef struct trace_place {
    const char *file;
    uint64_t line;
} trace_place;

/* Writes "FILE:LINE:COLUMN: 'VALUE' is not WANTED" and returns ST_FORMAT. */
status trace_bad_value(const trace_place *place, const char *column, const char *value,
                       const char *wanted, errbuf *err);

/* Writes "FILE:LINE:COLUMN: TEXT", or "FILE:LINE: TEXT" when column is NULL, and returns
 * ST_FORMAT. */
status trace_bad_line(const trace_place *place, const char *column, errbuf *err,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
