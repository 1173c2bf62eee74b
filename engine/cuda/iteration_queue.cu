#include "iteration_queue.cuh"

#include <stdlib.h>

#include "cuda_call.cuh"

struct iteration_queue {
    iteration_queue_config config;
    decode_ring ring;
    /* Pinned, read and written by both sides; the ring has their addresses on the device. */
    uint32_t *host_tokens;        /* [ITERATIONS_AHEAD_MAX, max_samples] */
    volatile uint32_t *host_done; /* [ITERATIONS_AHEAD_MAX] */
    volatile uint32_t *host_stop;
    uint32_t *bad;    /* [max_samples] */
    char *pinned;     /* what they are cut from */
    uint32_t *picked; /* [max_samples] on the device, as are stopped and n_done of the ring */

    cudaEvent_t ended[ITERATIONS_AHEAD_MAX];
    uint32_t first, n_pending; /* iterations that sample count in the ring from `first` on */
    bool samples;              /* those pending do: one without samples is pending alone */
    cudaGraphExec_t graphs[GEMM_N_BUCKETS + 1]; /* by size of batch, see graph_of() */
    uint32_t sizes[GEMM_N_BUCKETS + 1];         /* [n_graphs] rows of each */
    uint32_t n_graphs;
};

/* ------------------------------------------------------------ making and ending */

static status make_pinned(iteration_queue *q, uint32_t max_samples, errbuf *err) {
    const size_t n_tokens = (size_t)ITERATIONS_AHEAD_MAX * max_samples;
    const size_t bytes = (n_tokens + ITERATIONS_AHEAD_MAX + 1 + max_samples) * sizeof(uint32_t);
    TRY_CUDA(cudaHostAlloc((void **)&q->pinned, bytes, cudaHostAllocMapped),
             "pinned memory for picks");
    memset(q->pinned, 0, bytes);
    q->host_tokens = (uint32_t *)q->pinned;
    q->host_done = q->host_tokens + n_tokens;
    q->host_stop = q->host_done + ITERATIONS_AHEAD_MAX;
    q->bad = (uint32_t *)q->host_stop + 1;
    return ST_OK;
}

static status make_ring(iteration_queue *q, uint32_t max_samples, errbuf *err) {
    uint32_t *pinned, *words;
    TRY(make_pinned(q, max_samples, err));
    TRY_CUDA(cudaHostGetDevicePointer((void **)&pinned, q->pinned, 0), "pinned memory");
    TRY_CUDA(cudaMalloc((void **)&q->picked, (max_samples + 2) * sizeof(uint32_t)),
             "device memory for picks");
    TRY_CUDA(cudaMemset(q->picked, 0, (max_samples + 2) * sizeof(uint32_t)), "picks");
    words = q->picked + max_samples;
    q->ring.tokens = pinned;
    q->ring.done = pinned + (q->host_done - q->host_tokens);
    q->ring.host_stop = pinned + (q->host_stop - q->host_tokens);
    q->ring.stopped = words;
    q->ring.n_done = words + 1;
    q->ring.n_slots = ITERATIONS_AHEAD_MAX;
    q->ring.n_rows_max = max_samples;
    return ST_OK;
}

static status build(iteration_queue *q, errbuf *err) {
    TRY(make_ring(q, q->config.batch->limits.max_samples, err));
    for (int i = 0; i < ITERATIONS_AHEAD_MAX; i++)
        TRY_CUDA(cudaEventCreateWithFlags(&q->ended[i], cudaEventDisableTiming), "an event");
    q->config.batch->pass.stopped = q->ring.stopped;
    return ST_OK;
}

status iteration_queue_create(iteration_queue **out, const iteration_queue_config *c,
                              errbuf *err) {
    iteration_queue *q = (iteration_queue *)calloc(1, sizeof(*q));
    if (!q) return fail(err, ST_NO_MEMORY, "out of memory for a queue of iterations");
    q->config = *c;
    status st = build(q, err);
    if (st == ST_OK)
        *out = q;
    else
        iteration_queue_destroy(q);
    return st;
}

void iteration_queue_destroy(iteration_queue *q) {
    if (!q) return;
    if (q->n_pending > 0) (void)cudaStreamSynchronize(q->config.stream);
    for (uint32_t i = 0; i < q->n_graphs; i++)
        if (q->graphs[i]) (void)cudaGraphExecDestroy(q->graphs[i]);
    for (int i = 0; i < ITERATIONS_AHEAD_MAX; i++)
        if (q->ended[i]) (void)cudaEventDestroy(q->ended[i]);
    (void)cudaFreeHost(q->pinned);
    (void)cudaFree(q->picked);
    free(q);
}

/* ------------------------------------------------------------ enqueueing */

static status pick(iteration_queue *q, bool repeats, errbuf *err) {
    const device_batch *b = q->config.batch;
    uint32_t *bad = q->ring.tokens + (q->bad - q->host_tokens);
    pick_args a = {};
    a.logits = device_pass_logits(q->config.pass);
    a.request_ids = (const uint64_t *)b->request_ids.device;
    a.positions =
        (const uint32_t *)(repeats ? b->positions.device : b->sample_positions.device);
    a.n_prompt = (const uint32_t *)b->n_prompt.device;
    a.tokens = q->picked;
    a.bad = bad;
    a.n = b->pass.n_samples;
    a.vocab = q->config.vocab;
    a.options = q->config.sampling;
    return pick_tokens(q->config.stream, &a, err);
}

