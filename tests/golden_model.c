#include "golden_model.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef char path_text[600];

static status read_tokens(golden_tokens *out, const json_t *list, uint32_t vocab,
                          const char *path, errbuf *err) {
    size_t n = json_array_size(list);
    if (n == 0 || n > GOLDEN_TOKENS_MAX)
        return fail(err, ST_FORMAT, "%s: a list of %zu tokens", path, n);
    for (size_t i = 0; i < n; i++) {
        json_int_t id = json_integer_value(json_array_get(list, i));
        if (id < 0 || id >= vocab)
            return fail(err, ST_FORMAT, "%s: token %lld", path, (long long)id);
        out->ids[i] = (uint32_t)id;
    }
    out->n = (uint32_t)n;
    return ST_OK;
}

/* Each element of list, or its member `key` where there is one. */
static status read_lists(golden_tokens *out, uint32_t *n_lists, const json_t *list,
                         const char *key, uint32_t vocab, const char *path, errbuf *err) {
    size_t n = json_array_size(list);
    if (n == 0 || n > GOLDEN_LISTS_MAX)
        return fail(err, ST_FORMAT, "%s: %zu lists of tokens", path, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *element = json_array_get(list, i);
        if (key) element = json_object_get(element, key);
        TRY(read_tokens(&out[i], element, vocab, path, err));
    }
    *n_lists = (uint32_t)n;
    return ST_OK;
}

static status read_json(golden_model *g, const json_t *root, const char *path, errbuf *err) {
    json_int_t vocab = json_integer_value(json_object_get(root, "vocab"));
    if (vocab <= 0 || vocab > UINT16_MAX)
        return fail(err, ST_FORMAT, "%s: vocab is %lld", path, (long long)vocab);
    g->vocab = (uint32_t)vocab;
    TRY(read_lists(g->sequences, &g->n_sequences, json_object_get(root, "sequences"), NULL,
                   g->vocab, path, err));
    const json_t *pairs = json_object_get(root, "continuations");
    TRY(read_lists(g->prompts, &g->n_continuations, pairs, "prompt", g->vocab, path, err));
    return read_lists(g->continuations, &g->n_continuations, pairs, "tokens", g->vocab, path,
                      err);
}

static status read_file(golden_model *g, const char *path, errbuf *err) {
    json_error_t at;
    json_t *root = json_load_file(path, 0, &at);
    if (!root) return fail(err, ST_FORMAT, "%s:%d: %s", path, at.line, at.text);
    status st = read_json(g, root, path, err);
    json_decref(root);
    return st;
}

/* As many floats as the sequences have rows, and not one more. */
static status read_rows(golden_model *g, const char *path, errbuf *err) {
    uint32_t n_rows = 0;
    for (uint32_t i = 0; i < g->n_sequences; i++) {
        g->first_row[i] = n_rows;
        n_rows += g->sequences[i].n;
    }
    const size_t n = (size_t)n_rows * g->vocab;
    g->rows = malloc(n * sizeof(*g->rows));
    if (!g->rows) return fail(err, ST_NO_MEMORY, "%s: %zu floats", path, n);
    FILE *f = fopen(path, "rb");
    if (!f) return fail(err, ST_IO, "open %s: %s", path, strerror(errno));
    size_t n_read = fread(g->rows, sizeof(*g->rows), n, f);
    bool longer = fgetc(f) != EOF;
    fclose(f);
    if (n_read == n && !longer) return ST_OK;
    return fail(err, ST_FORMAT, "%s: not %zu rows of %lu floats", path, (size_t)n_rows,
                (unsigned long)g->vocab);
}

static status read_all(golden_model *g, errbuf *err) {
    path_text path;
    snprintf(path, sizeof(path), "%s/golden.json", g->dir);
    TRY(read_file(g, path, err));
    snprintf(path, sizeof(path), "%s/logits.f32", g->dir);
    return read_rows(g, path, err);
}

status golden_model_read(golden_model *out, const char *root, const char *name, errbuf *err) {
    memset(out, 0, sizeof(*out));
    int n = snprintf(out->dir, sizeof(out->dir), "%s/%s", root, name);
    if (n < 0 || (size_t)n >= sizeof(out->dir))
        return fail(err, ST_IO, "%s: path too long", root);
    status st = read_all(out, err);
    if (st != ST_OK) golden_model_finish(out);
    return st;
}

void golden_model_finish(golden_model *g) {
    free(g->rows);
    memset(g, 0, sizeof(*g));
}

const float *golden_model_row(const golden_model *g, uint32_t i, uint32_t position) {
    assert(i < g->n_sequences);
    assert(position < g->sequences[i].n);
    return g->rows + (size_t)(g->first_row[i] + position) * g->vocab;
}

double relative_l2(const float *a, const float *b, uint32_t n) {
    double difference = 0, norm = 0;
    for (uint32_t i = 0; i < n; i++) {
        double d = (double)a[i] - b[i];
        difference += d * d;
        norm += (double)b[i] * b[i];
    }
    return sqrt(difference / norm);
}
