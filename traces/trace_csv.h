/* trace_csv.h - the CSV formats of traces, told apart by the columns of their header.
 *
 * azure      TIMESTAMP (wall clock), ContextTokens, GeneratedTokens
 * burstgpt   Timestamp (s), Request tokens, Response tokens (0: the request failed)
 * lengths    num_prefill_tokens, num_decode_tokens; no arrivals (Vidur, Sarathi)
 * vidur      arrived_at (s), num_prefill_tokens, num_decode_tokens
 * native     arrival_s, n_prompt, n_output[, priority][, client]
 *
 * Columns may stand in any order. Others are passed over, but not in native, where an unknown
 * column is taken for a mistyped one. Fields are not quoted: none of the formats needs it. */
#ifndef TRACE_CSV_H
#define TRACE_CSV_H

#include <stdbool.h>
#include <stddef.h>

#include "trace_place.h"
#include "trace_record.h"

typedef enum csv_role {
    CSV_TIME,
    CSV_PROMPT,
    CSV_OUTPUT,
    CSV_PRIORITY,
    CSV_CLIENT,
    N_CSV_ROLES
} csv_role;

typedef struct csv_format csv_format;

/* What a header said. */
typedef struct csv_layout {
    const csv_format *format;
    size_t n_fields;
    size_t field[N_CSV_ROLES]; /* position of each column; SIZE_MAX when there is none */
} csv_layout;

/* Finds the format whose columns the header has; the header is cut up. ST_FORMAT: no known
 * format, or a column missing, unknown or named twice. */
MUST_USE status csv_bind(csv_layout *out, char *header, const trace_place *place, errbuf *err);

/* Reads one line, which is cut up, over the defaults in *out. *failed: the trace says that this
 * request failed, and *out is not complete. ST_FORMAT: the line is not of the format. */
MUST_USE status csv_parse(const csv_layout *layout, trace_record *out, bool *failed, char *line,
                          const trace_place *place, errbuf *err);

const char *csv_format_name(const csv_format *format);

/* Name of the column in which the format keeps what the role says. */
const char *csv_column(const csv_format *format, csv_role role);

bool csv_has_arrivals(const csv_format *format);

#endif
