/* import_infersim.c - kernel tables of InferSim (alibaba/InferSim,
 * inference-sim/inference-sim), in us per call.
 *
 * The matrix products are 8-bit ones: they reach 1286 TFLOP/s on an H100, whose bf16 limit is
 * 989, and their `mfu` counts from the 8-bit limit. They get the part "fp8", so that nobody
 * takes them for bf16 products. Attention is bf16; rows with another KV cache are left out.
 * Heads are those of the model, times those of one of tp devices: a kernel of no model. */
#include "import_table.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const double unit_s = 1e-6;

enum { GEMM_M, GEMM_K, GEMM_N, GEMM_TIME };

static const import_column gemm_columns[] = {
    {"m", false}, {"k", false}, {"n", false}, {"latency_us", false}};

static status read_gemm(import_row *row, errbuf *err) {
    sample *s = import_add(row, OP_GEMM, "fp8");
    s->tp = 1;
    TRY(import_whole(&s->batch.n_tokens, row, GEMM_M, 1, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&s->gemm_k, row, GEMM_K, 1, UINT32_MAX, err));
    TRY(import_whole(&s->gemm_n, row, GEMM_N, 1, UINT32_MAX, err));
    return import_time(&s->seconds, row, GEMM_TIME, unit_s, err);
}

static const import_table gemm = {"GEMM table", "gemm",       IMPORT_PATH_FOLDER,
                                  false,        gemm_columns, N_OF(gemm_columns),
                                  read_gemm};

/* Both attention tables begin with these. */
enum { HEADS, KV_HEADS, HEAD_DIM, TP, TYPE, TIME, FIRST_OWN };
#define SHAPE_COLUMNS                                                                          \
    {"n_q_head", false}, {"n_kv_head", false}, {"head_dim", false}, {"tp", false},             \
        {"dtype", false}, {                                                                    \
        "latency_us", false                                                                    \
    }

static status read_shape(sample *s, const import_row *row, errbuf *err) {
    uint32_t n_heads, n_kv_heads, tp;
    TRY(import_whole(&tp, row, TP, 1, IMPORT_TP_MAX, err));
    TRY(import_whole(&n_heads, row, HEADS, tp, 1 << 16, err));
    TRY(import_whole(&n_kv_heads, row, KV_HEADS, 1, 1 << 16, err));
    TRY(import_whole(&s->head_dim, row, HEAD_DIM, 1, 1 << 16, err));
    s->tp = 1;
    s->n_heads = n_heads / tp;
    s->n_kv_heads = n_kv_heads > tp ? n_kv_heads / tp : 1;
    return import_time(&s->seconds, row, TIME, unit_s, err);
}

enum { DECODE_KV_TYPE = FIRST_OWN, DECODE_BATCH, DECODE_CONTEXT };

static const import_column decode_columns[] = {
    SHAPE_COLUMNS, {"kv_dtype", false}, {"batch_size", false}, {"kv_len", false}};

static status read_decode(import_row *row, errbuf *err) {
    if (!import_equals(row, TYPE, "bf16") || !import_equals(row, DECODE_KV_TYPE, "bf16"))
        return import_leave_out(row);
    uint32_t n_seqs, context;
    sample *s = import_add(row, OP_DECODE_ATTENTION, "");
    TRY(read_shape(s, row, err));
    TRY(import_whole(&n_seqs, row, DECODE_BATCH, 1, IMPORT_SEQUENCES_MAX, err));
    TRY(import_whole(&context, row, DECODE_CONTEXT, 1, IMPORT_TOKENS_MAX, err));
    import_set_decode(&s->batch, n_seqs, context);
    return ST_OK;
}

static const import_table decode = {
    "decode attention table", "mha_decode",         IMPORT_PATH_FOLDER, false,
    decode_columns,           N_OF(decode_columns), read_decode};

enum { PREFILL_TOKENS = FIRST_OWN };

static const import_column prefill_columns[] = {SHAPE_COLUMNS, {"seq_len", false}};

static status read_prefill(import_row *row, errbuf *err) {
    if (!import_equals(row, TYPE, "bf16")) return import_leave_out(row);
    uint32_t n_tokens;
    sample *s = import_add(row, OP_PREFILL_ATTENTION, "");
    TRY(read_shape(s, row, err));
    TRY(import_whole(&n_tokens, row, PREFILL_TOKENS, 2, IMPORT_TOKENS_MAX, err));
    import_set_prefill(&s->batch, 1, 0, n_tokens);
    return ST_OK;
}

static const import_table prefill = {
    "prefill attention table", "mha_prefill",         IMPORT_PATH_FOLDER, false,
    prefill_columns,           N_OF(prefill_columns), read_prefill};

static const import_table *const tables[] = {&gemm, &decode, &prefill};

const import_source import_infersim = {
    "infersim", "fp8 matrix products (part fp8) and bf16 attention kernels (us), by shape",
    tables, N_OF(tables)};
