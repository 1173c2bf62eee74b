#include "model_init.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "model_files.h"
#include "rng.h"
#include "tensor_slots.h"

model_init_options model_init_defaults(model_arch arch) {
    return (model_init_options){.arch = arch,
                                .n_layers = 2,
                                .hidden = 64,
                                .n_heads = 4,
                                .vocab = 256,
                                .max_model_len = 2048,
                                .tied_embeddings = arch == ARCH_OPT,
                                .dtype = TENSOR_F32,
                                .seed = 1};
}

/* ------------------------------------------------------------ config.json */

/* What all architectures state, in the spelling that every transformers reads. */
static json_t *common_config(const model_init_options *o) {
    static const char *const dtypes[N_TENSOR_DTYPES] = {"float32", "float16", "bfloat16"};
    json_t *eos = o->vocab > 2 ? json_integer(2) : json_null();
    return json_pack(
        "{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:s, s:o}", "architectures",
        model_arch_class(o->arch), "model_type", model_arch_name(o->arch), "num_hidden_layers",
        (json_int_t)o->n_layers, "hidden_size", (json_int_t)o->hidden, "num_attention_heads",
        (json_int_t)o->n_heads, "vocab_size", (json_int_t)o->vocab, "max_position_embeddings",
        (json_int_t)o->max_model_len, "tie_word_embeddings", (int)o->tied_embeddings,
        "torch_dtype", dtypes[o->dtype], "eos_token_id", eos);
}

static json_t *own_config(const model_init_options *o) {
    json_int_t n_ffn = o->n_ffn ? o->n_ffn : 4 * (json_int_t)o->hidden;
    if (o->arch == ARCH_OPT)
        return json_pack("{s:I, s:s, s:I, s:b, s:b}", "ffn_dim", n_ffn, "activation_function",
                         "relu", "word_embed_proj_dim", (json_int_t)o->hidden,
                         "do_layer_norm_before", 1, "enable_bias", 1);
    json_int_t n_kv_heads = o->n_kv_heads ? o->n_kv_heads : o->n_heads;
    json_int_t head_dim = o->head_dim ? o->head_dim : o->n_heads ? o->hidden / o->n_heads : 0;
    return json_pack("{s:I, s:I, s:I, s:s, s:f, s:f}", "intermediate_size", n_ffn,
                     "num_key_value_heads", n_kv_heads, "head_dim", head_dim, "hidden_act",
                     "silu", "rms_norm_eps", 1e-5, "rope_theta", 10000.0);
}

/* The text of config.json, in new memory; NULL: out of memory. */
static char *config_text(const model_init_options *o) {
    json_t *all = common_config(o), *own = own_config(o);
    char *text = all && own && json_object_update(all, own) == 0
                     ? json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(9))
                     : NULL;
    json_decref(all);
    json_decref(own);
    return text;
}

/* What a reader of this config would not say. */
static status check_options(const model_init_options *o, errbuf *err) {
    if (!o->head_dim && o->n_heads && o->hidden % o->n_heads != 0)
        return fail(err, ST_INVALID, "hidden size %lu is no multiple of %lu heads",
                    (unsigned long)o->hidden, (unsigned long)o->n_heads);
    if (o->arch != ARCH_OPT) return ST_OK;
    if ((o->n_kv_heads && o->n_kv_heads != o->n_heads) ||
        (o->head_dim && (uint64_t)o->head_dim * o->n_heads != o->hidden))
        return fail(err, ST_INVALID,
                    "OPT has as many KV heads as heads, each of hidden / heads values");
    return ST_OK;
}

/* ------------------------------------------------------------ model.safetensors */

static json_t *entry_of(const tensor_slot *slot, tensor_dtype dtype, uint64_t *at) {
    json_int_t rows = slot->rows, cols = slot->cols, begin = (json_int_t)*at;
    *at += (uint64_t)rows * (uint64_t)cols * tensor_dtype_bytes(dtype);
    json_t *shape =
        slot->role == TENSOR_MATRIX ? json_pack("[I, I]", rows, cols) : json_pack("[I]", cols);
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor_dtype_name(dtype), "shape", shape,
                     "data_offsets", begin, (json_int_t)*at);
}

/* The header as text, in new memory; NULL: out of memory. */
static char *header_text(const tensor_slots *slots, const model_config *c) {
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    uint64_t at = 0;
    bool whole = header != NULL;
    for (uint32_t i = 0; whole && i < tensor_slots_count(slots, c); i++) {
        tensor_place place;
        tensor_slots_at(&place, slots, i);
        whole =
            json_object_set_new(header, place.name, entry_of(place.slot, c->dtype, &at)) == 0;
    }
    char *text = whole ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    return text;
}

/* Length, header, and spaces up to a multiple of 8 bytes. */
static bool write_header(FILE *file, const char *text) {
    size_t n = strlen(text), n_padded = (n + 7) / 8 * 8;
    for (unsigned shift = 0; shift < 64; shift += 8)
        if (putc((int)((uint64_t)n_padded >> shift & 0xff), file) == EOF) return false;
    return fprintf(file, "%s%*s", text, (int)(n_padded - n), "") >= 0;
}

