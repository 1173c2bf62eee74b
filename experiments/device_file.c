#include "device_file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_fields.h"
#include "mapped_file.h"
#include "nearest.h"

enum { SMS_MAX = 1 << 16 };

struct device_file {
    json_t *object; /* whose texts the specification has */
    device_spec spec;
};

/* What no device is beyond; within them every time fits into a clock of nanoseconds. */
typedef struct limit {
    const char *key;
    size_t at;
    double least, most;
} limit;

#define LIMIT(key, least, most)                                                                \
    { #key, offsetof(device_spec, key), least, most }
static const limit limits[] = {
    LIMIT(peak_flops, 1e10, 1e18),           LIMIT(memory_bytes, 1e6, 1e15),
    LIMIT(memory_bytes_per_s, 1e7, 1e16),    LIMIT(link_bytes_per_s, 1e6, 1e15),
    LIMIT(link_both_bytes_per_s, 1e6, 2e15), LIMIT(copy_launch_s, 1e-9, 1),
    LIMIT(peer_bytes_per_s, 1e6, 1e15),      LIMIT(peer_latency_s, 1e-9, 1),
};
static const char *const others[] = {"like", "name", "full_name", "n_sms"};
enum {
    N_LIMITS = sizeof(limits) / sizeof(limits[0]),
    N_OTHERS = sizeof(others) / sizeof(others[0]),
};

static status check_keys(const json_fields *f, errbuf *err) {
    const char *known[N_OTHERS + N_LIMITS], *key;
    for (size_t i = 0; i < N_OTHERS; i++) known[i] = others[i];
    for (size_t i = 0; i < N_LIMITS; i++) known[N_OTHERS + i] = limits[i].key;
    json_t *value;
    json_object_foreach((json_t *)f->object, key, value) {
        size_t i = 0;
        while (i < N_OTHERS + N_LIMITS && strcmp(known[i], key) != 0) i++;
        if (i < N_OTHERS + N_LIMITS) continue;
        char hint[NEAREST_HINT_SIZE];
        return fail(err, ST_FORMAT,
                    "%s: a device has no '%s'; %s`adaptivellm devices --json` shows its keys",
                    f->file, key, nearest_hint(hint, key, known, N_OTHERS + N_LIMITS));
    }
    return ST_OK;
}

static status read_names(device_spec *d, const json_fields *f, errbuf *err) {
    const char *like;
    TRY(fields_text(&like, f, "like", err));
    const device_spec *listed = device_spec_find(like);
    if (!listed) return fields_wrong(f, "like", "but no device of `adaptivellm devices`", err);
    *d = *listed;
    TRY(fields_text(&d->name, f, "name", err));
    if (device_spec_find(d->name) || d->name[0] == '\0')
        return fields_wrong(f, "name", "but must be a name that is not listed yet", err);
    return fields_text_or(&d->full_name, f, "full_name", d->name, err);
}

static status read_limits(device_spec *d, const json_fields *f, errbuf *err) {
    double both = d->link_both_bytes_per_s / d->link_bytes_per_s;
    TRY(fields_size_or(&d->n_sms, f, "n_sms", SMS_MAX, d->n_sms, err));
    for (size_t i = 0; i < N_LIMITS; i++) {
        double *value = (double *)((char *)d + limits[i].at);
        TRY(fields_positive_or(value, f, limits[i].key, *value, err));
        char reason[64];
        snprintf(reason, sizeof(reason), "not from %g to %g", limits[i].least, limits[i].most);
        if (*value < limits[i].least || *value > limits[i].most)
            return fields_wrong(f, limits[i].key, reason, err);
    }
    if (!fields_get(f, "link_both_bytes_per_s")) /* keeps its ratio to one way */
        d->link_both_bytes_per_s = both * d->link_bytes_per_s;
    return ST_OK;
}

static status parse(device_file *file, const char *text, size_t n, const char *path,
                    errbuf *err) {
    TRY(fields_parse(&file->object, text, n, path, err));
    json_fields fields = {file->object, path, ""};
    TRY(check_keys(&fields, err));
    TRY(read_names(&file->spec, &fields, err));
    return read_limits(&file->spec, &fields, err);
}

status device_file_parse(device_file **out, const char *text, size_t n, const char *path,
                         errbuf *err) {
    device_file *file = calloc(1, sizeof(*file));
    if (!file) return fail(err, ST_NO_MEMORY, "out of memory");
    status st = parse(file, text, n, path, err);
    if (st == ST_OK)
        *out = file;
    else
        device_file_close(file);
    return st;
}

status device_file_open(device_file **out, const char *path, errbuf *err) {
    mapped_file text = {0};
    status st = mapped_file_init(&text, path, err);
    if (st == ST_OK) st = device_file_parse(out, (const char *)text.bytes, text.n, path, err);
    mapped_file_finish(&text);
    return st;
}

void device_file_close(device_file *file) {
    if (!file) return;
    json_decref(file->object);
    free(file);
}

const device_spec *device_file_spec(const device_file *file) {
    return &file->spec;
}
