#include "trace_json.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nearest.h"

typedef enum json_key {
    KEY_TIME,
    KEY_PROMPT,
    KEY_OUTPUT,
    KEY_PREFIX_IDS,
    KEY_PREFIX_TOKENS,
    KEY_PRIORITY,
    KEY_CLIENT,
    N_KEYS,
    N_KEYS_REQUIRED = KEY_OUTPUT + 1, /* the first ones */
} json_key;

typedef struct json_format {
    const char *name;
    const char *keys[N_KEYS]; /* NULL when the format has none for the key_id */
    double time_unit_ns;
    uint32_t prefix_tokens; /* 0 when each line says it */
    bool others_are_errors; /* keys not listed; no key is NULL then */
} json_format;

static const json_format formats[] = {
    /* 512 tokens per id: Qin et al., Mooncake, FAST 2025, section on the published trace. */
    {"Mooncake JSONL",
     {"timestamp", "input_length", "output_length", "hash_ids", NULL, NULL, NULL},
     1e6,
     512,
     false},
    {"native JSONL",
     {"arrival_s", "n_prompt", "n_output", "prefix_ids", "prefix_tokens", "priority", "client"},
     1e9,
     0,
     true},
};
enum { N_FORMATS = sizeof(formats) / sizeof(formats[0]) };

struct trace_json {
    const json_format *format;
    uint64_t *ids; /* [room] of the last line */
    size_t room;
};

/* One line as an object. *out is the caller's to release. */
static status load(json_t **out, const char *line, size_t n, const trace_place *place,
                   errbuf *err) {
    json_error_t why;
    json_t *object = json_loadb(line, n, JSON_REJECT_DUPLICATES, &why);
    if (!object)
        return trace_bad_line(place, NULL, err, "not JSON at byte %d: %.160s", why.position,
                              why.text);
    if (!json_is_object(object)) {
        json_decref(object);
        return trace_bad_line(place, NULL, err, "'%.60s' is not a JSON object", line);
    }
    *out = object;
    return ST_OK;
}

static const json_format *find_format(const json_t *object) {
    const json_format *best = NULL;
    size_t best_found = 0;
    for (size_t i = 0; i < N_FORMATS; i++) {
        size_t n_found = 0;
        for (int key_id = 0; key_id < N_KEYS; key_id++)
            if (formats[i].keys[key_id] && json_object_get(object, formats[i].keys[key_id]))
                n_found++;
        if (n_found <= best_found) continue;
        best_found = n_found;
        best = &formats[i];
    }
    return best;
}

status trace_json_bind(trace_json **out, const char *line, size_t n, const trace_place *place,
                       errbuf *err) {
    json_t *object;
    status st = load(&object, line, n, place, err);
    if (st != ST_OK) return st;
    const json_format *format = find_format(object);
    json_decref(object);
    if (!format)
        return trace_bad_line(place, NULL, err,
                              "'%.60s' has no key of a known format; known are Mooncake and "
                              "native JSONL",
                              line);
    trace_json *j = calloc(1, sizeof(*j));
    if (!j) return fail(err, ST_NO_MEMORY, "%s: out of memory", place->file);
    j->format = format;
    *out = j;
    return ST_OK;
}

void trace_json_destroy(trace_json *j) {
    if (!j) return;
    free(j->ids);
    free(j);
}

/* The value of a JSON number or another thing, as it stands in the line, for messages. */
static status bad(const trace_place *place, const char *key, const json_t *value,
                  const char *wanted, errbuf *err) {
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    status st = trace_bad_value(place, key, text ? text : "", wanted, err);
    free(text);
    return st;
}

static status missing(const trace_place *place, const char *key, errbuf *err) {
    return trace_bad_line(place, key, err, "the key is missing");
}

static status parse_time(const trace_json *j, int64_t *ns, const json_t *object,
                         const trace_place *place, errbuf *err) {
    const char *key = j->format->keys[KEY_TIME];
    const json_t *value = json_object_get(object, key);
    if (!value) return missing(place, key, err);
    /* The double and the product are each off by at most 2^-53 of the value, which below 2^51
     * makes less than half a nanosecond together. */
    double time_ns =
        json_is_number(value) ? json_number_value(value) * j->format->time_unit_ns : -1;
    if (!(time_ns >= 0 && time_ns <= (double)TRACE_JSON_MAX_NS))
        return bad(place, key, value, "a time from 0 to 26 days", err);
    *ns = (int64_t)(time_ns + 0.5);
    return ST_OK;
}

/* A whole number within [min, max]; an absent key leaves *out as it is. */
static status parse_whole(const trace_json *j, json_key key_id, int64_t *out, int64_t min,
                          int64_t max, const json_t *object, const trace_place *place,
                          errbuf *err) {
    const char *key = j->format->keys[key_id];
    const json_t *value = key ? json_object_get(object, key) : NULL;
    if (!value) return key_id < N_KEYS_REQUIRED ? missing(place, key, err) : ST_OK;
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max) {
        char wanted[80];
        snprintf(wanted, sizeof(wanted), "a whole number from %lld to %lld", (long long)min,
                 (long long)max);
        return bad(place, key, value, wanted, err);
    }
    *out = json_integer_value(value);
    return ST_OK;
}

