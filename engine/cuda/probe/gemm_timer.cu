/* gemm_timer.cu - see gemm_timer.h. */
#include <math.h>
#include <time.h>

#include "cublaslt_library.cuh"

extern "C" {
#include "gemm_timer.h"
#include "probe_device.h"
}

enum { N_WARMUPS = 2, CANDIDATES = 8, CANDIDATE_REPEATS = 3 };
enum { LOAD_SIZE = 4096, LOAD_PRODUCTS = 4 };    /* about 0.2 ms each on an H200 */
static const size_t workspace_bytes = 32u << 20; /* what cuBLAS takes on Hopper */

/* Row-major [m, k] activations times [n, k] weights into [m, n]: as cuBLAS counts, column by
 * column, D [n, m] = transposed W [k, n] times X [k, m]. */
typedef struct product {
    cublasLtMatrixLayout_t w, x, d;
    cublasLtMatmulAlgo_t algorithm;
    uint32_t n, k, n_copies;
    char *weights;       /* [n_copies][n, k] */
    char *in, *products; /* [m, k], [m, n] */
} product;

struct gemm_timer {
    cublaslt_library lt;
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t operation;
    cublasLtMatmulPreference_t preference;
    void *workspace;
    cudaStream_t stream;
    cudaEvent_t begin, end;
    uint64_t l2_bytes;
    product measured, load;
    cudaGraphExec_t load_graph; /* NULL: not made yet */
};

/* ------------------------------------------------------------ making one */

static status set_up(gemm_timer *g, errbuf *err) {
    cublasOperation_t transposed = CUBLAS_OP_T;
    TRY_CUDA(cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking), "a stream");
    TRY_CUDA(cudaEventCreate(&g->begin), "an event");
    TRY_CUDA(cudaEventCreate(&g->end), "an event");
    TRY_CUDA(cudaMalloc(&g->workspace, workspace_bytes), "device memory for products");
    TRY_LT(g->lt.Create(&g->handle), "starting cuBLASLt");
    TRY_LT(g->lt.MatmulDescCreate(&g->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), "a product");
    TRY_LT(g->lt.MatmulDescSetAttribute(g->operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                        sizeof(transposed)),
           "a product");
    TRY_LT(g->lt.MatmulPreferenceCreate(&g->preference), "a preference");
    return cublaslt_status(g->lt.MatmulPreferenceSetAttribute(
                               g->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                               &workspace_bytes, sizeof(workspace_bytes)),
                           "a preference", err);
}

status gemm_timer_create(gemm_timer **out, unsigned long *version, const char *path,
                         uint64_t l2_bytes, errbuf *err) {
    cublaslt_library lt;
    TRY(cublaslt_open(&lt, path, err));
    gemm_timer *g = (gemm_timer *)calloc(1, sizeof(*g));
    if (!g) {
        cublaslt_close(&lt);
        return fail(err, ST_NO_MEMORY, "out of memory");
    }
    g->lt = lt;
    g->l2_bytes = l2_bytes;
    status st = set_up(g, err);
    if (st != ST_OK) {
        gemm_timer_destroy(g);
        return st;
    }
    *version = (unsigned long)lt.GetVersion();
    *out = g;
    return ST_OK;
}

static void free_product(gemm_timer *g, product *p) {
    if (p->w) g->lt.MatrixLayoutDestroy(p->w);
    if (p->x) g->lt.MatrixLayoutDestroy(p->x);
    if (p->d) g->lt.MatrixLayoutDestroy(p->d);
    cudaFree(p->weights);
    cudaFree(p->in);
    cudaFree(p->products);
    memset(p, 0, sizeof(*p));
}

void gemm_timer_destroy(gemm_timer *g) {
    if (!g) return;
    cudaDeviceSynchronize();
    if (g->load_graph) cudaGraphExecDestroy(g->load_graph);
    free_product(g, &g->measured);
    free_product(g, &g->load);
    if (g->preference) g->lt.MatmulPreferenceDestroy(g->preference);
    if (g->operation) g->lt.MatmulDescDestroy(g->operation);
    if (g->handle) g->lt.Destroy(g->handle);
    cudaFree(g->workspace);
    if (g->end) cudaEventDestroy(g->end);
    if (g->begin) cudaEventDestroy(g->begin);
    if (g->stream) cudaStreamDestroy(g->stream);
    cublaslt_close(&g->lt);
    free(g);
}

/* ------------------------------------------------------------ operands */

static status make_operand(char **out, size_t n_bytes, uint64_t seed, errbuf *err) {
    TRY_CUDA(cudaMalloc((void **)out, n_bytes), "device memory for products");
    return probe_fill_random(*out, n_bytes, seed, err);
}

