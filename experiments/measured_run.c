#include "measured_run.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "line_reader.h"

enum { COLUMNS_MAX = 32, TOKENS_MAX = 1 << 24 };

/* A simulation counts nanoseconds; 30 years of them are no problem, and no run. */
static const double TIME_MAX_S = 1e9;

/* ------------------------------------------------------------ growing arrays */

static status reserve(void **array, size_t n, size_t size, errbuf *err) {
    if (n & (n + 1)) return ST_OK; /* room for 2^k - 1 until the next is full */
    void *grown = realloc(*array, (2 * n + 1) * size);
    if (!grown) return fail(err, ST_NO_MEMORY, "out of memory for a measured run");
    *array = grown;
    return ST_OK;
}

/* ------------------------------------------------------------ CSV */

typedef struct csv {
    line_reader *reader;
    const char *const *names; /* [n_names] columns wanted */
    size_t n_names, place[COLUMNS_MAX], n_columns;
    double values[COLUMNS_MAX]; /* [n_names] of the line at hand */
} csv;

static size_t cut_fields(char *line, char *fields[COLUMNS_MAX]) {
    size_t n = 0;
    for (char *at = line; at && n < COLUMNS_MAX; n++) {
        fields[n] = at;
        at = strchr(at, ',');
        if (at) *at++ = '\0';
    }
    return n;
}

static status csv_bind(csv *c, char *header, errbuf *err) {
    char *fields[COLUMNS_MAX];
    c->n_columns = cut_fields(header, fields);
    for (size_t i = 0; i < c->n_names; i++) {
        size_t at = 0;
        while (at < c->n_columns && strcmp(fields[at], c->names[i]) != 0) at++;
        if (at == c->n_columns)
            return fail(err, ST_FORMAT, "%s:1: there is no column '%s'",
                        line_reader_name(c->reader), c->names[i]);
        c->place[i] = at;
    }
    return ST_OK;
}

static status csv_row(csv *c, char *line, errbuf *err) {
    char *fields[COLUMNS_MAX];
    size_t n = cut_fields(line, fields);
    for (size_t i = 0; i < c->n_names; i++) {
        const char *text = c->place[i] < n ? fields[c->place[i]] : "";
        char *end;
        c->values[i] = strtod(text, &end);
        if (end == text || *end || !isfinite(c->values[i]))
            return fail(err, ST_FORMAT, "%s:%llu: column %s: '%s' is not a number",
                        line_reader_name(c->reader),
                        (unsigned long long)line_reader_line(c->reader), c->names[i], text);
    }
    return ST_OK;
}

/* ------------------------------------------------------------ requests */

typedef struct run_reader {
    measured_run run;
    line_reader *reader;
    csv csv;             /* of the CSV format */
    double clock_offset; /* of the JSON format: least queued - arrival */
} run_reader;

static status bad_request(const run_reader *r, const char *what, double value, errbuf *err) {
    return fail(err, ST_FORMAT, "%s:%llu: %s: %g is not possible", line_reader_name(r->reader),
                (unsigned long long)line_reader_line(r->reader), what, value);
}

static bool is_count(double tokens) {
    return tokens >= 1 && tokens <= TOKENS_MAX && tokens == floor(tokens);
}

static status add_request(run_reader *r, measured_request q, double n_prompt, double n_output,
                          errbuf *err) {
    if (!is_count(n_prompt)) return bad_request(r, "prompt tokens", n_prompt, err);
    if (!is_count(n_output)) return bad_request(r, "output tokens", n_output, err);
    if (!(q.e2e_s >= q.ttft_s)) return bad_request(r, "time to the last token", q.e2e_s, err);
    q.n_prompt = (uint32_t)n_prompt;
    q.n_output = (uint32_t)n_output;
    void *array = r->run.requests;
    TRY(reserve(&array, r->run.n, sizeof(q), err));
    r->run.requests = array;
    r->run.requests[r->run.n++] = q;
    return ST_OK;
}

enum { CSV_ARRIVAL, CSV_PROMPT, CSV_OUTPUT, CSV_QUEUE, CSV_TTFT, CSV_E2E, N_CSV };
static const char *const csv_names[N_CSV] = {"arrival_s", "prompt_tokens", "completion_tokens",
                                             "queue_s",   "ttft_s",        "e2e_s"};

static status add_csv(run_reader *r, char *line, errbuf *err) {
    if (line_reader_line(r->reader) == 1) return csv_bind(&r->csv, line, err);
    TRY(csv_row(&r->csv, line, err));
    const double *v = r->csv.values;
    measured_request q = {.arrival_s = v[CSV_ARRIVAL],
                          .queue_s = v[CSV_QUEUE],
                          .ttft_s = v[CSV_TTFT],
                          .e2e_s = v[CSV_E2E]};
    return add_request(r, q, v[CSV_PROMPT], v[CSV_OUTPUT], err);
}

enum {
    JSON_ARRIVAL,
    JSON_PROMPT,
    JSON_OUTPUT,
    JSON_QUEUED,
    JSON_SCHEDULED,
    JSON_FIRST,
    JSON_LAST
};
static const char *const json_names[] = {"arrival_time", "input_toks",   "output_toks",
                                         "queued_ts",    "scheduled_ts", "first_token_ts",
                                         "last_token_ts"};
