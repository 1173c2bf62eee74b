/* gemm.cu - the table of products and its use. See gemm.cuh; algorithms are found in
 * gemm_search.cu. */
#include "gemm_state.cuh"

enum { ALIGNMENT_BYTES = 16 };
static const uint32_t slice_index = 6; /* place of the bucket of GEMM_SLICE_ROWS */

/* ------------------------------------------------------------ buckets */

uint32_t gemm_bucket(uint32_t n_rows) {
    uint32_t step = n_rows > 2048 ? 256 : n_rows > 512 ? 128 : 64, power = 1;
    if (n_rows > 64) return (n_rows + step - 1) / step * step;
    while (power < n_rows) power *= 2;
    return power;
}

/* Places: [0, 7) powers of two to 64  [7, 14) to 512  [14, 26) to 2048  [26, 50) to 8192. */
uint32_t gemm_bucket_index(uint32_t n_rows) {
    uint32_t rows = gemm_bucket(n_rows), index = 0;
    if (rows > 2048) return 25 + (rows - 2048) / 256;
    if (rows > 512) return 13 + (rows - 512) / 128;
    if (rows > 64) return 6 + (rows - 64) / 64;
    while (1u << index < rows) index++;
    return index;
}

uint32_t gemm_bucket_rows(uint32_t index) {
    if (index > 25) return 2048 + (index - 25) * 256;
    if (index > 13) return 512 + (index - 13) * 128;
    if (index > 6) return 64 + (index - 6) * 64;
    return 1u << index;
}

uint32_t gemm_rows_touched(bool deterministic, uint32_t n_rows) {
    if (!deterministic) return gemm_bucket(n_rows);
    return (n_rows + GEMM_SLICE_ROWS - 1) / GEMM_SLICE_ROWS * GEMM_SLICE_ROWS;
}

void gemm_wanted(const gemm *g, const gemm_entry *e, uint32_t *begin, uint32_t *end) {
    bool slices = g->options.deterministic;
    *begin = slices ? slice_index : 0;
    *end = (slices ? slice_index : gemm_bucket_index(e->n_rows_max)) + 1;
}

/* ------------------------------------------------------------ making one */

gemm_options gemm_options_defaults(void) {
    gemm_options o;
    memset(&o, 0, sizeof(o));
    o.dtype = DEVICE_BF16;
    o.workspace_bytes = (size_t)32 << 20;
    o.cold_bytes = (size_t)128 << 20;
    return o;
}

static cudaDataType_t data_type(const gemm *g) {
    return g->options.dtype == DEVICE_BF16 ? CUDA_R_16BF : CUDA_R_16F;
}

static status set_preference(gemm *g, cublasLtMatmulPreferenceAttributes_t attribute,
                             const void *value, size_t n_bytes, errbuf *err) {
    return cublaslt_status(
        g->lt.MatmulPreferenceSetAttribute(g->preference, attribute, value, n_bytes),
        "a preference", err);
}

static status set_preferences(gemm *g, errbuf *err) {
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    uint64_t workspace_bytes = g->options.workspace_bytes;
    uint32_t alignment = ALIGNMENT_BYTES;
    /* Other schemes round partial sums to 16 bit, or add them in any order. */
    uint32_t schemes = g->options.deterministic ? CUBLASLT_REDUCTION_SCHEME_NONE
                                                : CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    TRY_LT(g->lt.MatmulPreferenceCreate(&g->preference), "a preference");
    TRY(set_preference(g, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                       sizeof(workspace_bytes), err));
    TRY(set_preference(g, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof(schemes),
                       err));
    for (size_t i = 0; i < sizeof(alignments) / sizeof(alignments[0]); i++)
        TRY(set_preference(g, alignments[i], &alignment, sizeof(alignment), err));
    return ST_OK;
}