static status make_operands(product *p, uint32_t m, errbuf *err) {
    size_t value = 2; /* bytes of a bf16 */
    TRY(make_operand(&p->weights, value * p->n * p->k * p->n_copies, 1, err));
    TRY(make_operand(&p->in, value * m * p->k, 2, err));
    TRY(make_operand(&p->products, value * m * p->n, 3, err));
    return cuda_status(cudaDeviceSynchronize(), "filling the operands", err);
}

static status set_layouts(gemm_timer *g, product *p, uint32_t m, errbuf *err) {
    if (p->x) g->lt.MatrixLayoutDestroy(p->x);
    if (p->d) g->lt.MatrixLayoutDestroy(p->d);
    p->x = p->d = NULL;
    if (!p->w)
        TRY_LT(g->lt.MatrixLayoutCreate(&p->w, CUDA_R_16BF, p->k, p->n, p->k), "a matrix");
    TRY_LT(g->lt.MatrixLayoutCreate(&p->x, CUDA_R_16BF, p->k, m, p->k), "a matrix");
    return cublaslt_status(g->lt.MatrixLayoutCreate(&p->d, CUDA_R_16BF, p->n, m, p->n),
                           "a matrix", err);
}

status gemm_timer_set_shape(gemm_timer *g, const gemm_shape *shape, errbuf *err) {
    product *p = &g->measured;
    free_product(g, p);
    p->n = shape->n;
    p->k = shape->k;
    p->n_copies = gemm_n_copies((uint64_t)2 * shape->n * shape->k, g->l2_bytes);
    return make_operands(p, GEMM_TOKENS_MAX, err);
}

/* ------------------------------------------------------------ graphs */

/* The i-th of a graph, on its copy of the weights. */
static cublasStatus_t multiply(gemm_timer *g, const product *p, uint32_t i) {
    const float one = 1, zero = 0;
    size_t weight_bytes = (size_t)2 * p->n * p->k;
    return g->lt.Matmul(g->handle, g->operation, &one,
                        p->weights + weight_bytes * (i % p->n_copies), p->w, p->in, p->x, &zero,
                        p->products, p->d, p->products, p->d, &p->algorithm, g->workspace,
                        workspace_bytes, g->stream);
}

/* A graph of n products one behind the other. One is run before: the library loads its kernels
 * at their first use, which a capture may refuse. */
static status make_graph(gemm_timer *g, cudaGraphExec_t *out, const product *p, uint32_t n,
                         errbuf *err) {
    cudaGraph_t graph = NULL;
    cublasStatus_t s = multiply(g, p, 0);
    TRY(cublaslt_status(s, "a product", err));
    TRY_CUDA(cudaStreamBeginCapture(g->stream, cudaStreamCaptureModeRelaxed), "a graph");
    for (uint32_t i = 0; i < n && s == CUBLAS_STATUS_SUCCESS; i++) s = multiply(g, p, i);
    cudaError_t e = cudaStreamEndCapture(g->stream, &graph);
    status st = cublaslt_status(s, "a product", err);
    if (st == ST_OK) st = cuda_status(e, "a graph", err);
    if (st == ST_OK) st = cuda_status(cudaGraphInstantiate(out, graph, 0), "a graph", err);
    if (graph) cudaGraphDestroy(graph);
    (void)cudaGetLastError(); /* of a capture that was given up */
    return st;
}

/* Runs the graph twice and times the second: its calls are made while the first one runs. */
static status time_graph(gemm_timer *g, cudaGraphExec_t graph, double *seconds, errbuf *err) {
    float ms = 0;
    TRY_CUDA(cudaGraphLaunch(graph, g->stream), "products");
    TRY_CUDA(cudaEventRecord(g->begin, g->stream), "an event");
    TRY_CUDA(cudaGraphLaunch(graph, g->stream), "products");
    TRY_CUDA(cudaEventRecord(g->end, g->stream), "an event");
    TRY_CUDA(cudaEventSynchronize(g->end), "products");
    TRY_CUDA(cudaEventElapsedTime(&ms, g->begin, g->end), "timing products");
    *seconds = ms * 1e-3;
    return ST_OK;
}

/* ------------------------------------------------------------ the algorithm */

/* Median of a few timed rounds over the copies, per product; INFINITY as soon as one round says
 * that it is far behind the best so far. */
static status time_candidate(gemm_timer *g, const product *p, double *seconds, double best_s,
                             errbuf *err) {
    cudaGraphExec_t graph;
    probe_repeats times;
    times.n = 0;
    TRY(make_graph(g, &graph, p, p->n_copies, err));
    status st = ST_OK;
    bool behind = false;
    while (times.n < CANDIDATE_REPEATS && !behind && st == ST_OK) {
        double round_s;
        st = time_graph(g, graph, &round_s, err);
        if (st != ST_OK) break;
        probe_repeats_add(&times, round_s / p->n_copies);
        behind = round_s / p->n_copies > 1.3 * best_s;
    }
    cudaGraphExecDestroy(graph);
    TRY(st);
    *seconds = behind ? INFINITY : probe_repeats_summary(&times).median_s;
    return ST_OK;
}

