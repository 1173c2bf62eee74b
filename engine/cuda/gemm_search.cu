/* gemm_search.cu - finds the algorithm of each bucket. See gemm.cuh.
 *
 * What is timed is a graph of products on several copies of the weights, launched behind
 * another one like it, so that neither calls nor caches are in the window. */
#include <math.h>

#include "fill.cuh"
#include "gemm_state.cuh"

enum { CANDIDATES = 8, N_REPEATS = 5, COPIES_MAX = 64 };
enum { COUNT_THREADS = 256 };
/* The heuristic takes a bias to be aligned as the one it sees. */
enum { BIAS_OFFSET_BYTES = 16 };
static const double far_behind = 1.3; /* a candidate this slow in one repeat gets no other */

typedef struct scratch {
    char *w, *x, *out;  /* of the largest product; a bias is taken from w */
    char *zeros;        /* a bias */
    uint32_t *n_differ; /* [1] */
    size_t w_bytes;
    cudaStream_t stream;
    cudaEvent_t begin, end;
} scratch;

/* ------------------------------------------------------------ kernels */

/* Counts the 16-bit words that differ from the first row's. Grid (n_rows), block COUNT_THREADS.
 */
__global__ static void count_differing_kernel(uint32_t *n, const uint16_t *rows,
                                              uint32_t n_words) {
    const uint16_t *row = rows + (size_t)blockIdx.x * n_words;
    for (uint32_t i = threadIdx.x; i < n_words; i += blockDim.x)
        if (row[i] != rows[i]) atomicAdd(n, 1u);
}

/* Spread as [-1, 1) is. */
static status fill(const gemm *g, const scratch *s, char *out, size_t n_bytes, errbuf *err) {
    const fill_law law = {0, 0, 0, 0.57735f};
    return fill_random(s->stream, out, n_bytes / 2, g->options.dtype, &law, err);
}

/* ------------------------------------------------------------ scratch */

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t weight_bytes(const gemm_product *p) {
    return (size_t)2 * p->n_out * p->n_in;
}

void gemm_scratch_grow(gemm_scratch_bytes *b, const gemm_options *o, const gemm_product *p,
                       uint32_t n_rows_max) {
    size_t n_rows = o->deterministic ? (size_t)GEMM_SLICE_ROWS : gemm_bucket(n_rows_max);
    b->w = larger(b->w, larger(o->cold_bytes, weight_bytes(p) + BIAS_OFFSET_BYTES));
    b->x = larger(b->x, 2 * n_rows * p->n_in);
    b->out = larger(b->out, gemm_out_bytes(p) * n_rows * p->n_out);
    b->bias = larger(b->bias, (size_t)2 * p->n_out);
}

static status allocate(gemm *g, scratch *s, errbuf *err) {
    gemm_scratch_bytes b = {};
    for (uint32_t i = 0; i < g->n_entries; i++)
        gemm_scratch_grow(&b, &g->options, &g->entries[i]->product, g->entries[i]->n_rows_max);
    s->w_bytes = b.w;
    TRY_CUDA(cudaMalloc(&s->w, b.w), "device memory to time products");
    TRY_CUDA(cudaMalloc(&s->x, b.x), "device memory to time products");
    TRY_CUDA(cudaMalloc(&s->out, b.out), "device memory to time products");
    TRY_CUDA(cudaMalloc(&s->zeros, b.bias), "device memory to time products");
    TRY_CUDA(cudaMalloc(&s->n_differ, sizeof(*s->n_differ)), "device memory to time products");
    TRY_CUDA(cudaMemsetAsync(s->zeros, 0, b.bias, s->stream), "a bias");
    TRY(fill(g, s, s->w, b.w, err));
    return fill(g, s, s->x, b.x, err);
}

static status make_scratch(gemm *g, scratch *s, errbuf *err) {
    TRY_CUDA(cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking), "a stream");
    TRY_CUDA(cudaEventCreate(&s->begin), "an event");
    TRY_CUDA(cudaEventCreate(&s->end), "an event");
    return allocate(g, s, err);
}

static void free_scratch(scratch *s) {
    if (s->stream) cudaStreamSynchronize(s->stream);
    cudaFree(s->n_differ);
    cudaFree(s->zeros);
    cudaFree(s->out);
    cudaFree(s->x);
    cudaFree(s->w);
    if (s->end) cudaEventDestroy(s->end);
    if (s->begin) cudaEventDestroy(s->begin);
    if (s->stream) cudaStreamDestroy(s->stream);
}

static status multiply_scratch(gemm *g, const scratch *s, gemm_entry *e, uint32_t index,
                               size_t copy, errbuf *err) {
    gemm_operands o;
    o.out = s->out;
    o.x = s->x;
    o.w = s->w + copy * weight_bytes(&e->product) / 16 * 16;
    o.bias = s->w + BIAS_OFFSET_BYTES;
    return gemm_multiply(g, s->stream, e, index, &o, err);
}