/* Picks to the host; rows that repeat also move on. */
static status advance(iteration_queue *q, bool repeats, errbuf *err) {
    const device_batch *b = q->config.batch;
    advance_args a = {};
    a.picked = q->picked;
    a.tokens = repeats ? (uint32_t *)b->tokens.device : q->picked;
    a.positions = (uint32_t *)(repeats ? b->positions.device : b->sample_positions.device);
    a.n_live = repeats ? (const uint32_t *)b->n_live.device : NULL;
    a.n = b->pass.n_samples;
    return advance_rows(q->config.stream, &q->ring, &a, err);
}

static status enqueue(iteration_queue *q, bool repeats, errbuf *err) {
    const iteration_queue_config *c = &q->config;
    TRY(begin_iteration(c->stream, &q->ring, err));
    TRY(device_pass_run(c->pass, c->stream, &c->arena, &c->batch->pass, err));
    if (c->batch->pass.n_samples == 0) return ST_OK;
    TRY(pick(q, repeats, err));
    return advance(q, repeats, err);
}

/* The place of a size of batch; a new one is appended. */
static uint32_t graph_of(iteration_queue *q, bool *is_new) {
    const uint32_t n_rows = q->config.batch->pass.rows.n_rows;
    for (uint32_t i = 0; i < q->n_graphs; i++)
        if (q->sizes[i] == n_rows) {
            *is_new = false;
            return i;
        }
    *is_new = true;
    q->sizes[q->n_graphs] = n_rows;
    return q->n_graphs++;
}

static status capture(iteration_queue *q, cudaGraphExec_t *out, errbuf *err) {
    cudaStream_t stream = q->config.stream;
    cudaGraph_t graph = NULL;
    TRY_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
             "capturing an iteration");
    status st = enqueue(q, true, err);
    cudaError_t e = cudaStreamEndCapture(stream, &graph);
    if (st == ST_OK) st = cuda_status(e, "capturing an iteration", err);
    if (st == ST_OK)
        st = cuda_status(cudaGraphInstantiate(out, graph, 0), "a graph of an iteration", err);
    if (graph) (void)cudaGraphDestroy(graph);
    return st;
}

static status enqueue_graph(iteration_queue *q, errbuf *err) {
    bool is_new;
    uint32_t i = graph_of(q, &is_new);
    if (is_new) return enqueue(q, true, err);
    if (!q->graphs[i]) TRY(capture(q, &q->graphs[i], err));
    TRY_CUDA(cudaGraphLaunch(q->graphs[i], q->config.stream), "the graph of an iteration");
    return ST_OK;
}

static cudaEvent_t event_of(const iteration_queue *q, uint32_t nth) {
    return q->ended[(q->first + nth) % ITERATIONS_AHEAD_MAX];
}

status iteration_queue_push(iteration_queue *q, bool repeats, errbuf *err) {
    if (q->n_pending == ITERATIONS_AHEAD_MAX)
        return fail(err, ST_INVALID, "more than %d iterations ahead", ITERATIONS_AHEAD_MAX);
    q->samples = q->config.batch->pass.n_samples > 0;
    TRY(repeats ? enqueue_graph(q, err) : enqueue(q, false, err));
    TRY_CUDA(cudaEventRecord(event_of(q, q->n_pending), q->config.stream),
             "the end of an iteration");
    q->n_pending++;
    return ST_OK;
}

uint32_t iteration_queue_pending(const iteration_queue *q) {
    return q->n_pending;
}

/* ------------------------------------------------------------ taking */

static status read_picks(iteration_queue *q, uint32_t *picked, uint32_t *bad_sample,
                         errbuf *err) {
    const device_batch *b = q->config.batch;
    const uint32_t slot = q->first % ITERATIONS_AHEAD_MAX;
    const uint32_t *tokens = q->host_tokens + (size_t)slot * q->ring.n_rows_max;
    for (uint32_t i = 0; i < b->n_samples; i++) {
        picked[b->order[i]] = tokens[i];
        if (q->bad[i] == 0) continue;
        *bad_sample = b->order[i];
        return fail(err, ST_FORMAT, "the model gave a value that is no number");
    }
    return ST_OK;
}

status iteration_queue_take(iteration_queue *q, bool *ended, uint32_t *picked,
                            uint32_t *bad_sample, errbuf *err) {
    *ended = false;
    if (q->n_pending == 0) return ST_OK;
    cudaError_t e = cudaEventQuery(event_of(q, 0));
    if (e == cudaErrorNotReady) return ST_OK;
    TRY_CUDA(e, "an iteration");
    if (q->samples) {
        TRY(read_picks(q, picked, bad_sample, err));
        q->first++; /* wraps round as the ring's count does */
    }
    q->n_pending--;
    *ended = true;
    return ST_OK;
}

/* Those of the pending that ran used up their places in the ring, the others did not. */
status iteration_queue_drop(iteration_queue *q, errbuf *err) {
    if (q->n_pending == 0) return ST_OK;
    *q->host_stop = 1;
    TRY_CUDA(cudaStreamSynchronize(q->config.stream), "the end of the iterations ahead");
    while (q->samples && q->host_done[q->first % ITERATIONS_AHEAD_MAX] == q->first + 1)
        q->first++;
    q->n_pending = 0;
    *q->host_stop = 0;
    TRY_CUDA(cudaMemsetAsync(q->ring.stopped, 0, sizeof(uint32_t), q->config.stream),
             "the iterations ahead");
    return ST_OK;
}