static int algorithm_attribute(const gemm_timer *g, const product *p,
                               cublasLtMatmulAlgoConfigAttributes_t attribute) {
    int32_t value = -1;
    size_t n_written;
    (void)g->lt.MatmulAlgoConfigGetAttribute(&p->algorithm, attribute, &value, sizeof(value),
                                             &n_written);
    return value;
}

static void name_algorithm(const gemm_timer *g, const product *p, int rank, int n, char *text,
                           size_t size) {
    snprintf(text, size, "algorithm %d tile %d stages %d split %d (%d of %d)",
             algorithm_attribute(g, p, CUBLASLT_ALGO_CONFIG_ID),
             algorithm_attribute(g, p, CUBLASLT_ALGO_CONFIG_TILE_ID),
             algorithm_attribute(g, p, CUBLASLT_ALGO_CONFIG_STAGES_ID),
             algorithm_attribute(g, p, CUBLASLT_ALGO_CONFIG_SPLITK_NUM), rank + 1, n);
}

/* Sets p->algorithm to the fastest of the heuristic's, and what it took. A candidate that the
 * device refuses is passed over. ST_IO: all were. */
static status choose_algorithm(gemm_timer *g, product *p, double *seconds, char *text,
                               size_t size, errbuf *err) {
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    int n = 0, best = -1;
    TRY_LT(g->lt.MatmulAlgoGetHeuristic(g->handle, g->operation, p->w, p->x, p->d, p->d,
                                        g->preference, CANDIDATES, found, &n),
           "finding an algorithm");
    *seconds = INFINITY;
    errbuf refused;
    memset(&refused, 0, sizeof(refused));
    for (int i = 0; i < n; i++) {
        double s;
        p->algorithm = found[i].algo;
        if (found[i].state != CUBLAS_STATUS_SUCCESS ||
            time_candidate(g, p, &s, *seconds, &refused) != ST_OK || s >= *seconds)
            continue;
        *seconds = s;
        best = i;
    }
    if (best < 0)
        return fail(err, ST_IO, "no algorithm for a product of %u x %u: %.200s", p->n, p->k,
                    refused.text);
    p->algorithm = found[best].algo;
    name_algorithm(g, p, best, n, text, size);
    return ST_OK;
}

/* ------------------------------------------------------------ measuring */

static double host_clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static status repeat_graph(gemm_timer *g, repeat_summary *out, cudaGraphExec_t graph,
                           uint32_t n_products, const repeat_rule *rule, errbuf *err) {
    probe_repeats times;
    times.n = 0;
    double seconds, begin_s = host_clock_s();
    for (int i = 0; i < N_WARMUPS; i++) TRY(time_graph(g, graph, &seconds, err));
    while (!probe_repeats_enough(&times, rule, host_clock_s() - begin_s)) {
        TRY(time_graph(g, graph, &seconds, err));
        probe_repeats_add(&times, seconds / n_products);
    }
    *out = probe_repeats_summary(&times);
    return ST_OK;
}

status gemm_timer_measure(gemm_timer *g, repeat_summary *out, probe_remark *remark,
                          uint32_t n_tokens, double window_s, const repeat_rule *rule,
                          errbuf *err) {
    product *p = &g->measured;
    double guess_s;
    TRY(set_layouts(g, p, n_tokens, err));
    TRY(choose_algorithm(g, p, &guess_s, remark->method, sizeof(remark->method), err));
    uint32_t n = gemm_n_together(guess_s, p->n_copies, window_s);
    cudaGraphExec_t graph;
    TRY(make_graph(g, &graph, p, n, err));
    status st = repeat_graph(g, out, graph, n, rule, err);
    cudaGraphExecDestroy(graph);
    return st;
}

/* ------------------------------------------------------------ the load */

status gemm_timer_prepare_load(gemm_timer *g, errbuf *err) {
    product *p = &g->load;
    char text[64];
    double seconds;
    if (g->load_graph) return ST_OK;
    p->n = p->k = LOAD_SIZE;
    p->n_copies = 2;
    TRY(make_operands(p, LOAD_SIZE, err));
    TRY(set_layouts(g, p, LOAD_SIZE, err));
    TRY(choose_algorithm(g, p, &seconds, text, sizeof(text), err));
    return make_graph(g, &g->load_graph, p, LOAD_PRODUCTS, err);
}

status gemm_timer_queue_load(gemm_timer *g, void *stream, errbuf *err) {
    return cuda_status(cudaGraphLaunch(g->load_graph, (cudaStream_t)stream), "a load", err);
}