/* Value i of a tensor. */
static float weight_of(const tensor_slot *slot, uint64_t seed, uint32_t tensor, uint64_t i) {
    double x = rng_normal(seed, tensor, i);
    if (fabs(x) < 0x1p-10) x = 0x1p-10; /* above 0 in 16 bits too, however wide the matrix */
    switch (slot->role) {
    case TENSOR_SCALE:
        return (float)(1 + 0.1 * x);
    case TENSOR_BIAS:
        return (float)(0.1 * x);
    case TENSOR_MATRIX:
        break;
    }
    return (float)(x / sqrt(slot->cols));
}

static bool write_value(FILE *file, float x, tensor_dtype dtype) {
    if (dtype == TENSOR_F32) return fwrite(&x, sizeof(x), 1, file) == 1;
    uint16_t bits = dtype == TENSOR_F16 ? half_from_float(x) : bfloat_from_float(x);
    return fwrite(&bits, sizeof(bits), 1, file) == 1;
}

static bool write_weights(FILE *file, const tensor_slots *slots, const model_config *c,
                          uint64_t seed) {
    for (uint32_t t = 0; t < tensor_slots_count(slots, c); t++) {
        tensor_place place;
        tensor_slots_at(&place, slots, t);
        uint64_t n = (uint64_t)place.slot->rows * place.slot->cols;
        for (uint64_t i = 0; i < n; i++)
            if (!write_value(file, weight_of(place.slot, seed, t, i), c->dtype)) return false;
    }
    return true;
}

/* ------------------------------------------------------------ files */

typedef struct new_model {
    const char *config; /* text */
    const char *header; /* text */
    const tensor_slots *slots;
    const model_config *shape;
    uint64_t seed;
} new_model;

/* Makes a file that was not there and fills it; a part of a file does not stay. */
static status write_file(const char *path, bool is_config, const new_model *m, errbuf *err) {
    errno = 0;
    FILE *file = fopen(path, "wbx");
    if (!file) return fail(err, ST_IO, "create %s: %s", path, strerror(errno));
    bool whole = is_config ? fprintf(file, "%s\n", m->config) >= 0
                           : write_header(file, m->header) &&
                                 write_weights(file, m->slots, m->shape, m->seed);
    int error = whole ? 0 : errno ? errno : EIO;
    if (fclose(file) != 0 && whole) error = errno;
    if (error == 0) return ST_OK;
    remove(path);
    return fail(err, ST_IO, "write %s: %s", path, strerror(error));
}

/* Does the file of weights fit where dir is? A file system that does not say has room. */
static status check_room(const char *dir, const new_model *m, errbuf *err) {
    struct statvfs info;
    if (statvfs(dir, &info) != 0 || info.f_blocks == 0) return ST_OK;
    uint64_t n_bytes = model_config_bytes(m->shape, m->shape->dtype) + strlen(m->header);
    uint64_t n_free = (uint64_t)info.f_bavail * info.f_frsize;
    if (n_bytes <= n_free) return ST_OK;
    return fail(err, ST_IO,
                "%s: the model takes %llu bytes, but %llu are free; make it smaller, or choose "
                "a directory with more room",
                dir, (unsigned long long)n_bytes, (unsigned long long)n_free);
}

/* The config last: without it a directory is no model. */
static status write_files(const char *dir, const new_model *m, errbuf *err) {
    char *weights = model_path(dir, "model.safetensors"),
         *config = model_path(dir, "config.json");
    status st = ST_NO_MEMORY;
    if (!weights || !config)
        fail(err, st, "out of memory");
    else if (access(config, F_OK) == 0)
        st = fail(err, ST_IO, "create %s: is there already", config);
    else if ((st = check_room(dir, m, err)) == ST_OK)
        st = write_file(weights, false, m, err);
    if (st == ST_OK && (st = write_file(config, true, m, err)) != ST_OK) remove(weights);
    free(weights);
    free(config);
    return st;
}

/* Makes the directory unless it is there. */
static status write_model(const char *dir, const new_model *m, errbuf *err) {
    bool made = mkdir(dir, 0777) == 0;
    if (!made && errno != EEXIST)
        return fail(err, ST_IO, "make directory %s: %s", dir, strerror(errno));
    status st = write_files(dir, m, err);
    if (st != ST_OK && made) rmdir(dir);
    return st;
}

status model_init_random(const char *dir, const model_init_options *o, errbuf *err) {
    TRY(check_options(o, err));
    char *config = config_text(o);
    if (!config) return fail(err, ST_NO_MEMORY, "out of memory");
    model_config c = {0};
    status st = model_config_parse(&c, config, strlen(config), "new config.json", err);
    if (st == ST_FORMAT) st = ST_INVALID; /* the options are at fault, not a file */
    tensor_slots slots;
    char *header = NULL;
    if (st == ST_OK) {
        tensor_slots_of(&slots, &c);
        header = header_text(&slots, &c);
        const new_model m = {config, header, &slots, &c, o->seed};
        st = header ? write_model(dir, &m, err) : fail(err, ST_NO_MEMORY, "out of memory");
    }
    free(header);
    free(config);
    return st;
}
