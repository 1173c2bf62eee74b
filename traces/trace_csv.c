#include "trace_csv.h"

#include <stdint.h>
#include <string.h>

#include "nearest.h"
#include "number.h"

enum { FIELDS_MAX = 64 };

struct csv_format {
    const char *name;
    const char *columns[N_CSV_ROLES]; /* NULL when the format has none for the role */
    bool (*parse_time)(int64_t *ns, const char *text);
    const char *time_text;  /* what parse_time wants, for messages */
    bool output_may_fail;   /* 0 output tokens mark a failed request */
    bool others_are_errors; /* columns not listed; no column is NULL then */
};

static const csv_format formats[] = {
    {"Azure CSV",
     {"TIMESTAMP", "ContextTokens", "GeneratedTokens", NULL, NULL},
     number_parse_clock,
     "a time like 2023-11-16 18:17:03.9799600",
     false,
     false},
    {"BurstGPT CSV",
     {"Timestamp", "Request tokens", "Response tokens", NULL, NULL},
     number_parse_seconds,
     "a number of seconds from 0 up",
     true,
     false},
    {"length table",
     {NULL, "num_prefill_tokens", "num_decode_tokens", NULL, NULL},
     NULL,
     NULL,
     false,
     false},
    /* Behind the length table, which has as many columns of a header without arrived_at. */
    {"Vidur CSV",
     {"arrived_at", "num_prefill_tokens", "num_decode_tokens", NULL, NULL},
     number_parse_seconds,
     "a number of seconds from 0 up",
     false,
     false},
    {"native CSV",
     {"arrival_s", "n_prompt", "n_output", "priority", "client"},
     number_parse_seconds,
     "a number of seconds from 0 up",
     false,
     true},
};
enum { N_FORMATS = sizeof(formats) / sizeof(formats[0]) };

static bool is_required(csv_role role) {
    return role == CSV_TIME || role == CSV_PROMPT || role == CSV_OUTPUT;
}

/* Cuts the line at its commas; *n counts all fields, also those beyond FIELDS_MAX. */
static void split(char *fields[FIELDS_MAX], size_t *n, char *line) {
    *n = 0;
    for (char *p = line;;) {
        if (*n < FIELDS_MAX) fields[*n] = p;
        ++*n;
        p = strchr(p, ',');
        if (!p) return;
        *p++ = '\0';
    }
}

/* Fills layout->field for one format; returns how many of its columns the header has. */
static size_t match(csv_layout *layout, const csv_format *format, char *const *names,
                    size_t n) {
    size_t n_found = 0;
    layout->format = format;
    layout->n_fields = n;
    for (int role = 0; role < N_CSV_ROLES; role++) {
        layout->field[role] = SIZE_MAX;
        for (size_t i = 0; i < n && format->columns[role]; i++) {
            if (strcmp(names[i], format->columns[role]) != 0) continue;
            layout->field[role] = i;
            n_found++;
            break;
        }
    }
    return n_found;
}

static bool is_column_of(const csv_format *format, const char *name) {
    for (int role = 0; role < N_CSV_ROLES; role++)
        if (format->columns[role] && strcmp(name, format->columns[role]) == 0) return true;
    return false;
}

static status unknown_column(const csv_format *format, const char *name,
                             const trace_place *place, errbuf *err) {
    const char *near = nearest_name(name, format->columns, N_CSV_ROLES);
    return trace_bad_line(place, NULL, err, "a %s has no column '%.60s'%s%s%s", format->name,
                          name, near ? "; did you mean '" : "", near ? near : "",
                          near ? "'?" : "");
}

static status check_header(const csv_layout *layout, char *const *names,
                           const trace_place *place, errbuf *err) {
    const csv_format *format = layout->format;
    for (int role = 0; role < N_CSV_ROLES; role++)
        if (is_required((csv_role)role) && format->columns[role] &&
            layout->field[role] == SIZE_MAX)
            return trace_bad_line(place, NULL, err, "the column '%s' of a %s is missing",
                                  format->columns[role], format->name);
    for (size_t i = 0; i < layout->n_fields; i++) {
        if (!is_column_of(format, names[i])) {
            if (format->others_are_errors) return unknown_column(format, names[i], place, err);
            continue;
        }
        for (size_t j = 0; j < i; j++)
            if (strcmp(names[i], names[j]) == 0)
                return trace_bad_line(place, NULL, err, "the column '%s' is there twice",
                                      names[i]);
    }
    return ST_OK;
}

