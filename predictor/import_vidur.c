/* import_vidur.c - tables of Vidur (Agrawal et al., MLSys 2024; microsoft/vidur), in ms, per
 * layer and device.
 *
 * Times are means over the repeats, whose number the tables do not say; the deviation is that
 * of one repeat. An operator that was not measured is empty; 0 ms is below the clock. Both are
 * left out. */
#include "import_table.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const double unit_s = 1e-3;

/* Adds what `mean` and `std` say of a batch. */
static status add_layer(import_row *row, const char *part, size_t mean, size_t std, uint32_t tp,
                        uint32_t n_tokens, errbuf *err) {
    double value, deviation = 0;
    if (!row->fields[mean]) return ST_OK; /* a table without this operator */
    if (import_is_empty(row, mean)) return import_leave_out(row);
    TRY(import_real(&value, row, mean, err));
    if (value <= 0) return import_leave_out(row);
    if (!import_is_empty(row, std)) TRY(import_real(&deviation, row, std, err));
    sample *s = import_add(row, OP_LAYER, part);
    s->tp = tp;
    s->batch.n_tokens = n_tokens;
    s->seconds = value * unit_s;
    s->deviation_s = deviation * unit_s;
    return ST_OK;
}

/* ------------------------------------------------------------ MLP: all but attention */

#define MLP_PARTS(X)                                                                           \
    X(emb)                                                                                     \
    X(input_layernorm)                                                                         \
    X(attn_pre_proj)                                                                           \
    X(attn_rope)                                                                               \
    X(attn_post_proj)                                                                          \
    X(post_attention_layernorm)                                                                \
    X(mlp_up_proj)                                                                             \
    X(mlp_act)                                                                                 \
    X(mlp_down_proj)                                                                           \
    X(add)

enum { MLP_TOKENS, MLP_TP, MLP_FIRST_PART };

static const char *const mlp_parts[] = {
#define X(part) #part,
    MLP_PARTS(X)
#undef X
};

static const import_column mlp_columns[] = {{"num_tokens", false},
                                            {"num_tensor_parallel_workers", false},
#define X(part) {"time_stats." #part ".mean", false}, {"time_stats." #part ".std", true},
                                            MLP_PARTS(X)
#undef X
};

static status read_mlp(import_row *row, errbuf *err) {
    uint32_t tp, n_tokens;
    TRY(import_whole(&n_tokens, row, MLP_TOKENS, 1, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&tp, row, MLP_TP, 1, IMPORT_TP_MAX, err));
    for (size_t i = 0; i < N_OF(mlp_parts); i++) {
        size_t mean = MLP_FIRST_PART + 2 * i;
        TRY(add_layer(row, mlp_parts[i], mean, mean + 1, tp, n_tokens, err));
    }
    return ST_OK;
}

static const import_table mlp = {
    "MLP table", "mlp", IMPORT_PATH_MODEL, true, mlp_columns, N_OF(mlp_columns), read_mlp};

/* ------------------------------------------------------------ attention */

enum {
    ATTENTION_EMBD,
    ATTENTION_HEADS,
    ATTENTION_KV_HEADS,
    ATTENTION_TP,
    ATTENTION_BATCH,
    ATTENTION_CHUNK,
    ATTENTION_CACHED,
    ATTENTION_IS_PREFILL,
    ATTENTION_PREFILL,
    ATTENTION_PREFILL_STD,
    ATTENTION_DECODE,
    ATTENTION_DECODE_STD,
    ATTENTION_FIRST_PART
};

/* The copies around the kernel. */
static const char *const attention_parts[] = {"attn_input_reshape", "attn_kv_cache_save",
                                              "attn_output_reshape"};

static const import_column attention_columns[] = {
    {"n_embd", false},
    {"n_q_head", false},
    {"n_kv_head", false},
    {"num_tensor_parallel_workers", false},
    {"batch_size", false},
    {"prefill_chunk_size", false},
    {"kv_cache_size", false},
    {"is_prefill", false},
    {"time_stats.attn_prefill.mean", false},
    {"time_stats.attn_prefill.std", true},
    {"time_stats.attn_decode.mean", false},
    {"time_stats.attn_decode.std", true},
    {"time_stats.attn_input_reshape.mean", true},
    {"time_stats.attn_input_reshape.std", true},
    {"time_stats.attn_kv_cache_save.mean", true},
    {"time_stats.attn_kv_cache_save.std", true},
    {"time_stats.attn_output_reshape.mean", true},
    {"time_stats.attn_output_reshape.std", true},
};

/* Heads are those of the model, times those of one device. */
static status set_heads(sample *s, const import_row *row, errbuf *err) {
    uint32_t n_embd, n_heads, n_kv_heads;
    TRY(import_whole(&s->tp, row, ATTENTION_TP, 1, IMPORT_TP_MAX, err));
    TRY(import_whole(&n_embd, row, ATTENTION_EMBD, 1, 1 << 20, err));
    TRY(import_whole(&n_heads, row, ATTENTION_HEADS, s->tp, 1 << 16, err));
    TRY(import_whole(&n_kv_heads, row, ATTENTION_KV_HEADS, 1, 1 << 16, err));
    s->n_heads = n_heads / s->tp;
    s->n_kv_heads = n_kv_heads > s->tp ? n_kv_heads / s->tp : 1;
    s->head_dim = n_embd / n_heads;
    return ST_OK;
}

