#include "trace_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "line_reader.h"
#include "trace_csv.h"
#include "trace_json.h"

struct trace_reader {
    trace_reader_options options;
    line_reader *lines;
    trace_json *json; /* NULL when the file is CSV */
    csv_layout csv;
    /* The line that showed the format of a JSONL file is its first record. */
    char *pending;
    size_t n_pending;
    bool any; /* a record was handed out; its time is in last_ns */
    int64_t last_ns;
    uint64_t n_bad, n_failed;
};

trace_reader_options trace_reader_options_defaults(void) {
    return (trace_reader_options){0};
}

static trace_place place_of(const trace_reader *r) {
    return (trace_place){line_reader_name(r->lines), line_reader_line(r->lines)};
}

static const char *time_column(const trace_reader *r) {
    return r->json ? trace_json_time_key(r->json) : csv_column(r->csv.format, CSV_TIME);
}

static const char *prompt_column(const trace_reader *r) {
    return r->json ? trace_json_prompt_key(r->json) : csv_column(r->csv.format, CSV_PROMPT);
}

static const char *output_column(const trace_reader *r) {
    return r->json ? trace_json_output_key(r->json) : csv_column(r->csv.format, CSV_OUTPUT);
}

/* Tells the format from the line, which is of CSV or JSONL as its first byte says. */
static status bind_format(trace_reader *r, char *line, size_t n, errbuf *err) {
    trace_place place = place_of(r);
    /* Spreadsheets put a byte order mark in front. */
    if (place.line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        n -= 3;
    }
    status st;
    if (*line == '{') {
        st = trace_json_bind(&r->json, line, n, &place, err);
        r->pending = line;
        r->n_pending = n;
    } else
        st = csv_bind(&r->csv, line, &place, err);
    if (st != ST_OK) r->pending = NULL;
    return st;
}

/* Reads lines until one shows the format; with skip_bad that need not be the first. */
static status find_format(trace_reader *r, errbuf *err) {
    errbuf first = {0};
    for (;;) {
        char *line;
        size_t n;
        status st = line_reader_next(r->lines, &line, &n, err);
        if (st == ST_END && r->n_bad == 0)
            return fail(err, ST_FORMAT, "%s: the file is empty", line_reader_name(r->lines));
        if (st == ST_END) return fail(err, ST_FORMAT, "%s", first.text);
        if (st == ST_OK) st = bind_format(r, line, n, err);
        if (st != ST_FORMAT || !r->options.skip_bad) return st;
        if (r->n_bad++ == 0 && err) first = *err;
    }
}

static status reader_start(trace_reader **out, line_reader *lines,
                           const trace_reader_options *options, errbuf *err) {
    trace_reader *r = calloc(1, sizeof(*r));
    if (!r) {
        line_reader_close(lines);
        return fail(err, ST_NO_MEMORY, "trace: out of memory");
    }
    r->options = *options;
    r->lines = lines;
    status st = find_format(r, err);
    if (st != ST_OK) {
        trace_reader_close(r);
        return st;
    }
    *out = r;
    return ST_OK;
}

status trace_reader_open(trace_reader **out, const char *path,
                         const trace_reader_options *options, errbuf *err) {
    line_reader *lines = NULL;
    status st = line_reader_open(&lines, path, err);
    return st == ST_OK ? reader_start(out, lines, options, err) : st;
}

status trace_reader_open_memory(trace_reader **out, const void *bytes, size_t n,
                                const char *name, const trace_reader_options *options,
                                errbuf *err) {
    line_reader *lines = NULL;
    status st = line_reader_open_memory(&lines, bytes, n, name, err);
    return st == ST_OK ? reader_start(out, lines, options, err) : st;
}

void trace_reader_close(trace_reader *r) {
    if (!r) return;
    line_reader_close(r->lines);
    trace_json_destroy(r->json);
    free(r);
}

/* Can the record be served? Says what is wrong otherwise. */
static status check(const trace_reader *r, const trace_record *record, errbuf *err) {
    trace_place place = place_of(r);
    if (record->n_prompt == 0 && !r->options.allow_empty)
        return trace_bad_value(&place, prompt_column(r), "0", "a prompt of at least 1 token",
                               err);
    if (record->n_output == 0 && !r->options.allow_empty)
        return trace_bad_value(&place, output_column(r), "0", "an output of at least 1 token",
                               err);
    if (r->options.n_output_max && record->n_output > r->options.n_output_max)
        return trace_bad_line(&place, output_column(r), err,
                              "an output of %u tokens is over the declared limit of %u "
                              "(--output-limit)",
                              record->n_output, r->options.n_output_max);
    if (r->any && record->time_ns < r->last_ns && !r->options.any_order)
        return trace_bad_line(&place, time_column(r), err,
                              "time runs backwards, %.9f s before the request above it (--sort "
                              "puts a file in order)",
                              (double)(r->last_ns - record->time_ns) / 1e9);
    return ST_OK;
}

static status parse_line(trace_reader *r, trace_record *out, bool *failed, errbuf *err) {
    char *line = r->pending;
    size_t n = r->n_pending;
    r->pending = NULL;
    if (!line) {
        status st = line_reader_next(r->lines, &line, &n, err);
        if (st != ST_OK) return st;
    }
    trace_place place = place_of(r);
    *out = (trace_record){.priority = r->options.priority, .client = r->options.client};
    *failed = false;
    status st = r->json ? trace_json_parse(r->json, out, line, n, &place, err)
                        : csv_parse(&r->csv, out, failed, line, &place, err);
    if (st == ST_OK && !*failed) st = check(r, out, err);
    return st;
}

/* Adds to the message about a bad line what can be done. */
static status with_hint(errbuf *err) {
    if (!err) return ST_FORMAT;
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used,
             "; correct the line, or leave such lines out with --skip-bad");
    return ST_FORMAT;
}

status trace_reader_next(trace_reader *r, trace_record *out, errbuf *err) {
    for (;;) {
        trace_record record;
        bool failed;
        status st = parse_line(r, &record, &failed, err);
        if (st == ST_FORMAT && r->options.skip_bad) {
            r->n_bad++;
            continue;
        }
        if (st != ST_OK) return st == ST_FORMAT ? with_hint(err) : st;
        if (failed) {
            r->n_failed++;
            continue;
        }
        r->any = true;
        r->last_ns = record.time_ns;
        *out = record;
        return ST_OK;
    }
}

const char *trace_reader_format(const trace_reader *r) {
    return r->json ? trace_json_name(r->json) : csv_format_name(r->csv.format);
}

bool trace_reader_has_arrivals(const trace_reader *r) {
    return r->json || csv_has_arrivals(r->csv.format);
}

uint64_t trace_reader_n_bad(const trace_reader *r) {
    return r->n_bad;
}

uint64_t trace_reader_n_failed(const trace_reader *r) {
    return r->n_failed;
}
