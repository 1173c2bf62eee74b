#include "config_rope.h"

#include <string.h>

/* Of Llama, Mistral and Qwen, where config.json says nothing (transformers, their config
 * classes). */
static const double default_theta = 10000;

static status parse_llama3(rope_scaling *out, const json_fields *f, errbuf *err) {
    TRY(fields_positive(&out->low_freq_factor, f, "low_freq_factor", err));
    TRY(fields_positive(&out->high_freq_factor, f, "high_freq_factor", err));
    if (out->high_freq_factor <= out->low_freq_factor)
        return fields_wrong(f, "high_freq_factor", "not above low_freq_factor", err);
    return fields_size(&out->original_max_positions, f, "original_max_position_embeddings",
                       MODEL_SIZE_MAX, err);
}

/* Older files name the key "type", some have both. */
static status scaling_kind(const char **out, const json_fields *f, errbuf *err) {
    const char *old;
    TRY(fields_text_or(&old, f, "type", NULL, err));
    TRY(fields_text_or(out, f, "rope_type", old ? old : "default", err));
    if (old && strcmp(old, *out) != 0)
        return fields_wrong(f, "type", "another one than rope_type", err);
    return ST_OK;
}

static status parse_scaling(rope_scaling *out, const json_fields *f, errbuf *err) {
    const char *kind;
    TRY(scaling_kind(&kind, f, err));
    if (strcmp(kind, "default") == 0) return ST_OK;
    if (strcmp(kind, "linear") == 0)
        out->kind = ROPE_LINEAR;
    else if (strcmp(kind, "llama3") == 0)
        out->kind = ROPE_LLAMA3;
    else
        return fail(err, ST_FORMAT,
                    "%s: %srope_type is \"%.40s\"; default, linear and llama3 can be computed",
                    f->file, f->prefix, kind);
    TRY(fields_positive(&out->factor, f, "factor", err));
    if (out->factor < 1) return fields_wrong(f, "factor", "below 1", err);
    return out->kind == ROPE_LLAMA3 ? parse_llama3(out, f, err) : ST_OK;
}

static status refuse_partial_rotation(const json_fields *f, errbuf *err) {
    double part;
    TRY(fields_positive_or(&part, f, "partial_rotary_factor", 1, err));
    return part == 1 ? ST_OK : fields_wrong(f, "partial_rotary_factor", "not 1", err);
}

/* Models with several kinds of layers have an object for each in rope_parameters. */
static status refuse_rotation_per_layer(const json_fields *f, errbuf *err) {
    void *object = (void *)(uintptr_t)f->object; /* jansson's iterators take no const */
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        if (json_is_object(json_object_iter_value(at)))
            return fields_wrong(f, json_object_iter_key(at),
                                "and one rotation per kind of layer cannot be computed", err);
    return ST_OK;
}

/* The object `key` of the file, whose fields will be called KEY.FIELD; NULL: missing. */
static status sub_object(json_fields *out, const json_fields *f, const char *key,
                         const char *prefix, errbuf *err) {
    *out = (json_fields){.object = fields_get(f, key), .file = f->file, .prefix = prefix};
    if (out->object && !json_is_object(out->object))
        return fields_wrong(f, key, "not an object", err);
    if (!out->object) return ST_OK;
    TRY(refuse_partial_rotation(out, err));
    return refuse_rotation_per_layer(out, err);
}

static bool same_scaling(const rope_scaling *a, const rope_scaling *b) {
    return a->kind == b->kind && a->factor == b->factor &&
           a->low_freq_factor == b->low_freq_factor &&
           a->high_freq_factor == b->high_freq_factor &&
           a->original_max_positions == b->original_max_positions;
}

status config_rope_parse(model_config *c, const json_fields *f, errbuf *err) {
    json_fields scaling, parameters;
    TRY(sub_object(&scaling, f, "rope_scaling", "rope_scaling.", err));
    TRY(sub_object(&parameters, f, "rope_parameters", "rope_parameters.", err));
    TRY(refuse_partial_rotation(f, err));
    TRY(fields_positive_or(&c->rope_theta, f, "rope_theta", default_theta, err));
    c->rope = (rope_scaling){.kind = ROPE_UNSCALED, .factor = 1};
    if (scaling.object) TRY(parse_scaling(&c->rope, &scaling, err));
    if (!parameters.object) return ST_OK;

    model_config newer = {.rope = {.kind = ROPE_UNSCALED, .factor = 1}};
    TRY(fields_positive_or(&newer.rope_theta, &parameters, "rope_theta", c->rope_theta, err));
    TRY(parse_scaling(&newer.rope, &parameters, err));
    if (fields_get(f, "rope_theta") && newer.rope_theta != c->rope_theta)
        return fields_wrong(f, "rope_theta", "another one than rope_parameters.rope_theta",
                            err);
    if (scaling.object && !same_scaling(&newer.rope, &c->rope))
        return fields_wrong(f, "rope_scaling", "another one than rope_parameters", err);
    c->rope_theta = newer.rope_theta;
    c->rope = newer.rope;
    return ST_OK;
}
