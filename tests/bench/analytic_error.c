/* analytic_error.c - the analytic kernel times against measured ones, as a Markdown table.
 *
 * Reads the operator tables under $ADAPTIVELLM_SHARED_DATA/profiles and prints one line per
 * device, operator and model: rows compared, median and 90th percentile of |analytic / measured
 * - 1|, and the median of analytic / measured - 1 (bias). Where a table lacks a model's shape,
 * the nearest shape it has stands in; the line names the shape that was compared. Exit 0 done,
 * 1 failed, 77 no data (meson's "skipped"). */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "attention_model.h"
#include "device_spec.h"
#include "gemm_model.h"
#include "line_reader.h"
#include "measured_tables.h"

enum { MAX_COLUMNS = 128 };

/* A row or the header, cut at its commas. */
typedef struct fields {
    char *at[MAX_COLUMNS];
    int n;
} fields;

static void cut(fields *out, char *line) {
    out->n = 0;
    for (char *rest = line; rest && out->n < MAX_COLUMNS;) {
        out->at[out->n++] = rest;
        rest = strchr(rest, ',');
        if (rest) *rest++ = '\0';
    }
}

/* -1 when there is none of that name. */
static int column(const fields *header, const char *name) {
    for (int i = 0; name && i < header->n; i++)
        if (strcmp(header->at[i], name) == 0) return i;
    return -1;
}

static double number(const fields *row, int at) {
    return at >= 0 && at < row->n ? strtod(row->at[at], NULL) : -1;
}

static bool is_wanted(const comparison *c, const fields *header, const fields *row) {
    for (int i = 0; i < 2; i++) {
        int at = column(header, c->layout->wanted[i].column);
        if (at >= 0 && (at >= row->n || strcmp(row->at[at], c->layout->wanted[i].value) != 0))
            return false;
    }
    for (int i = 0; i < 3; i++) {
        int at = column(header, c->layout->shape[i]);
        if (at >= 0 && number(row, at) != c->shape[i]) return false;
    }
    return true;
}

static double analytic_s(const comparison *c, const device_spec *device, const fields *header,
                         const fields *row) {
    double first = number(row, column(header, c->layout->size[0]));
    if (c->kernel == GEMM) return gemm_s(device, (uint32_t)first, c->shape[0], c->shape[1]);
    attention_shape shape = {c->shape[0], c->shape[1], c->shape[2]};
    uint32_t n_seqs = c->layout->size[0] ? (uint32_t)first : 1;
    uint64_t length =
        (uint64_t)number(row, column(header, c->layout->size[1])) + c->layout->more_length;
    if (c->kernel == GENERATION)
        return generation_attention_s(device, &shape, n_seqs, n_seqs * length);
    return context_attention_s(device, &shape, n_seqs, (uint32_t)(n_seqs * length),
                               n_seqs * (length * (length + 1) / 2), n_seqs * length);
}

/* Relative errors of one comparison. */
typedef struct errors {
    double *relative; /* [capacity] */
    size_t n, capacity;
} errors;

static status append(errors *e, double relative) {
    if (e->n == e->capacity) {
        size_t capacity = e->capacity ? 2 * e->capacity : 256;
        double *grown = realloc(e->relative, capacity * sizeof(*grown));
        if (!grown) return ST_NO_MEMORY;
        e->relative = grown;
        e->capacity = capacity;
    }
    e->relative[e->n++] = relative;
    return ST_OK;
}

static status compare_rows(errors *out, const comparison *c, const device_spec *device,
                           line_reader *reader, errbuf *err) {
    char *line, *names = NULL;
    size_t n;
    fields header = {.n = 0}, row;
    status st = line_reader_next(reader, &line, &n, err);
    if (st == ST_OK && !(names = strdup(line))) st = ST_NO_MEMORY;
    if (st == ST_OK) cut(&header, names);
    int latency = column(&header, c->layout->latency);
    if (st == ST_OK && latency < 0)
        st = fail(err, ST_FORMAT, "%s: no column '%s'", line_reader_name(reader),
                  c->layout->latency);
    while (st == ST_OK && (st = line_reader_next(reader, &line, &n, err)) == ST_OK) {
        cut(&row, line);
        double measured_s = number(&row, latency) * c->layout->seconds;
        if (measured_s > 0 && is_wanted(c, &header, &row))
            st = append(out, analytic_s(c, device, &header, &row) / measured_s - 1);
    }
    free(names);
    return st == ST_END ? ST_OK : st;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_line(const char *device, const comparison *c, errors *e) {
    if (e->n == 0) return; /* the table has no such shape */
    qsort(e->relative, e->n, sizeof(*e->relative), by_value);
    double bias = e->relative[e->n / 2];
    for (size_t i = 0; i < e->n; i++)
        if (e->relative[i] < 0) e->relative[i] = -e->relative[i];
    qsort(e->relative, e->n, sizeof(*e->relative), by_value);
    char shape[64];
    if (c->kernel == GEMM)
        snprintf(shape, sizeof(shape), "n %u, k %u", (unsigned)c->shape[0],
                 (unsigned)c->shape[1]);
    else
        snprintf(shape, sizeof(shape), "%u/%u heads of %u", (unsigned)c->shape[0],
                 (unsigned)c->shape[1], (unsigned)c->shape[2]);
    printf("| %s | %s | %s | %s | %s | %zu | %.1f | %.1f | %+.1f |\n", device, c->op, c->model,
           shape, c->layout->source, e->n, 100 * e->relative[e->n / 2],
           100 * e->relative[e->n * 9 / 10], 100 * bias);
}

static status compare(const device_tables *t, const comparison *c, const char *folder,
                      errbuf *err) {
    char path[4096];
    int length = snprintf(path, sizeof(path), "%s/%s", folder, t->file[c->kernel]);
    if (length < 0 || (size_t)length >= sizeof(path))
        return fail(err, ST_INVALID, "path too long: %s", folder);
    line_reader *reader;
    status st = line_reader_open(&reader, path, err);
    if (st != ST_OK) return st;
    errors e = {0};
    st = compare_rows(&e, c, device_spec_find(t->device), reader, err);
    if (st == ST_OK) print_line(t->device, c, &e);
    free(e.relative);
    line_reader_close(reader);
    return st;
}

int main(void) {
    const char *shared = getenv("ADAPTIVELLM_SHARED_DATA");
    char folder[2048];
    struct stat found;
    snprintf(folder, sizeof(folder), "%s/profiles", shared ? shared : ".");
    if (!shared || stat(folder, &found) != 0) {
        fprintf(stderr,
                "analytic_error: no measured tables: %s is not there; set "
                "ADAPTIVELLM_SHARED_DATA to the folder that holds profiles/\n",
                folder);
        return 77;
    }
    printf(
        "| device | operator | model | shape compared | source | rows | median %% | p90 %% | "
        "bias %% |\n| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: |\n");
    errbuf err = {0};
    size_t n;
    const device_tables *tables = measured_tables(&n);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < tables[t].n; i++) {
            status st = compare(&tables[t], &tables[t].comparisons[i], folder, &err);
            if (st != ST_OK) {
                fprintf(stderr, "analytic_error: %s\n",
                        err.text[0] ? err.text : status_text(st));
                return 1;
            }
        }
    return 0;
}
