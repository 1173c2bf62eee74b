#include "measured_settings.h"

#include <jansson.h>
#include <stdio.h>

/* A whole number; missing or null leaves 0. */
static status take_count(uint32_t *out, const json_t *object, const char *key, const char *path,
                         errbuf *err) {
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return ST_OK;
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 1 || n > UINT32_MAX)
        return fail(err, ST_FORMAT, "%s: %s must be a whole number of at least 1", path, key);
    *out = (uint32_t)n;
    return ST_OK;
}

static status take_settings(measured_settings *s, const json_t *all, const char *path,
                            errbuf *err) {
    const json_t *engine = json_object_get(all, "engine_kwargs");
    const json_t *cache = json_object_get(all, "kv_cache");
    const char *model = json_string_value(json_object_get(all, "model"));
    if (!engine) return fail(err, ST_FORMAT, "%s: there is no object engine_kwargs", path);
    if (model) snprintf(s->model, sizeof(s->model), "%s", model);
    const char *version = json_string_value(json_object_get(all, "vllm_version"));
    unsigned major, minor;
    if (version && sscanf(version, "%u.%u", &major, &minor) == 2 && minor < 1000)
        s->version = major * 1000 + minor;
    TRY(take_count(&s->tp, engine, "tensor_parallel_size", path, err));
    TRY(take_count(&s->max_seqs, engine, "max_num_seqs", path, err));
    TRY(take_count(&s->max_batched_tokens, engine, "max_num_batched_tokens", path, err));
    TRY(take_count(&s->max_model_len, engine, "max_model_len", path, err));
    TRY(take_count(&s->kv_blocks, cache, "num_gpu_blocks", path, err));
    TRY(take_count(&s->block_size, cache, "block_size", path, err));
    const json_t *prefix = json_object_get(cache, "enable_prefix_caching");
    s->says_prefix_cache = json_is_boolean(prefix);
    s->prefix_cache = json_is_true(prefix);
    return ST_OK;
}

status measured_settings_read(measured_settings *out, const char *path, errbuf *err) {
    json_error_t why;
    json_t *all = json_load_file(path, 0, &why);
    if (!all)
        return fail(err, why.line < 0 ? ST_IO : ST_FORMAT, "%s:%d: %s", path, why.line,
                    why.text);
    measured_settings s = {0};
    status st = take_settings(&s, all, path, err);
    json_decref(all);
    if (st == ST_OK) *out = s;
    return st;
}