/* ------------------------------------------------------------ timing */

static status make_graph(gemm *g, cudaGraphExec_t *out, const scratch *s, gemm_entry *e,
                         uint32_t index, size_t n, errbuf *err) {
    cudaGraph_t graph = NULL;
    TRY(multiply_scratch(g, s, e, index, 0, err)); /* loads its kernel */
    TRY_CUDA(cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeRelaxed), "a graph");
    status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++) st = multiply_scratch(g, s, e, index, i, err);
    cudaError_t ended = cudaStreamEndCapture(s->stream, &graph);
    if (st == ST_OK) st = cuda_status(ended, "a graph", err);
    if (st == ST_OK) st = cuda_status(cudaGraphInstantiate(out, graph, 0), "a graph", err);
    if (graph) cudaGraphDestroy(graph);
    (void)cudaGetLastError(); /* of a capture that was given up */
    return st;
}

static status time_once(const scratch *s, cudaGraphExec_t graph, double *ms, errbuf *err) {
    float elapsed_ms;
    TRY_CUDA(cudaGraphLaunch(graph, s->stream), "products");
    TRY_CUDA(cudaEventRecord(s->begin, s->stream), "an event");
    TRY_CUDA(cudaGraphLaunch(graph, s->stream), "products");
    TRY_CUDA(cudaEventRecord(s->end, s->stream), "an event");
    TRY_CUDA(cudaEventSynchronize(s->end), "products");
    TRY_CUDA(cudaEventElapsedTime(&elapsed_ms, s->begin, s->end), "timing products");
    *ms = elapsed_ms;
    return ST_OK;
}

static void insert_sorted(double *values, int n, double value) {
    int at = n;
    for (; at > 0 && values[at - 1] > value; at--) values[at] = values[at - 1];
    values[at] = value;
}

/* Median time of a graph of products; INFINITY: far behind best_ms. */
static status time_candidate(gemm *g, double *ms, const scratch *s, gemm_entry *e,
                             uint32_t index, double best_ms, errbuf *err) {
    size_t one = weight_bytes(&e->product), room = (s->w_bytes - BIAS_OFFSET_BYTES) / one;
    size_t n_copies = (g->options.cold_bytes + one - 1) / one;
    double times[N_REPEATS], once = 0;
    cudaGraphExec_t graph;
    if (n_copies > room) n_copies = room; /* at least 1: there is room for the largest */
    if (n_copies == 0) n_copies = 1;      /* cold_bytes is 0 */
    if (n_copies > COPIES_MAX) n_copies = COPIES_MAX;
    TRY(make_graph(g, &graph, s, e, index, n_copies, err));
    status st = ST_OK;
    for (int i = 0; i < N_REPEATS && st == ST_OK && once <= far_behind * best_ms; i++) {
        st = time_once(s, graph, &once, err);
        if (st == ST_OK) insert_sorted(times, i, once);
    }
    cudaGraphExecDestroy(graph);
    TRY(st);
    *ms = once > far_behind * best_ms ? INFINITY : times[N_REPEATS / 2];
    return ST_OK;
}

/* ------------------------------------------------------------ equal rows */

static int attribute(const gemm *g, const cublasLtMatmulAlgo_t *algo,
                     cublasLtMatmulAlgoConfigAttributes_t name) {
    int32_t value = 0;
    size_t n_written;
    (void)g->lt.MatmulAlgoConfigGetAttribute(algo, name, &value, sizeof(value), &n_written);
    return value;
}

/* Whether equal rows of x give equal bits in all rows of out. Sums cancel, or rounding to 16
 * bit would hide most differences in how they were added up. What an algorithm says of itself
 * does not decide it: one that spreads tiles unevenly over the device splits the sums of some.
 */
static status rows_agree(gemm *g, bool *agree, const scratch *s, gemm_entry *e, uint32_t index,
                         errbuf *err) {
    const gemm_product *p = &e->product;
    uint32_t n_rows = gemm_bucket_rows(index), n_differ = 0;
    size_t row_bytes = gemm_out_bytes(p) * p->n_out;
    gemm_operands o = {s->out, s->x, s->w, s->zeros};
    const device_dtype dtype = g->options.dtype;
    TRY(fill_cancelling(s->stream, s->w, p->n_out, p->n_in, dtype, true, false, err));
    TRY(fill_cancelling(s->stream, s->x, n_rows, p->n_in, dtype, false, true, err));
    TRY(gemm_multiply(g, s->stream, e, index, &o, err));
    TRY_CUDA(cudaMemsetAsync(s->n_differ, 0, sizeof(*s->n_differ), s->stream), "products");
    LAUNCH(count_differing_kernel, n_rows, COUNT_THREADS, 0, s->stream, s->n_differ,
           (const uint16_t *)s->out, (uint32_t)(row_bytes / 2));
    TRY(launched("count_differing", err));
    TRY_CUDA(cudaStreamSynchronize(s->stream), "products");
    TRY_CUDA(cudaMemcpy(&n_differ, s->n_differ, sizeof(n_differ), cudaMemcpyDeviceToHost),
             "products");
    *agree = n_differ == 0;
    return ST_OK;
}

