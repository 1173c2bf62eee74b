/* trace_report.h - the statistics of a trace for people, and as JSON. */
#ifndef TRACE_REPORT_H
#define TRACE_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "trace_stat.h"

/* What was described. */
typedef struct trace_report {
    const char *name, *format;
    bool has_arrivals;
    uint64_t n_bad, n_failed; /* lines passed over */
} trace_report;

/* Prints a table and a histogram to standard output, or that there are no requests. */
void trace_report_print(const trace_report *report, const trace_stat *stat);

/* The same as an object, the caller's to release; what is not known is null. NULL: out of
 * memory. */
json_t *trace_report_json(const trace_report *report, const trace_stat *stat);

#endif
