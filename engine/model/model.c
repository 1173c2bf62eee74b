#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_files.h"
#include "tensor_slots.h"

struct model {
    model_config config;
    model_weights weights;
    model_files files;
    void **copies; /* [n_copies] of tensors that lie unaligned in their file */
    size_t n_copies;
    uint64_t stored_bytes;
};

/* ------------------------------------------------------------ one tensor */

static bool has_shape(const safetensor *t, const tensor_slot *slot) {
    if (slot->role != TENSOR_MATRIX) return t->n_dims == 1 && t->shape[0] == slot->cols;
    return t->n_dims == 2 && t->shape[0] == slot->rows && t->shape[1] == slot->cols;
}

static status wrong_shape(const stored_tensor *s, const tensor_slot *slot, errbuf *err) {
    const safetensor *t = s->tensor;
    char is[64] = "", wanted[64];
    for (uint32_t i = 0, at = 0; i < t->n_dims && at < sizeof(is); i++)
        at += (uint32_t)snprintf(is + at, sizeof(is) - at, i ? ", %llu" : "%llu",
                                 (unsigned long long)t->shape[i]);
    if (slot->role == TENSOR_MATRIX)
        snprintf(wanted, sizeof(wanted), "%lu, %lu", (unsigned long)slot->rows,
                 (unsigned long)slot->cols);
    else
        snprintf(wanted, sizeof(wanted), "%lu", (unsigned long)slot->cols);
    return fail(err, ST_FORMAT, "%s: tensor %s has shape [%s], config.json asks for [%s]",
                s->shard->path, t->name, is, wanted);
}

/* Nothing asks a file to align its data. */
static status align(model *m, tensor_view *view, size_t n_bytes, errbuf *err) {
    if ((uintptr_t)view->data % tensor_dtype_bytes(view->dtype) == 0) return ST_OK;
    void **copies = realloc(m->copies, (m->n_copies + 1) * sizeof(*copies));
    if (!copies) return fail(err, ST_NO_MEMORY, "out of memory");
    m->copies = copies;
    void *copy = malloc(n_bytes);
    if (!copy)
        return fail(err, ST_NO_MEMORY, "out of memory for a copy of %zu unaligned bytes",
                    n_bytes);
    m->copies[m->n_copies++] = copy;
    memcpy(copy, view->data, n_bytes);
    view->data = copy;
    return ST_OK;
}

static status take_tensor(model *m, tensor_view *out, const tensor_place *place,
                          const char *dir, errbuf *err) {
    const tensor_slot *slot = place->slot;
    stored_tensor *s = model_files_find(&m->files, place->name);
    if (!s) return fail(err, ST_FORMAT, "%s: tensor %s is missing", dir, place->name);
    const safetensor *t = s->tensor;
    if (!t->has_dtype)
        return fail(err, ST_FORMAT, "%s: tensor %s has dtype %s, not F32, F16 or BF16",
                    s->shard->path, t->name, t->dtype_name);
    if (!has_shape(t, slot)) return wrong_shape(s, slot, err);
    s->used = true;
    m->stored_bytes += t->end - t->begin;
    *out = (tensor_view){s->shard->file.bytes + t->begin, t->dtype, slot->rows, slot->cols};
    return align(m, out, (size_t)(t->end - t->begin), err);
}

/* ------------------------------------------------------------ all tensors */

static status take_tensors(model *m, const char *dir, errbuf *err) {
    tensor_slots slots;
    tensor_slots_of(&slots, &m->config);
    for (uint32_t i = 0; i < tensor_slots_count(&slots, &m->config); i++) {
        tensor_place place;
        tensor_slots_at(&place, &slots, i);
        TRY(take_tensor(m, tensor_slots_view(&m->weights, &place), &place, dir, err));
    }
    if (m->config.tied_embeddings) m->weights.head = m->weights.embedding;
    return ST_OK;
}

static bool ends_in(const char *text, const char *end) {
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static status refuse_unused(const model *m, errbuf *err) {
    for (size_t i = 0; i < m->files.n_tensors; i++) {
        const stored_tensor *s = &m->files.tensors[i];
        const char *name = s->tensor->name;
        bool ignored = s->used || ends_in(name, ".rotary_emb.inv_freq") ||
                       (m->config.tied_embeddings && strcmp(name, "lm_head.weight") == 0);
        if (!ignored)
            return fail(err, ST_FORMAT,
                        "%s: tensor %.200s is of no use to the model of config.json",
                        s->shard->path, name);
    }
    return ST_OK;
}

/* ------------------------------------------------------------ values */

/* Index of the first value that is not finite, n when there is none. */
static uint64_t first_not_finite(const tensor_view *t, uint64_t n) {
    float values[1024];
    for (uint64_t at = 0; at < n; at += 1024) {
        size_t some = (size_t)(n - at < 1024 ? n - at : 1024);
        tensor_to_floats(values, t, (size_t)at, some);
        for (size_t i = 0; i < some; i++)
            if (!isfinite(values[i])) return at + i;
    }
    return n;
}

static status check_values(const tensor_view *t, const char *name, const model_files *files,
                           errbuf *err) {
    uint64_t n = (uint64_t)t->rows * t->cols, bad = first_not_finite(t, n);
    if (bad == n) return ST_OK;
    float value;
    tensor_to_floats(&value, t, (size_t)bad, 1);
    return fail(err, ST_FORMAT, "%s: tensor %s: value %llu of row %llu is %s",
                model_files_find(files, name)->shard->path, name,
                (unsigned long long)(bad % t->cols), (unsigned long long)(bad / t->cols),
                isnan(value) ? "NaN" : "infinite");
}

static status check_all_values(model *m, errbuf *err) {
    tensor_slots slots;
    tensor_slots_of(&slots, &m->config);
    for (uint32_t i = 0; i < tensor_slots_count(&slots, &m->config); i++) {
        tensor_place place;
        tensor_slots_at(&place, &slots, i);
        TRY(check_values(tensor_slots_view(&m->weights, &place), place.name, &m->files, err));
    }
    return ST_OK;
}

/* ------------------------------------------------------------ model */

static status load(model *m, const char *dir, bool check_weights, errbuf *err) {
    TRY(model_config_read(&m->config, dir, err));
    TRY(model_files_init(&m->files, dir, err));
    m->weights.layers = calloc(m->config.n_layers, sizeof(*m->weights.layers));
    if (!m->weights.layers) return fail(err, ST_NO_MEMORY, "%s: out of memory", dir);
    TRY(take_tensors(m, dir, err));
    TRY(refuse_unused(m, err));
    return check_weights ? check_all_values(m, err) : ST_OK;
}

status model_open(model **out, const char *dir, bool check_weights, errbuf *err) {
    model *m = calloc(1, sizeof(*m));
    if (!m) return fail(err, ST_NO_MEMORY, "%s: out of memory", dir);
    status st = load(m, dir, check_weights, err);
    if (st == ST_OK)
        *out = m;
    else
        model_close(m);
    return st;
}

void model_close(model *m) {
    if (!m) return;
    for (size_t i = 0; i < m->n_copies; i++) free(m->copies[i]);
    free(m->copies);
    free(m->weights.layers);
    model_files_finish(&m->files);
    free(m);
}

const model_config *model_config_of(const model *m) {
    return &m->config;
}

const model_weights *model_weights_of(const model *m) {
    return &m->weights;
}

uint64_t model_stored_bytes(const model *m) {
    return m->stored_bytes;
}