static status set_up(gemm *g, errbuf *err) {
    cudaDeviceProp device;
    int index;
    TRY_CUDA(cudaGetDevice(&index), "the current device");
    TRY_CUDA(cudaGetDeviceProperties(&device, index), "the device's name");
    snprintf(g->device, sizeof(g->device), "%s", device.name);
    g->version = g->lt.GetVersion();
    if (g->options.workspace_bytes > 0)
        TRY_CUDA(cudaMalloc(&g->workspace, g->options.workspace_bytes), "a workspace");
    TRY_LT(g->lt.Create(&g->handle), "starting cuBLASLt");
    return set_preferences(g, err);
}

status gemm_create(gemm **out, const gemm_options *o, errbuf *err) {
    gemm *g = (gemm *)calloc(1, sizeof(*g));
    if (!g) return fail(err, ST_NO_MEMORY, "out of memory");
    g->options = *o;
    status st = cublaslt_open(&g->lt, NULL, err);
    if (st != ST_OK) {
        free(g);
        return st;
    }
    st = set_up(g, err);
    if (st != ST_OK) {
        gemm_destroy(g);
        return st;
    }
    *out = g;
    return ST_OK;
}

static void destroy_entry(gemm *g, gemm_entry *e) {
    for (uint32_t i = 0; i < GEMM_N_BUCKETS; i++) {
        if (e->pinned[i].x) g->lt.MatrixLayoutDestroy(e->pinned[i].x);
        if (e->pinned[i].out) g->lt.MatrixLayoutDestroy(e->pinned[i].out);
    }
    if (e->w) g->lt.MatrixLayoutDestroy(e->w);
    if (e->operation) g->lt.MatmulDescDestroy(e->operation);
    free(e);
}

void gemm_destroy(gemm *g) {
    if (!g) return;
    for (uint32_t i = 0; i < g->n_entries; i++) destroy_entry(g, g->entries[i]);
    free(g->entries);
    if (g->preference) g->lt.MatmulPreferenceDestroy(g->preference);
    if (g->handle) g->lt.Destroy(g->handle);
    cudaFree(g->workspace);
    cublaslt_close(&g->lt);
    free(g);
}

/* ------------------------------------------------------------ products */

static bool same_product(const gemm_product *a, const gemm_product *b) {
    return a->n_out == b->n_out && a->n_in == b->n_in && a->float_out == b->float_out &&
           a->bias == b->bias && a->relu == b->relu;
}

