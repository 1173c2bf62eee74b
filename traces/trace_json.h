/* trace_json.h - the JSONL formats of traces, told apart by the keys of a line's object.
 *
 * mooncake   timestamp (ms), input_length, output_length, hash_ids (one per 512 tokens)
 * native     arrival_s, n_prompt, n_output[, priority][, client][, prefix_ids, prefix_tokens]
 *
 * An unknown key is an error in native, where it is taken for a mistyped one. Times are kept to
 * the nanosecond up to 26 days: beyond, they are refused, as a double no longer says them. */
#ifndef TRACE_JSON_H
#define TRACE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace_place.h"
#include "trace_record.h"

/* 26 days. */
#define TRACE_JSON_MAX_NS (INT64_C(1) << 51)

typedef struct trace_json trace_json;

/* Finds the format that has the keys of this line, which is not changed. ST_FORMAT: it is no
 * JSON object, or of no known format. ST_NO_MEMORY. */
MUST_USE status trace_json_bind(trace_json **out, const char *line, size_t n,
                                const trace_place *place, errbuf *err);

/* j may be NULL. */
void trace_json_destroy(trace_json *j);

/* Reads one line over the defaults in *out; prefix_ids point into j, until its next call.
 * ST_FORMAT: the line is not of the format. ST_NO_MEMORY. */
MUST_USE status trace_json_parse(trace_json *j, trace_record *out, const char *line, size_t n,
                                 const trace_place *place, errbuf *err);

const char *trace_json_name(const trace_json *j);

/* The keys of the time, the prompt's and the output's tokens. */
const char *trace_json_time_key(const trace_json *j);
const char *trace_json_prompt_key(const trace_json *j);
const char *trace_json_output_key(const trace_json *j);

#endif
