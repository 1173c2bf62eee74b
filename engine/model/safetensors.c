#include "safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "json_fields.h"

static const struct {
    const char *name;
    uint32_t bytes;
} dtypes[] = {
    {"F32", 4},     {"F16", 2},     {"BF16", 2}, /* those of views, in their order */
    {"F64", 8},     {"I64", 8},     {"U64", 8},  {"C64", 8}, {"I32", 4},
    {"U32", 4},     {"I16", 2},     {"U16", 2},  {"I8", 1},  {"U8", 1},
    {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1},
};
enum { N_DTYPES = sizeof(dtypes) / sizeof(dtypes[0]) };

/* What is being read, for messages. */
typedef struct place {
    const char *file, *tensor;
    errbuf *err;
} place;

/* ------------------------------------------------------------ one tensor */

static status parse_dtype(safetensor *t, uint32_t *bytes, const json_t *entry, const place *p) {
    t->dtype_name = json_string_value(json_object_get(entry, "dtype"));
    if (!t->dtype_name)
        return fail(p->err, ST_FORMAT, "%s: tensor %.200s: dtype is no text or missing",
                    p->file, p->tensor);
    for (size_t i = 0; i < N_DTYPES; i++)
        if (strcmp(t->dtype_name, dtypes[i].name) == 0) {
            *bytes = dtypes[i].bytes;
            t->has_dtype = i < N_TENSOR_DTYPES;
            if (t->has_dtype) t->dtype = (tensor_dtype)i;
            return ST_OK;
        }
    return fail(p->err, ST_FORMAT, "%s: tensor %.200s: unknown dtype \"%.40s\"", p->file,
                p->tensor, t->dtype_name);
}

/* A whole number of at least 0, or -1. */
static int64_t count_of(const json_t *value) {
    int64_t n = json_is_integer(value) ? json_integer_value(value) : -1;
    return n >= 0 ? n : -1;
}

/* Sets the shape and the bytes that it asks for. */
static status parse_shape(safetensor *t, uint64_t *bytes, const json_t *entry, const place *p) {
    const json_t *shape = json_object_get(entry, "shape");
    size_t n = json_array_size(shape);
    if (!json_is_array(shape) || n > SAFETENSOR_DIMS_MAX)
        return fail(p->err, ST_FORMAT,
                    "%s: tensor %.200s: shape is no list of up to %d numbers", p->file,
                    p->tensor, SAFETENSOR_DIMS_MAX);
    for (size_t i = 0; i < n; i++) {
        int64_t size = count_of(json_array_get(shape, i));
        if (size < 0)
            return fail(p->err, ST_FORMAT,
                        "%s: tensor %.200s: shape[%zu] is no whole number from 0 on", p->file,
                        p->tensor, i);
        if (size > 0 && *bytes > INT64_MAX / (uint64_t)size)
            return fail(p->err, ST_FORMAT,
                        "%s: tensor %.200s: shape is over 2^63 bytes at [%zu]", p->file,
                        p->tensor, i);
        t->shape[i] = (uint64_t)size;
        *bytes *= (uint64_t)size;
    }
    t->n_dims = (uint32_t)n;
    return ST_OK;
}

/* Offsets count from the start of the data, which has n_data bytes. */
static status parse_offsets(safetensor *t, uint64_t bytes, uint64_t n_data, const json_t *entry,
                            const place *p) {
    const json_t *offsets = json_object_get(entry, "data_offsets");
    int64_t begin = count_of(json_array_get(offsets, 0));
    int64_t end = count_of(json_array_get(offsets, 1));
    if (json_array_size(offsets) != 2 || begin < 0 || end < 0)
        return fail(p->err, ST_FORMAT,
                    "%s: tensor %.200s: data_offsets are not two whole numbers from 0 on",
                    p->file, p->tensor);
    if (begin > end)
        return fail(p->err, ST_FORMAT,
                    "%s: tensor %.200s: begins at %lld, behind its end at %lld", p->file,
                    p->tensor, (long long)begin, (long long)end);
    if ((uint64_t)end > n_data)
        return fail(p->err, ST_FORMAT,
                    "%s: tensor %.200s: ends at %lld, but the file has %llu bytes of data",
                    p->file, p->tensor, (long long)end, (unsigned long long)n_data);
    if ((uint64_t)(end - begin) != bytes)
        return fail(p->err, ST_FORMAT,
                    "%s: tensor %.200s: has %lld bytes, its shape asks for %llu", p->file,
                    p->tensor, (long long)(end - begin), (unsigned long long)bytes);
    t->begin = (uint64_t)begin;
    t->end = (uint64_t)end;
    return ST_OK;
}