enum { N_JSON = sizeof(json_names) / sizeof(json_names[0]) };

static status json_numbers(double out[N_JSON], const run_reader *r, const char *line,
                           errbuf *err) {
    json_error_t why;
    json_t *all = json_loads(line, 0, &why);
    status st = ST_OK;
    for (int i = 0; i < N_JSON && st == ST_OK; i++) {
        json_t *value = json_object_get(all, json_names[i]);
        out[i] = json_number_value(value);
        if (!json_is_number(value))
            st =
                fail(err, ST_FORMAT, "%s:%llu: %s%s", line_reader_name(r->reader),
                     (unsigned long long)line_reader_line(r->reader),
                     all ? "there is no number in field " : why.text, all ? json_names[i] : "");
    }
    json_decref(all);
    return st;
}

/* Times to tokens stay on their own clock until the offset is known. */
static status add_json(run_reader *r, const char *line, errbuf *err) {
    double v[N_JSON];
    TRY(json_numbers(v, r, line, err));
    double offset = v[JSON_QUEUED] - v[JSON_ARRIVAL];
    if (r->run.n == 0 || offset < r->clock_offset) r->clock_offset = offset;
    measured_request q = {.arrival_s = v[JSON_ARRIVAL],
                          .queue_s = v[JSON_SCHEDULED] - v[JSON_QUEUED],
                          .ttft_s = v[JSON_FIRST] - v[JSON_ARRIVAL],
                          .e2e_s = v[JSON_LAST] - v[JSON_ARRIVAL]};
    return add_request(r, q, v[JSON_PROMPT], v[JSON_OUTPUT], err);
}

static int by_arrival(const void *left, const void *right) {
    const measured_request *a = left, *b = right;
    return (a->arrival_s > b->arrival_s) - (a->arrival_s < b->arrival_s);
}

static status read_lines(run_reader *r, errbuf *err) {
    char *line;
    size_t n;
    bool is_json = false;
    status st;
    while ((st = line_reader_next(r->reader, &line, &n, err)) == ST_OK) {
        if (line_reader_line(r->reader) == 1) is_json = line[0] == '{';
        if (n > 0) TRY(is_json ? add_json(r, line, err) : add_csv(r, line, err));
    }
    if (st != ST_END) return st;
    if (r->run.n == 0)
        return fail(err, ST_FORMAT, "%s: there is no request in it",
                    line_reader_name(r->reader));
    qsort(r->run.requests, r->run.n, sizeof(*r->run.requests), by_arrival);
    double first_s = r->run.requests[0].arrival_s;
    for (size_t i = 0; i < r->run.n; i++) {
        measured_request *q = &r->run.requests[i];
        q->arrival_s -= first_s;
        q->ttft_s -= r->clock_offset;
        q->e2e_s -= r->clock_offset;
        if (!(q->arrival_s <= TIME_MAX_S))
            return fail(err, ST_FORMAT, "%s: request %zu arrives %g s after the first one",
                        line_reader_name(r->reader), i, q->arrival_s);
        if (!(q->ttft_s >= 0))
            return fail(err, ST_FORMAT,
                        "%s: request %zu has its first token %g s before it arrives",
                        line_reader_name(r->reader), i, -q->ttft_s);
    }
    return ST_OK;
}

status measured_run_read(measured_run *out, const char *path, errbuf *err) {
    run_reader r = {.csv = {.names = csv_names, .n_names = N_CSV}};
    TRY(line_reader_open(&r.reader, path, err));
    r.csv.reader = r.reader;
    status st = read_lines(&r, err);
    line_reader_close(r.reader);
    if (st == ST_OK)
        *out = r.run;
    else
        measured_run_finish(&r.run);
    return st;
}

void measured_run_finish(measured_run *run) {
    free(run->requests);
    *run = (measured_run){0};
}

/* ------------------------------------------------------------ queues over time */

static status read_ticks(measured_series *out, csv *c, errbuf *err) {
    char *line;
    size_t n;
    status st;
    while ((st = line_reader_next(c->reader, &line, &n, err)) == ST_OK) {
        if (line_reader_line(c->reader) == 1) {
            TRY(csv_bind(c, line, err));
        } else if (n > 0) {
            TRY(csv_row(c, line, err));
            void *array = out->ticks;
            TRY(reserve(&array, out->n, sizeof(*out->ticks), err));
            out->ticks = array;
            out->ticks[out->n++] = (measured_tick){c->values[0], c->values[1], c->values[2]};
        }
    }
    if (st != ST_END) return st;
    return out->n
               ? ST_OK
               : fail(err, ST_FORMAT, "%s: there is no row in it", line_reader_name(c->reader));
}

status measured_series_read(measured_series *out, const char *path, errbuf *err) {
    static const char *const names[] = {"t", "running", "waiting"};
    csv c = {.names = names, .n_names = 3};
    measured_series series = {0};
    TRY(line_reader_open(&c.reader, path, err));
    status st = read_ticks(&series, &c, err);
    line_reader_close(c.reader);
    if (st == ST_OK)
        *out = series;
    else
        measured_series_finish(&series);
    return st;
}

void measured_series_finish(measured_series *series) {
    free(series->ticks);
    *series = (measured_series){0};
}