status csv_bind(csv_layout *out, char *header, const trace_place *place, errbuf *err) {
    char *names[FIELDS_MAX];
    size_t n, best_found = 0;
    split(names, &n, header);
    if (n > FIELDS_MAX)
        return trace_bad_line(place, NULL, err, "%zu columns, more than %d", n, FIELDS_MAX);
    csv_layout best = {0};
    for (size_t i = 0; i < N_FORMATS; i++) {
        csv_layout layout;
        size_t n_found = match(&layout, &formats[i], names, n);
        if (n_found <= best_found) continue;
        best_found = n_found;
        best = layout;
    }
    if (best_found == 0)
        return trace_bad_line(place, NULL, err,
                              "'%.60s' starts no known format; known are Azure, BurstGPT, "
                              "Vidur and native CSV, length tables, Mooncake and native JSONL",
                              names[0]);
    status st = check_header(&best, names, place, err);
    if (st == ST_OK) *out = best;
    return st;
}

static status parse_tokens(uint32_t *out, const csv_layout *layout, csv_role role,
                           char *const *fields, const trace_place *place, errbuf *err) {
    const char *text = fields[layout->field[role]];
    uint64_t value;
    if (!number_parse_u64(&value, text) || value > TRACE_MAX_TOKENS)
        return trace_bad_value(place, layout->format->columns[role], text,
                               "a whole number of tokens from 0 to 16777216", err);
    *out = (uint32_t)value;
    return ST_OK;
}

/* priority and client, where the header has them. */
static status parse_optional(const csv_layout *layout, trace_record *out, char *const *fields,
                             const trace_place *place, errbuf *err) {
    const char *const *columns = layout->format->columns;
    size_t at = layout->field[CSV_PRIORITY];
    if (at != SIZE_MAX && !number_parse_i32(&out->priority, fields[at]))
        return trace_bad_value(place, columns[CSV_PRIORITY], fields[at],
                               "a whole number of 32 bits", err);
    at = layout->field[CSV_CLIENT];
    uint64_t client = out->client;
    if (at != SIZE_MAX && (!number_parse_u64(&client, fields[at]) || client > UINT32_MAX))
        return trace_bad_value(place, columns[CSV_CLIENT], fields[at],
                               "a whole number from 0 to 4294967295", err);
    out->client = (uint32_t)client;
    return ST_OK;
}

status csv_parse(const csv_layout *layout, trace_record *out, bool *failed, char *line,
                 const trace_place *place, errbuf *err) {
    const csv_format *format = layout->format;
    char *fields[FIELDS_MAX];
    size_t n;
    split(fields, &n, line);
    if (n != layout->n_fields)
        return trace_bad_line(place, NULL, err, "'%.60s': fields: %zu, but the header has %zu",
                              fields[0], n, layout->n_fields);
    status st = parse_tokens(&out->n_prompt, layout, CSV_PROMPT, fields, place, err);
    if (st == ST_OK) st = parse_tokens(&out->n_output, layout, CSV_OUTPUT, fields, place, err);
    if (st == ST_OK) st = parse_optional(layout, out, fields, place, err);
    if (st != ST_OK) return st;
    if (format->parse_time) {
        const char *text = fields[layout->field[CSV_TIME]];
        if (!format->parse_time(&out->time_ns, text))
            return trace_bad_value(place, format->columns[CSV_TIME], text, format->time_text,
                                   err);
    }
    *failed = format->output_may_fail && out->n_output == 0;
    return ST_OK;
}

const char *csv_format_name(const csv_format *format) {
    return format->name;
}

const char *csv_column(const csv_format *format, csv_role role) {
    return format->columns[role];
}

bool csv_has_arrivals(const csv_format *format) {
    return format->parse_time != NULL;
}
