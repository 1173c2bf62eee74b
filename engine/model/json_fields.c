#include "json_fields.h"

#include <stdio.h>
#include <stdlib.h>

status fields_parse(json_t **out, const char *text, size_t n, const char *file, errbuf *err) {
    json_error_t error;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        return fail(err, ST_NO_MEMORY, "%s: out of memory", file);
    if (!root)
        return fail(err, ST_FORMAT, "%s: line %d, column %d: %s", file, error.line,
                    error.column, error.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return fail(err, ST_FORMAT, "%s: holds no JSON object", file);
    }
    *out = root;
    return ST_OK;
}

const json_t *fields_get(const json_fields *f, const char *key) {
    const json_t *value = json_object_get(f->object, key);
    return json_is_null(value) ? NULL : value;
}

status fields_wrong(const json_fields *f, const char *key, const char *reason, errbuf *err) {
    char *text = json_dumps(json_object_get(f->object, key), JSON_COMPACT | JSON_ENCODE_ANY);
    fail(err, ST_FORMAT, "%s: %s%s is %.100s, %s", f->file, f->prefix, key,
         text ? text : "not set", reason);
    free(text);
    return ST_FORMAT;
}

static status missing(const json_fields *f, const char *key, errbuf *err) {
    return fail(err, ST_FORMAT, "%s: %s%s is missing", f->file, f->prefix, key);
}

status fields_size(uint32_t *out, const json_fields *f, const char *key, uint32_t most,
                   errbuf *err) {
    const json_t *value = fields_get(f, key);
    if (!value) return missing(f, key, err);
    json_int_t n = json_integer_value(value); /* 0 where it is no integer */
    if (n < 1 || n > most) {
        char reason[64];
        snprintf(reason, sizeof(reason), "not a whole number from 1 to %lu",
                 (unsigned long)most);
        return fields_wrong(f, key, reason, err);
    }
    *out = (uint32_t)n;
    return ST_OK;
}

status fields_size_or(uint32_t *out, const json_fields *f, const char *key, uint32_t most,
                      uint32_t otherwise, errbuf *err) {
    if (fields_get(f, key)) return fields_size(out, f, key, most, err);
    *out = otherwise;
    return ST_OK;
}

status fields_positive(double *out, const json_fields *f, const char *key, errbuf *err) {
    const json_t *value = fields_get(f, key);
    if (!value) return missing(f, key, err);
    double x = json_number_value(value); /* 0 where it is no number */
    if (!(x > 0 && x < 1e30)) return fields_wrong(f, key, "not a number above 0", err);
    *out = x;
    return ST_OK;
}

status fields_positive_or(double *out, const json_fields *f, const char *key, double otherwise,
                          errbuf *err) {
    if (fields_get(f, key)) return fields_positive(out, f, key, err);
    *out = otherwise;
    return ST_OK;
}

status fields_bool_or(bool *out, const json_fields *f, const char *key, bool otherwise,
                      errbuf *err) {
    const json_t *value = fields_get(f, key);
    if (value && !json_is_boolean(value))
        return fields_wrong(f, key, "neither true nor false", err);
    *out = value ? json_is_true(value) : otherwise;
    return ST_OK;
}

status fields_text(const char **out, const json_fields *f, const char *key, errbuf *err) {
    const json_t *value = fields_get(f, key);
    if (!value) return missing(f, key, err);
    if (!json_is_string(value)) return fields_wrong(f, key, "not a text", err);
    *out = json_string_value(value);
    return ST_OK;
}

status fields_text_or(const char **out, const json_fields *f, const char *key,
                      const char *otherwise, errbuf *err) {
    if (fields_get(f, key)) return fields_text(out, f, key, err);
    *out = otherwise;
    return ST_OK;
}