static status is_deterministic(gemm *g, bool *is, const scratch *s, gemm_entry *e,
                               uint32_t index, errbuf *err) {
    const cublasLtMatmulAlgo_t *algo = &e->pinned[index].algo;
    *is = attribute(g, algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) <= 1 &&
          attribute(g, algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) ==
              CUBLASLT_REDUCTION_SCHEME_NONE;
    return *is ? rows_agree(g, is, s, e, index, err) : ST_OK;
}

/* ------------------------------------------------------------ choosing */

static status list_candidates(gemm *g, cublasLtMatmulHeuristicResult_t *found, int *n,
                              const scratch *s, gemm_entry *e, uint32_t index, errbuf *err) {
    const gemm_pinned *b = &e->pinned[index];
    const void *bias = s->w + BIAS_OFFSET_BYTES;
    if (e->product.bias)
        TRY_LT(g->lt.MatmulDescSetAttribute(e->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                            &bias, sizeof(bias)),
               "a bias");
    TRY_LT(g->lt.MatmulAlgoGetHeuristic(g->handle, e->operation, e->w, b->x, b->out, b->out,
                                        g->preference, CANDIDATES, found, n),
           "finding an algorithm");
    return ST_OK;
}

/* Pins the fastest candidate or, where deterministic, the first that is so. A candidate that
 * the device refuses is passed over. */
static status find_algorithm(gemm *g, const scratch *s, gemm_entry *e, uint32_t index,
                             errbuf *err) {
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    gemm_pinned *b = &e->pinned[index];
    int n = 0, best = -1;
    double best_ms = INFINITY;
    errbuf refused;
    memset(&refused, 0, sizeof(refused));
    TRY(list_candidates(g, found, &n, s, e, index, err));
    for (int i = 0; i < n; i++) {
        double ms = INFINITY;
        bool is = false;
        if (found[i].state != CUBLAS_STATUS_SUCCESS) continue;
        b->algo = found[i].algo;
        if (g->options.deterministic) {
            if (is_deterministic(g, &is, s, e, index, &refused) != ST_OK || !is) continue;
            best = i;
            break;
        }
        if (time_candidate(g, &ms, s, e, index, best_ms, &refused) != ST_OK || ms >= best_ms)
            continue;
        best_ms = ms;
        best = i;
    }
    if (best < 0)
        return fail(err, ST_IO, "no algorithm for %u rows of a product of %u x %u: %.200s",
                    gemm_bucket_rows(index), e->product.n_out, e->product.n_in, refused.text);
    b->algo = found[best].algo;
    b->found = true;
    return ST_OK;
}

static status prepare_bucket(gemm *g, const scratch *s, gemm_entry *e, uint32_t index,
                             errbuf *err) {
    gemm_pinned *b = &e->pinned[index];
    TRY(gemm_make_layouts(g, e, index, err));
    if (!b->found) TRY(find_algorithm(g, s, e, index, err));
    TRY(multiply_scratch(g, s, e, index, 0, err));
    TRY_CUDA(cudaStreamSynchronize(s->stream), "a product");
    b->ready = true;
    return ST_OK;
}

typedef struct progress_of {
    void (*tell)(void *context, uint32_t n, uint32_t all);
    void *context;
    uint32_t n_ready, all;
} progress_of;

static void count_buckets(const gemm *g, progress_of *p) {
    uint32_t begin, end;
    for (uint32_t id = 0; id < g->n_entries; id++) {
        gemm_wanted(g, g->entries[id], &begin, &end);
        p->all += end - begin;
        for (uint32_t index = begin; index < end; index++)
            p->n_ready += g->entries[id]->pinned[index].ready;
    }
}

static status prepare_all(gemm *g, const scratch *s, progress_of *p, errbuf *err) {
    uint32_t begin, end;
    for (uint32_t id = 0; id < g->n_entries; id++) {
        gemm_entry *e = g->entries[id];
        gemm_wanted(g, e, &begin, &end);
        for (uint32_t index = begin; index < end; index++) {
            if (e->pinned[index].ready) continue;
            TRY(prepare_bucket(g, s, e, index, err));
            p->n_ready++;
            if (p->tell) p->tell(p->context, p->n_ready, p->all);
        }
    }
    return ST_OK;
}

status gemm_prepare(gemm *g, void (*progress)(void *context, uint32_t n, uint32_t all),
                    void *context, errbuf *err) {
    progress_of p = {progress, context, 0, 0};
    count_buckets(g, &p);
    if (p.n_ready == p.all) return ST_OK;
    scratch s;
    memset(&s, 0, sizeof(s));
    status st = make_scratch(g, &s, err);
    if (st == ST_OK) st = prepare_all(g, &s, &p, err);
    free_scratch(&s);
    return st;
}
