/* import_llmservingsim.c - tables of LLMServingSim (Cho et al., IISWC 2024;
 * casys-kaist/LLMServingSim), per layer and device; vLLM's kernels.
 *
 * Times of its skew tables are of another run, three times those of the attention table: each
 * batch comes with two of equal contexts, and only the three together say something. Heads are
 * not in the tables; they come from the model. */
#include "import_table.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const double unit_s = 1e-6;

/* ------------------------------------------------------------ by tokens, by sequences */

enum { BY_LAYER, BY_COUNT, BY_TIME };

static status read_by(import_row *row, operation op, uint32_t *count, errbuf *err) {
    const char *part;
    TRY(import_part(&part, row, BY_LAYER, err));
    sample *s = import_add(row, op, part);
    TRY(import_whole(count, row, BY_COUNT, 1, IMPORT_TOKENS_MAX, err));
    return import_time(&s->seconds, row, BY_TIME, unit_s, err);
}

static const import_column dense_columns[] = {
    {"layer", false}, {"tokens", false}, {"time_us", false}};

static status read_dense(import_row *row, errbuf *err) {
    return read_by(row, OP_LAYER, &row->samples[0].batch.n_tokens, err);
}

static const import_table dense = {"dense table", "dense",       IMPORT_PATH_MODEL,
                                   true,          dense_columns, N_OF(dense_columns),
                                   read_dense};

static const import_column sequence_columns[] = {
    {"layer", false}, {"sequences", false}, {"time_us", false}};

static status read_per_sequence(import_row *row, errbuf *err) {
    return read_by(row, OP_PER_SEQUENCE, &row->samples[0].batch.n_sampled, err);
}

static const import_table per_sequence = {
    "per-sequence table", "per_sequence",         IMPORT_PATH_MODEL, true,
    sequence_columns,     N_OF(sequence_columns), read_per_sequence};

/* ------------------------------------------------------------ attention */

enum {
    ATTENTION_CHUNK,
    ATTENTION_CACHED,
    ATTENTION_DECODES,
    ATTENTION_CONTEXT,
    ATTENTION_TIME
};

static const import_column attention_columns[] = {
    {"prefill_chunk", false}, {"kv_prefill", false}, {"n_decode", false},
    {"kv_decode", false},     {"time_us", false},
};

/* At most one prompt, and n_decode decodes of equal context, in one kernel. */
static status read_attention(import_row *row, errbuf *err) {
    uint32_t chunk, cached, n_decodes, context;
    TRY(import_whole(&chunk, row, ATTENTION_CHUNK, 0, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&cached, row, ATTENTION_CACHED, 0, chunk ? IMPORT_TOKENS_MAX : 0, err));
    TRY(import_whole(&n_decodes, row, ATTENTION_DECODES, chunk == 0, IMPORT_SEQUENCES_MAX,
                     err));
    TRY(import_whole(&context, row, ATTENTION_CONTEXT, n_decodes > 0,
                     n_decodes ? IMPORT_TOKENS_MAX : 0, err));
    sample *s = import_add(row, OP_MIXED_ATTENTION, "");
    TRY(import_time(&s->seconds, row, ATTENTION_TIME, unit_s, err));
    if (chunk) batch_shape_add_chunk(&s->batch, cached, chunk, false);
    batch_shape_add_decodes(&s->batch, n_decodes, (uint64_t)n_decodes * context, context);
    s->batch.n_sampled = 0; /* not the kernel's concern */
    if (s->batch.n_prefill == 0)
        s->op = OP_DECODE_ATTENTION;
    else if (s->batch.n_decode == 0)
        s->op = OP_PREFILL_ATTENTION;
    return ST_OK;
}

static const import_table attention = {
    "mixed attention table", "attention",   IMPORT_PATH_MODEL, true, attention_columns,
    N_OF(attention_columns), read_attention};

/* ------------------------------------------------------------ unequal contexts */

enum { SKEW_N, SKEW_CHUNK, SKEW_CACHED, SKEW_LONGEST, SKEW_MEAN, SKEW_FIRST_TIME };