static status set_batch(sample *s, const import_row *row, bool prefill, errbuf *err) {
    uint32_t n_seqs, chunk, cached;
    TRY(import_whole(&n_seqs, row, ATTENTION_BATCH, 1, IMPORT_SEQUENCES_MAX, err));
    TRY(import_whole(&chunk, row, ATTENTION_CHUNK, prefill, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&cached, row, ATTENTION_CACHED, 0, IMPORT_TOKENS_MAX, err));
    if (prefill)
        import_set_prefill(&s->batch, n_seqs, cached, chunk);
    else
        import_set_decode(&s->batch, n_seqs, cached + 1);
    return ST_OK;
}

static status read_attention(import_row *row, errbuf *err) {
    bool prefill = import_equals(row, ATTENTION_IS_PREFILL, "True");
    if (!prefill && !import_equals(row, ATTENTION_IS_PREFILL, "False"))
        return import_bad_value(row, ATTENTION_IS_PREFILL, "True or False", err);
    size_t mean = prefill ? ATTENTION_PREFILL : ATTENTION_DECODE;
    double deviation = 0;
    sample *s = import_add(row, prefill ? OP_PREFILL_ATTENTION : OP_DECODE_ATTENTION, "");
    TRY(set_heads(s, row, err));
    TRY(set_batch(s, row, prefill, err));
    TRY(import_time(&s->seconds, row, mean, unit_s, err));
    if (!import_is_empty(row, mean + 1)) TRY(import_real(&deviation, row, mean + 1, err));
    s->deviation_s = deviation * unit_s;
    for (size_t i = 0; i < N_OF(attention_parts); i++) {
        mean = ATTENTION_FIRST_PART + 2 * i;
        TRY(add_layer(row, attention_parts[i], mean, mean + 1, s->tp, s->batch.n_tokens, err));
    }
    return ST_OK;
}

const import_table import_vidur_attention = {"prefill or decode attention table",
                                             "attention",
                                             IMPORT_PATH_MODEL,
                                             true,
                                             attention_columns,
                                             N_OF(attention_columns),
                                             read_attention};

/* ------------------------------------------------------------ host time */

/* What Vidur adds up as the host time of an iteration. Left out: model_execution, which
 * overlaps the device, and the launch times, which are within the others. */
#define HOST_PARTS(X)                                                                          \
    X(schedule)                                                                                \
    X(sampler_e2e)                                                                             \
    X(prepare_inputs_e2e)                                                                      \
    X(process_model_outputs)                                                                   \
    X(ray_comm_time)

enum { HOST_MODEL, HOST_BATCH, HOST_TP, HOST_FIRST_PART };

static const char *const host_parts[] = {
#define X(part) #part,
    HOST_PARTS(X)
#undef X
};

static const import_column host_columns[] = {{"model_name", false},
                                             {"batch_size", false},
                                             {"tensor_parallel_degree", false},
#define X(part) {#part "_mean", false},
                                             HOST_PARTS(X)
#undef X
};

static status read_host(import_row *row, errbuf *err) {
    uint32_t n_seqs, tp;
    TRY(import_whole(&n_seqs, row, HOST_BATCH, 1, IMPORT_SEQUENCES_MAX, err));
    TRY(import_whole(&tp, row, HOST_TP, 1, IMPORT_TP_MAX, err));
    row->model = row->fields[HOST_MODEL];
    for (size_t i = 0; i < N_OF(host_parts); i++) {
        sample *s = import_add(row, OP_HOST, host_parts[i]);
        s->tp = tp;
        s->batch.n_tokens = s->batch.n_sampled = s->batch.n_decode = n_seqs;
        TRY(import_time(&s->seconds, row, HOST_FIRST_PART + i, unit_s, err));
    }
    return ST_OK;
}

static const import_table host = {
    "host time table", "cpu_overheads",    IMPORT_PATH_FOLDER, true,
    host_columns,      N_OF(host_columns), read_host};

/* ------------------------------------------------------------ all-reduce */

enum { REDUCE_TIME, REDUCE_STD, REDUCE_SIZE, REDUCE_WORKERS, REDUCE_PER_NODE };

static const import_column reduce_columns[] = {
    {"time_stats.all_reduce.mean", false},
    {"time_stats.all_reduce.std", true},
    {"size", false},
    {"num_workers", false},
    {"devices_per_node", false},
};

/* Across nodes another network is measured: left out, nothing here runs on several nodes. */
static status read_reduce(import_row *row, errbuf *err) {
    uint32_t n_bytes, n_workers, n_per_node;
    TRY(import_whole(&n_bytes, row, REDUCE_SIZE, 1, UINT32_MAX, err));
    TRY(import_whole(&n_workers, row, REDUCE_WORKERS, 2, IMPORT_TP_MAX, err));
    TRY(import_whole(&n_per_node, row, REDUCE_PER_NODE, 1, IMPORT_TP_MAX, err));
    if (n_per_node < n_workers) return import_leave_out(row);
    sample *s = import_add(row, OP_ALL_REDUCE, "");
    double deviation = 0;
    s->tp = n_workers;
    s->bytes = n_bytes;
    TRY(import_time(&s->seconds, row, REDUCE_TIME, unit_s, err));
    if (!import_is_empty(row, REDUCE_STD)) TRY(import_real(&deviation, row, REDUCE_STD, err));
    s->deviation_s = deviation * unit_s;
    return ST_OK;
}

static const import_table reduce = {
    "all-reduce table",   "all_reduce", IMPORT_PATH_DEVICE_IN_FILE, false, reduce_columns,
    N_OF(reduce_columns), read_reduce};

static const import_table *const tables[] = {&mlp, &import_vidur_attention, &host, &reduce};

const import_source import_vidur = {
    "vidur", "operators per layer (ms), attention, host time, all-reduce within a node", tables,
    N_OF(tables)};
