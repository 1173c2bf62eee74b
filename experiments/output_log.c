#include "output_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of one request: tokens [first, first + n) of all. */
typedef struct output_row {
    uint64_t request_id;
    size_t first;
    uint32_t n;
} output_row;

struct output_log {
    FILE *file;
    char *path;
    status result;    /* of keeping */
    output_row *rows; /* [n_rows] */
    uint32_t *tokens; /* [n_tokens] */
    size_t n_rows, rows_capacity, n_tokens, tokens_capacity;
};

status output_log_open(output_log **out, const char *path, errbuf *err) {
    output_log *l = calloc(1, sizeof(*l));
    char *copy = strdup(path);
    FILE *file = l && copy ? fopen(path, "w") : NULL;
    if (!file) {
        free(l);
        free(copy);
        return fail(err, ST_IO, "open %s: %s", path, strerror(errno));
    }
    *l = (output_log){.file = file, .path = copy};
    *out = l;
    return ST_OK;
}

/* Room for n more elements of `size` bytes in *array. */
static status reserve(void **array, size_t n, size_t more, size_t *capacity, size_t size) {
    if (n + more <= *capacity) return ST_OK;
    size_t wanted = 2 * (n + more) + 64;
    void *grown = realloc(*array, wanted * size);
    if (!grown) return ST_NO_MEMORY;
    *array = grown;
    *capacity = wanted;
    return ST_OK;
}

static status keep(output_log *l, uint64_t request_id, const uint32_t *tokens, uint32_t n) {
    void *rows = l->rows, *all = l->tokens;
    TRY(reserve(&rows, l->n_rows, 1, &l->rows_capacity, sizeof(*l->rows)));
    l->rows = rows;
    TRY(reserve(&all, l->n_tokens, n, &l->tokens_capacity, sizeof(*tokens)));
    l->tokens = all;
    memcpy(l->tokens + l->n_tokens, tokens, n * sizeof(*tokens));
    l->rows[l->n_rows++] = (output_row){request_id, l->n_tokens, n};
    l->n_tokens += n;
    return ST_OK;
}

void output_log_add(void *context, uint64_t request_id, const uint32_t *tokens, uint32_t n) {
    output_log *l = context;
    if (l->result == ST_OK) l->result = keep(l, request_id, tokens, n);
}

static int by_request(const void *a, const void *b) {
    const output_row *x = a, *y = b;
    return (x->request_id > y->request_id) - (x->request_id < y->request_id);
}

static void write_rows(output_log *l) {
    if (l->n_rows > 0) qsort(l->rows, l->n_rows, sizeof(*l->rows), by_request);
    for (size_t i = 0; i < l->n_rows; i++) {
        fprintf(l->file, "%" PRIu64 ":", l->rows[i].request_id);
        for (uint32_t j = 0; j < l->rows[i].n; j++)
            fprintf(l->file, " %" PRIu32, l->tokens[l->rows[i].first + j]);
        fputc('\n', l->file);
    }
}

status output_log_close(output_log *l, errbuf *err) {
    if (!l) return ST_OK;
    write_rows(l);
    bool failed = ferror(l->file) != 0;
    failed |= fclose(l->file) != 0;
    status st = failed ? fail(err, ST_IO, "write %s: %s", l->path, strerror(errno)) : ST_OK;
    if (st == ST_OK && l->result != ST_OK)
        st = fail(err, l->result, "%s: out of memory, outputs are missing", l->path);
    free(l->rows);
    free(l->tokens);
    free(l->path);
    free(l);
    return st;
}
