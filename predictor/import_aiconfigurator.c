/* import_aiconfigurator.c - kernel tables of ai-dynamo/aiconfigurator, in ms per call.
 *
 * Taken are bf16 kernels: products whose kernel is not an 8-bit one, attention with a bf16 KV
 * cache over the whole context (window 0; older tables have no window). All else is left out,
 * and so are prompts of one token: they would stand as decodes of context 1, for shapes whose
 * decodes were not measured. A kernel is of no model: its shape is that of one device. */
#include <string.h>

#include "import_table.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const double unit_s = 1e-3;

enum { GEMM_DEVICE, GEMM_KERNEL, GEMM_TYPE, GEMM_M, GEMM_N, GEMM_K, GEMM_TIME };

static const import_column gemm_columns[] = {
    {"device", false},     {"kernel_source", false},
    {"gemm_dtype", false}, {"m", false},
    {"n", false},          {"k", false},
    {"latency", false},
};

static bool is_8_bit_kernel(const char *name) {
    return strstr(name, "FP8") || strstr(name, "Fp8") || strstr(name, "fp8");
}

static status read_gemm(import_row *row, errbuf *err) {
    if (!import_equals(row, GEMM_TYPE, "bfloat16") || is_8_bit_kernel(row->fields[GEMM_KERNEL]))
        return import_leave_out(row);
    row->device = row->fields[GEMM_DEVICE];
    sample *s = import_add(row, OP_GEMM, "");
    s->tp = 1;
    TRY(import_whole(&s->batch.n_tokens, row, GEMM_M, 1, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&s->gemm_n, row, GEMM_N, 1, UINT32_MAX, err));
    TRY(import_whole(&s->gemm_k, row, GEMM_K, 1, UINT32_MAX, err));
    return import_time(&s->seconds, row, GEMM_TIME, unit_s, err);
}

static const import_table gemm = {"GEMM table", "gemm_perf",        IMPORT_PATH_FOLDER, false,
                                  gemm_columns, N_OF(gemm_columns), read_gemm};

enum {
    ATTENTION_OP,
    ATTENTION_DEVICE,
    ATTENTION_BATCH,
    ATTENTION_NEW,
    ATTENTION_CACHED,
    ATTENTION_HEADS,
    ATTENTION_KV_HEADS,
    ATTENTION_HEAD_DIM,
    ATTENTION_BEAM,
    ATTENTION_TYPE,
    ATTENTION_KV_TYPE,
    ATTENTION_WINDOW,
    ATTENTION_TIME
};

static const import_column attention_columns[] = {
    {"op_name", false},
    {"device", false},
    {"batch_size", false},
    {"isl", false},
    {"step", false},
    {"num_heads", false},
    {"num_key_value_heads", false},
    {"head_dim", false},
    {"beam_width", false},
    {"attn_dtype", false},
    {"kv_cache_dtype", false},
    {"window_size", true},
    {"latency", false},
};

static bool is_taken(const import_row *row) {
    return import_equals(row, ATTENTION_TYPE, "bfloat16") &&
           import_equals(row, ATTENTION_KV_TYPE, "bfloat16") &&
           import_equals(row, ATTENTION_BEAM, "1") &&
           (import_is_empty(row, ATTENTION_WINDOW) ||
            import_equals(row, ATTENTION_WINDOW, "0"));
}

/* isl new tokens per sequence behind `step` cached ones. */
static status read_attention(import_row *row, errbuf *err) {
    bool context = import_equals(row, ATTENTION_OP, "context_attention");
    if (!context && !import_equals(row, ATTENTION_OP, "generation_attention"))
        return import_bad_value(row, ATTENTION_OP, "context_attention or generation_attention",
                                err);
    if (!is_taken(row) || (context && import_equals(row, ATTENTION_NEW, "1")))
        return import_leave_out(row);
    row->device = row->fields[ATTENTION_DEVICE];
    sample *s = import_add(row, context ? OP_PREFILL_ATTENTION : OP_DECODE_ATTENTION, "");
    uint32_t n_seqs, n_new, n_cached;
    s->tp = 1;
    TRY(import_whole(&n_seqs, row, ATTENTION_BATCH, 1, IMPORT_SEQUENCES_MAX, err));
    TRY(import_whole(&n_new, row, ATTENTION_NEW, context ? 2 : 1,
                     context ? IMPORT_TOKENS_MAX : 1, err));
    TRY(import_whole(&n_cached, row, ATTENTION_CACHED, 0, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&s->n_heads, row, ATTENTION_HEADS, 1, 1 << 16, err));
    TRY(import_whole(&s->n_kv_heads, row, ATTENTION_KV_HEADS, 1, 1 << 16, err));
    TRY(import_whole(&s->head_dim, row, ATTENTION_HEAD_DIM, 1, 1 << 16, err));
    TRY(import_time(&s->seconds, row, ATTENTION_TIME, unit_s, err));
    import_set_prefill(&s->batch, n_seqs, n_cached, n_new);
    return ST_OK;
}

static const import_table attention = {
    "attention table", "attention_perf",        IMPORT_PATH_FOLDER, false,
    attention_columns, N_OF(attention_columns), read_attention};

static const import_table *const tables[] = {&gemm, &attention};

const import_source import_aiconfigurator = {
    "aiconfigurator", "bf16 matrix products and attention kernels (ms), by shape", tables,
    N_OF(tables)};