static status describe(gemm *g, gemm_entry *e, errbuf *err) {
    const gemm_product *p = &e->product;
    cublasOperation_t transposed = CUBLAS_OP_T;
    cublasLtEpilogue_t epilogue = p->bias && p->relu ? CUBLASLT_EPILOGUE_RELU_BIAS
                                  : p->bias          ? CUBLASLT_EPILOGUE_BIAS
                                  : p->relu          ? CUBLASLT_EPILOGUE_RELU
                                                     : CUBLASLT_EPILOGUE_DEFAULT;
    TRY_LT(g->lt.MatmulDescCreate(&e->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "a product");
    TRY_LT(g->lt.MatmulDescSetAttribute(e->operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                        sizeof(transposed)),
           "a product");
    TRY_LT(g->lt.MatmulDescSetAttribute(e->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                        sizeof(epilogue)),
           "a product's epilogue");
    TRY_LT(g->lt.MatrixLayoutCreate(&e->w, data_type(g), p->n_in, p->n_out, p->n_in),
           "a matrix");
    return ST_OK;
}

status gemm_make_layouts(gemm *g, gemm_entry *e, uint32_t index, errbuf *err) {
    const gemm_product *p = &e->product;
    gemm_pinned *b = &e->pinned[index];
    uint32_t n_rows = gemm_bucket_rows(index);
    cudaDataType_t out_type = p->float_out ? CUDA_R_32F : data_type(g);
    if (!b->x)
        TRY_LT(g->lt.MatrixLayoutCreate(&b->x, data_type(g), p->n_in, n_rows, p->n_in),
               "a matrix");
    if (!b->out)
        TRY_LT(g->lt.MatrixLayoutCreate(&b->out, out_type, p->n_out, n_rows, p->n_out),
               "a matrix");
    return ST_OK;
}

static status check_product(const gemm_product *p, uint32_t n_rows_max, errbuf *err) {
    if (p->n_out == 0 || p->n_in == 0)
        return fail(err, ST_INVALID, "a product of %u outputs and %u inputs", p->n_out,
                    p->n_in);
    if (p->float_out && p->bias)
        return fail(err, ST_INVALID, "a product with a bias and float outputs");
    if (n_rows_max == 0 || n_rows_max > GEMM_ROWS_MAX)
        return fail(err, ST_INVALID, "a product of %u rows, must be 1 to %d", n_rows_max,
                    GEMM_ROWS_MAX);
    return ST_OK;
}

status gemm_add(gemm *g, uint32_t *id, const gemm_product *p, uint32_t n_rows_max,
                errbuf *err) {
    TRY(check_product(p, n_rows_max, err));
    for (uint32_t i = 0; i < g->n_entries; i++) {
        gemm_entry *e = g->entries[i];
        if (!same_product(&e->product, p)) continue;
        if (e->n_rows_max < n_rows_max) e->n_rows_max = n_rows_max;
        *id = i;
        return ST_OK;
    }
    void *grown = realloc(g->entries, (g->n_entries + 1) * sizeof(*g->entries));
    if (!grown) return fail(err, ST_NO_MEMORY, "out of memory");
    g->entries = (gemm_entry **)grown;
    gemm_entry *e = (gemm_entry *)calloc(1, sizeof(*e));
    if (!e) return fail(err, ST_NO_MEMORY, "out of memory");
    e->product = *p;
    e->n_rows_max = n_rows_max;
    status st = describe(g, e, err);
    if (st != ST_OK) {
        destroy_entry(g, e);
        return st;
    }
    *id = g->n_entries;
    g->entries[g->n_entries++] = e;
    return ST_OK;
}

/* ------------------------------------------------------------ records */

bool gemm_record(const gemm *g, gemm_algo_record *out, uint32_t i) {
    for (uint32_t id = 0; id < g->n_entries; id++) {
        const gemm_entry *e = g->entries[id];
        for (uint32_t index = 0; index < GEMM_N_BUCKETS; index++) {
            if (!e->pinned[index].found || i-- > 0) continue;
            memset(out, 0, sizeof(*out));
            out->product = e->product;
            out->bucket = gemm_bucket_rows(index);
            out->dtype = g->options.dtype;
            out->deterministic = g->options.deterministic;
            out->version = g->version;
            memcpy(out->algo, &e->pinned[index].algo, sizeof(out->algo));
            memcpy(out->device, g->device, sizeof(out->device));
            return true;
        }
    }
    return false;
}

static gemm_pinned *wanted_bucket(gemm *g, gemm_entry **entry, const gemm_algo_record *r) {
    if (r->bucket == 0 || r->bucket > GEMM_ROWS_MAX || gemm_bucket(r->bucket) != r->bucket)
        return NULL;
    uint32_t index = gemm_bucket_index(r->bucket), begin, end;
    for (uint32_t i = 0; i < g->n_entries; i++) {
        gemm_entry *e = g->entries[i];
        if (!same_product(&e->product, &r->product)) continue;
        gemm_wanted(g, e, &begin, &end);
        *entry = e;
        return index >= begin && index < end ? &e->pinned[index] : NULL;
    }
    return NULL;
}

status gemm_use_record(gemm *g, const gemm_algo_record *r, errbuf *err) {
    if (r->version != g->version || r->dtype != g->options.dtype ||
        r->deterministic != g->options.deterministic || strcmp(r->device, g->device) != 0)
        return fail(err, ST_VERSION, "an algorithm of cuBLASLt %llu on %.200s",
                    (unsigned long long)r->version, r->device);
    gemm_entry *e;
    gemm_pinned *b = wanted_bucket(g, &e, r);
    if (!b) return fail(err, ST_NOT_FOUND, "an algorithm for a product that is not wanted");
    TRY(gemm_make_layouts(g, e, gemm_bucket_index(r->bucket), err));
    cublasLtMatmulAlgo_t algo;
    cublasLtMatmulHeuristicResult_t checked;
    memset(&checked, 0, sizeof(checked));
    memcpy(&algo, r->algo, sizeof(algo));
    cublasStatus_t s = g->lt.MatmulAlgoCheck(g->handle, e->operation, e->w, b->x, b->out,
                                             b->out, &algo, &checked);
    if (s != CUBLAS_STATUS_SUCCESS || checked.workspaceSize > g->options.workspace_bytes)
        return fail(err, ST_INVALID, "cuBLASLt refuses a recorded algorithm: status %d",
                    (int)s);
    b->algo = algo;
    b->found = true;
    b->ready = false;
    return ST_OK;
}

/* ------------------------------------------------------------ running */

status gemm_multiply(gemm *g, cudaStream_t stream, gemm_entry *e, uint32_t index,
                     const gemm_operands *o, errbuf *err) {
    const float one = 1, zero = 0;
    gemm_pinned *b = &e->pinned[index];
    if (e->product.bias)
        TRY_LT(g->lt.MatmulDescSetAttribute(e->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                            &o->bias, sizeof(o->bias)),
               "a bias");
    TRY_LT(g->lt.Matmul(g->handle, e->operation, &one, o->w, e->w, o->x, b->x, &zero, o->out,
                        b->out, o->out, b->out, &b->algo, g->workspace,
                        g->options.workspace_bytes, stream),
           "a product");
    return ST_OK;
}

static bool aligned(const void *p) {
    return (uintptr_t)p % ALIGNMENT_BYTES == 0;
}

static status check_run(const gemm *g, uint32_t id, const gemm_operands *o, uint32_t n_rows,
                        errbuf *err) {
    if (id >= g->n_entries) return fail(err, ST_INVALID, "no product %u", id);
    const gemm_entry *e = g->entries[id];
    if (n_rows == 0 || n_rows > e->n_rows_max)
        return fail(err, ST_INVALID, "a product of %u rows, must be 1 to %u", n_rows,
                    e->n_rows_max);
    if (!o->out || !o->x || !o->w || !o->bias != !e->product.bias)
        return fail(err, ST_INVALID, "product %u lacks an operand or has one too many", id);
    if (!aligned(o->out) || !aligned(o->x) || !aligned(o->w) || !aligned(o->bias))
        return fail(err, ST_INVALID, "an operand of product %u is not aligned to %d bytes", id,
                    ALIGNMENT_BYTES);
    return ST_OK;
}

status gemm_run(gemm *g, cudaStream_t stream, uint32_t id, const gemm_operands *o,
                uint32_t n_rows, errbuf *err) {
    TRY(check_run(g, id, o, n_rows, err));
    gemm_entry *e = g->entries[id];
    uint32_t index = g->options.deterministic ? slice_index : gemm_bucket_index(n_rows);
    uint32_t slice = gemm_bucket_rows(index);
    if (!e->pinned[index].ready)
        return fail(err, ST_INVALID, "product %u is not prepared for %u rows", id, n_rows);
    size_t x_bytes = (size_t)2 * slice * e->product.n_in;
    size_t out_bytes = gemm_out_bytes(&e->product) * slice * e->product.n_out;
    for (uint32_t row = 0; row < n_rows; row += slice) {
        size_t i = row / slice;
        gemm_operands part = *o;
        part.x = (const char *)o->x + i * x_bytes;
        part.out = (char *)o->out + i * out_bytes;
        TRY(gemm_multiply(g, stream, e, index, &part, err));
    }
    return ST_OK;
}
