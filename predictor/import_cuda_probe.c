/* import_cuda_probe.c - the table of the project's own probe of a CUDA device
 * (engine/cuda/probe/), in us.
 *
 * Copies of KV blocks are of the models that have such blocks; copies by bytes, and products,
 * are of none. Of copies of several pieces the batched ones are taken, since the engine makes
 * them so; those of one call per piece are left out. Times are medians: those of the host link
 * have a long tail. */
#include "import_table.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const double unit_s = 1e-6;

enum {
    DEVICE,
    MODEL,
    OP,
    METHOD,
    BYTES,
    SEGMENTS,
    BLOCKS,
    OTHER_BUSY,
    COMPUTE_BUSY,
    TOKENS,
    GEMM_N,
    GEMM_K,
    TIME,
    DEVIATION,
    REPEATS
};

static const import_column columns[] = {
    {"device", false},       {"model", false},
    {"op", false},           {"method", false},
    {"bytes", false},        {"n_segments", false},
    {"n_blocks", false},     {"other_direction_busy", false},
    {"compute_busy", false}, {"n_tokens", false},
    {"gemm_n", false},       {"gemm_k", false},
    {"median_us", false},    {"deviation_us", false},
    {"n_repeats", false},
};

static status read_flag(bool *out, const import_row *row, size_t column, errbuf *err) {
    uint32_t value;
    TRY(import_whole(&value, row, column, 0, 1, err));
    *out = value;
    return ST_OK;
}

static status read_times(sample *s, const import_row *row, errbuf *err) {
    double deviation;
    TRY(import_time(&s->seconds, row, TIME, unit_s, err));
    TRY(import_real(&deviation, row, DEVIATION, err));
    s->deviation_s = deviation * unit_s;
    return import_whole(&s->n_repeats, row, REPEATS, 1, UINT32_MAX, err);
}

static status read_copy(import_row *row, operation op, errbuf *err) {
    if (import_equals(row, METHOD, "loop")) return import_leave_out(row);
    uint32_t n_bytes;
    sample *s = import_add(row, op, "");
    s->tp = 1;
    TRY(import_whole(&n_bytes, row, BYTES, 1, UINT32_MAX, err));
    s->bytes = n_bytes;
    TRY(import_whole(&s->n_segments, row, SEGMENTS, 1, n_bytes, err));
    if (!row->no_model) TRY(import_whole(&s->n_blocks, row, BLOCKS, 1, n_bytes, err));
    TRY(read_flag(&s->other_direction_busy, row, OTHER_BUSY, err));
    TRY(read_flag(&s->compute_busy, row, COMPUTE_BUSY, err));
    return read_times(s, row, err);
}

static status read_gemm(import_row *row, errbuf *err) {
    sample *s = import_add(row, OP_GEMM, "");
    s->tp = 1;
    TRY(import_whole(&s->batch.n_tokens, row, TOKENS, 1, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&s->gemm_n, row, GEMM_N, 1, UINT32_MAX, err));
    TRY(import_whole(&s->gemm_k, row, GEMM_K, 1, UINT32_MAX, err));
    return read_times(s, row, err);
}

static status read_row(import_row *row, errbuf *err) {
    row->device = row->fields[DEVICE];
    row->no_model = import_is_empty(row, MODEL);
    row->model = row->no_model ? NULL : row->fields[MODEL];
    if (import_equals(row, OP, "swap_out")) return read_copy(row, OP_SWAP_OUT, err);
    if (import_equals(row, OP, "swap_in")) return read_copy(row, OP_SWAP_IN, err);
    if (import_equals(row, OP, "gemm")) return read_gemm(row, err);
    return import_bad_value(row, OP, "swap_out, swap_in or gemm", err);
}

static const import_table probe = {"table of the CUDA probe",
                                   "probe",
                                   IMPORT_PATH_FOLDER,
                                   true,
                                   columns,
                                   N_OF(columns),
                                   read_row};

static const import_table *const tables[] = {&probe};

const import_source import_cuda_probe = {
    "cuda-probe",
    "copies by bytes and KV blocks, bf16 matrix products by shape: cuda_probe's "
    "table",
    tables, N_OF(tables)};