static status grow_ids(trace_json *j, size_t n, const trace_place *place, errbuf *err) {
    if (n <= j->room) return ST_OK;
    uint64_t *ids = realloc(j->ids, 2 * n * sizeof(*ids));
    if (!ids) return fail(err, ST_NO_MEMORY, "%s: out of memory", place->file);
    j->ids = ids;
    j->room = 2 * n;
    return ST_OK;
}

/* The ids of the prompt's pieces: one for each, no fewer and no more. */
static status parse_prefix(trace_json *j, trace_record *out, const json_t *object,
                           const trace_place *place, errbuf *err) {
    const char *key = j->format->keys[KEY_PREFIX_IDS];
    const json_t *list = json_object_get(object, key);
    int64_t tokens = j->format->prefix_tokens;
    status st =
        parse_whole(j, KEY_PREFIX_TOKENS, &tokens, 1, TRACE_MAX_TOKENS, object, place, err);
    if (st != ST_OK) return st;
    if (!list) {
        if (tokens > 0 && j->format->prefix_tokens == 0) return missing(place, key, err);
        return ST_OK;
    }
    if (tokens == 0) return missing(place, j->format->keys[KEY_PREFIX_TOKENS], err);
    if (!json_is_array(list)) return bad(place, key, list, "an array of ids", err);
    size_t n = json_array_size(list);
    size_t pieces = (out->n_prompt + (size_t)tokens - 1) / (size_t)tokens;
    if (n != pieces)
        return trace_bad_line(place, key, err,
                              "%zu ids, but %u prompt tokens make %zu pieces of %d", n,
                              out->n_prompt, pieces, (int)tokens);
    st = grow_ids(j, n, place, err);
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        const json_t *id = json_array_get(list, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0)
            st = bad(place, key, id, "an id: a whole number from 0 up", err);
        else
            j->ids[i] = (uint64_t)json_integer_value(id);
    }
    if (st != ST_OK) return st;
    out->prefix_ids = j->ids;
    out->n_prefix_ids = (uint32_t)n;
    out->prefix_tokens = (uint32_t)tokens;
    return ST_OK;
}

static status check_keys(const trace_json *j, json_t *object, const trace_place *place,
                         errbuf *err) {
    if (!j->format->others_are_errors) return ST_OK;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        bool known = false;
        for (int key_id = 0; key_id < N_KEYS; key_id++)
            known |= strcmp(key, j->format->keys[key_id]) == 0;
        if (known) continue;
        const char *near = nearest_name(key, j->format->keys, N_KEYS);
        return trace_bad_line(place, NULL, err, "%s has no key '%.60s'%s%s%s", j->format->name,
                              key, near ? "; did you mean '" : "", near ? near : "",
                              near ? "'?" : "");
    }
    return ST_OK;
}

static status parse_object(trace_json *j, trace_record *out, json_t *object,
                           const trace_place *place, errbuf *err) {
    int64_t n_prompt = 0, n_output = 0, priority = out->priority, client = out->client;
    status st = check_keys(j, object, place, err);
    if (st == ST_OK) st = parse_time(j, &out->time_ns, object, place, err);
    if (st == ST_OK)
        st = parse_whole(j, KEY_PROMPT, &n_prompt, 0, TRACE_MAX_TOKENS, object, place, err);
    if (st == ST_OK)
        st = parse_whole(j, KEY_OUTPUT, &n_output, 0, TRACE_MAX_TOKENS, object, place, err);
    if (st == ST_OK)
        st = parse_whole(j, KEY_PRIORITY, &priority, INT32_MIN, INT32_MAX, object, place, err);
    if (st == ST_OK)
        st = parse_whole(j, KEY_CLIENT, &client, 0, UINT32_MAX, object, place, err);
    out->n_prompt = (uint32_t)n_prompt;
    out->n_output = (uint32_t)n_output;
    out->priority = (int32_t)priority;
    out->client = (uint32_t)client;
    return st == ST_OK ? parse_prefix(j, out, object, place, err) : st;
}

status trace_json_parse(trace_json *j, trace_record *out, const char *line, size_t n,
                        const trace_place *place, errbuf *err) {
    json_t *object;
    status st = load(&object, line, n, place, err);
    if (st != ST_OK) return st;
    st = parse_object(j, out, object, place, err);
    json_decref(object);
    return st;
}

const char *trace_json_name(const trace_json *j) {
    return j->format->name;
}

const char *trace_json_time_key(const trace_json *j) {
    return j->format->keys[KEY_TIME];
}

const char *trace_json_prompt_key(const trace_json *j) {
    return j->format->keys[KEY_PROMPT];
}

const char *trace_json_output_key(const trace_json *j) {
    return j->format->keys[KEY_OUTPUT];
}