static status parse_tensor(safetensor *t, uint64_t n_data, const json_t *entry,
                           const place *p) {
    if (json_object_size(entry) != 3) /* 0 where it is no object */
        return fail(p->err, ST_FORMAT, "%s: tensor %.200s: is not {dtype, shape, data_offsets}",
                    p->file, p->tensor);
    uint32_t value_bytes = 0;
    *t = (safetensor){.name = p->tensor};
    TRY(parse_dtype(t, &value_bytes, entry, p));
    uint64_t bytes = value_bytes;
    TRY(parse_shape(t, &bytes, entry, p));
    return parse_offsets(t, bytes, n_data, entry, p);
}

/* ------------------------------------------------------------ all tensors */

static int by_place(const void *a, const void *b) {
    const safetensor *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The data must be used up, each byte once. */
static status check_cover(const safetensors *s, uint64_t n_data, const char *file,
                          errbuf *err) {
    uint64_t at = 0;
    for (size_t i = 0; i < s->n; at = s->tensors[i++].end) {
        const safetensor *t = &s->tensors[i];
        if (t->begin < at)
            return fail(err, ST_FORMAT,
                        "%s: tensor %.150s begins at %llu, inside %.150s, which ends at %llu",
                        file, t->name, (unsigned long long)t->begin, s->tensors[i - 1].name,
                        (unsigned long long)at);
        if (t->begin > at)
            return fail(
                err, ST_FORMAT,
                "%s: tensor %.200s begins at %llu, but no tensor has the bytes from %llu", file,
                t->name, (unsigned long long)t->begin, (unsigned long long)at);
    }
    if (at == n_data) return ST_OK;
    return fail(err, ST_FORMAT,
                "%s: the last tensor ends at %llu, but there are %llu bytes of data", file,
                (unsigned long long)at, (unsigned long long)n_data);
}

static status check_metadata(const json_t *metadata, const char *file, errbuf *err) {
    if (!json_is_object(metadata))
        return fail(err, ST_FORMAT, "%s: __metadata__ is no object", file);
    void *object = (void *)(uintptr_t)metadata; /* jansson's iterators take no const */
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        if (!json_is_string(json_object_iter_value(at)))
            return fail(err, ST_FORMAT, "%s: __metadata__.%.200s is no text", file,
                        json_object_iter_key(at));
    return ST_OK;
}

/* The tensors of a header in any order. */
static status parse_tensors(safetensors *s, json_t *header, uint64_t n_data, const char *file,
                            errbuf *err) {
    for (void *at = json_object_iter(header); at; at = json_object_iter_next(header, at)) {
        const char *name = json_object_iter_key(at);
        const json_t *entry = json_object_iter_value(at);
        if (strcmp(name, "__metadata__") == 0) {
            TRY(check_metadata(entry, file, err));
            continue;
        }
        const place p = {file, name, err};
        TRY(parse_tensor(&s->tensors[s->n], n_data, entry, &p));
        s->n++;
    }
    return ST_OK;
}

static status read_header(safetensors *s, const uint8_t *text, size_t n_header, uint64_t n_data,
                          const char *file, errbuf *err) {
    json_t *header = NULL;
    TRY(fields_parse(&header, (const char *)text, n_header, file, err));
    s->header = header;
    s->tensors = calloc(json_object_size(header) + 1, sizeof(*s->tensors));
    if (!s->tensors) return fail(err, ST_NO_MEMORY, "%s: out of memory", file);
    TRY(parse_tensors(s, header, n_data, file, err));
    qsort(s->tensors, s->n, sizeof(*s->tensors), by_place);
    TRY(check_cover(s, n_data, file, err));
    for (size_t i = 0; i < s->n; i++) {
        s->tensors[i].begin += 8 + n_header;
        s->tensors[i].end += 8 + n_header;
    }
    return ST_OK;
}

static uint64_t little_endian(const uint8_t bytes[8]) {
    uint64_t n = 0;
    for (int i = 8; i-- > 0;) n = n << 8 | bytes[i];
    return n;
}

status safetensors_parse(safetensors *out, const uint8_t *bytes, size_t n, const char *file,
                         errbuf *err) {
    if (n < 8)
        return fail(err, ST_FORMAT,
                    "%s: is cut short: %zu bytes, fewer than the header's length", file, n);
    uint64_t n_header = little_endian(bytes);
    if (n_header > SAFETENSORS_HEADER_MAX)
        return fail(err, ST_FORMAT, "%s: the header is said to have %llu bytes, more than %d",
                    file, (unsigned long long)n_header, SAFETENSORS_HEADER_MAX);
    if (n_header > n - 8)
        return fail(err, ST_FORMAT,
                    "%s: is cut short: the header is said to have %llu bytes, %zu follow", file,
                    (unsigned long long)n_header, n - 8);
    safetensors s = {0};
    status st = read_header(&s, bytes + 8, (size_t)n_header, n - 8 - n_header, file, err);
    if (st == ST_OK)
        *out = s;
    else
        safetensors_finish(&s);
    return st;
}

void safetensors_finish(safetensors *s) {
    free(s->tensors);
    json_decref(s->header);
    *s = (safetensors){0};
}