static const import_column skew_columns[] = {
    {"n", false},       {"pc", false},        {"kp", false},       {"kv_big", false},
    {"kv_mean", false}, {"t_mean_us", false}, {"t_max_us", false}, {"t_skew_us", false},
};

/* One of the three batches of a row: n_decodes contexts of that mean and longest. */
static status add_skew(import_row *row, const char *part, size_t time, const batch_shape *chunk,
                       uint32_t n_decodes, uint32_t mean, uint32_t longest, errbuf *err) {
    sample *s =
        import_add(row, chunk->n_prefill ? OP_MIXED_ATTENTION : OP_DECODE_ATTENTION, part);
    s->batch = *chunk;
    batch_shape_add_decodes(&s->batch, n_decodes, (uint64_t)n_decodes * mean, longest);
    s->batch.n_sampled = 0;
    return import_time(&s->seconds, row, time, unit_s, err);
}

/* Samples in the order that a reader of the three wants. */
static status read_skew(import_row *row, errbuf *err) {
    uint32_t n, n_new, cached, longest, mean;
    TRY(import_whole(&n, row, SKEW_N, 1, IMPORT_SEQUENCES_MAX, err));
    TRY(import_whole(&n_new, row, SKEW_CHUNK, 0, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&cached, row, SKEW_CACHED, 0, n_new ? IMPORT_TOKENS_MAX : 0, err));
    TRY(import_whole(&longest, row, SKEW_LONGEST, 1, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&mean, row, SKEW_MEAN, 1, longest, err));
    batch_shape chunk = {0};
    if (n_new) batch_shape_add_chunk(&chunk, cached, n_new, false);
    TRY(add_skew(row, "skew_mean", SKEW_FIRST_TIME, &chunk, n, mean, mean, err));
    TRY(add_skew(row, "skew_longest", SKEW_FIRST_TIME + 1, &chunk, n, longest, longest, err));
    return add_skew(row, "skew", SKEW_FIRST_TIME + 2, &chunk, n, mean, longest, err);
}

static const import_table skew = {
    "skew table", "skew", IMPORT_PATH_MODEL, true, skew_columns, N_OF(skew_columns), read_skew};

/* ------------------------------------------------------------ the older table of layers */

enum { LAYER_NAME, LAYER_INPUT, LAYER_CACHED, LAYER_TP, LAYER_TIME };

static const import_column layer_columns[] = {
    {"layer_name", false}, {"input", false},       {"kv_cache", false},
    {"tp_size", false},    {"latency(ns)", false},
};

static status read_layer(import_row *row, errbuf *err) {
    uint32_t n_tokens, cached;
    const char *part;
    TRY(import_part(&part, row, LAYER_NAME, err));
    bool attends = import_equals(row, LAYER_NAME, "attn");
    /* It would be the only decode of the table, with a context of 1. */
    if (attends && import_equals(row, LAYER_INPUT, "1")) return import_leave_out(row);
    sample *s = import_add(row, attends ? OP_PREFILL_ATTENTION : OP_LAYER, attends ? "" : part);
    TRY(import_whole(&n_tokens, row, LAYER_INPUT, attends ? 2 : 1, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&cached, row, LAYER_CACHED, 0, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&s->tp, row, LAYER_TP, 1, IMPORT_TP_MAX, err));
    TRY(import_time(&s->seconds, row, LAYER_TIME, 1e-9, err));
    if (attends)
        import_set_prefill(&s->batch, 1, cached, n_tokens);
    else
        s->batch.n_tokens = n_tokens;
    return ST_OK;
}

static const import_table layers = {"layers table", "layers",      IMPORT_PATH_MODEL,
                                    true,           layer_columns, N_OF(layer_columns),
                                    read_layer};

/* Its older attention tables were made by Vidur's profiler. */
static const import_table *const tables[] = {&dense, &per_sequence, &attention,
                                             &skew,  &layers,       &import_vidur_attention};

const import_source import_llmservingsim = {
    "llmservingsim", "operators per layer (us or ns), head and sampler, mixed attention, skew",
    tables, N_OF(tables)};
