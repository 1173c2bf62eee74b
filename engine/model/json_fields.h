/* json_fields.h - typed fields of a JSON object; what is wrong is told with file, field and
 * value.
 *
 * A field that is null counts as missing. Every getter without a default asks for its field.
 * Errors: ST_FORMAT, ST_NO_MEMORY. */
#ifndef JSON_FIELDS_H
#define JSON_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "status.h"

typedef struct json_fields {
    const json_t *object;
    const char *file;   /* stands in messages */
    const char *prefix; /* of field names in messages: "" or "rope_scaling." */
} json_fields;

/* Parses one object, in which no key comes twice. The caller decrefs *out. */
MUST_USE status fields_parse(json_t **out, const char *text, size_t n, const char *file,
                             errbuf *err);

/* NULL when it is missing. */
const json_t *fields_get(const json_fields *f, const char *key);

/* "FILE: KEY is VALUE, REASON", ST_FORMAT. */
status fields_wrong(const json_fields *f, const char *key, const char *reason, errbuf *err);

/* A whole number in [1, most]. */
MUST_USE status fields_size(uint32_t *out, const json_fields *f, const char *key, uint32_t most,
                            errbuf *err);
MUST_USE status fields_size_or(uint32_t *out, const json_fields *f, const char *key,
                               uint32_t most, uint32_t otherwise, errbuf *err);

/* A number above 0 and below 1e30, with a fraction or without. */
MUST_USE status fields_positive(double *out, const json_fields *f, const char *key,
                                errbuf *err);
MUST_USE status fields_positive_or(double *out, const json_fields *f, const char *key,
                                   double otherwise, errbuf *err);

MUST_USE status fields_bool_or(bool *out, const json_fields *f, const char *key, bool otherwise,
                               errbuf *err);

/* The text is the object's. */
MUST_USE status fields_text(const char **out, const json_fields *f, const char *key,
                            errbuf *err);
MUST_USE status fields_text_or(const char **out, const json_fields *f, const char *key,
                               const char *otherwise, errbuf *err);

#endif
