/* cuda_executor_make.cu - making the CUDA executor, and ending it. See cuda_executor.h. */
#include <stdlib.h>

#include "cuda_call.cuh"
#include "cuda_executor_state.cuh"
#include "fill.cuh"

extern "C" {
#include "memory_check.h"
}

/* Bytes of a block over all layers. */
static uint64_t block_bytes(const cuda_executor *x) {
    return model_config_kv_bytes(x->shape, 2) * x->config.common.block_tokens;
}

static device_pass_options pass_options(const cuda_executor_config *c) {
    device_pass_options o = {};
    o.max_samples = gemm_bucket(c->max_seqs);
    o.max_rows = c->common.max_batched_tokens > o.max_samples ? c->common.max_batched_tokens
                                                              : o.max_samples;
    o.max_context = c->max_model_len;
    o.gemm = gemm_options_defaults();
    o.gemm.dtype = c->half ? DEVICE_FP16 : DEVICE_BF16;
    o.gemm.deterministic = c->common.deterministic;
    return o;
}

/* Said with the numbers before anything is loaded. The pools come when algorithms are found. */
static status check_memory(const cuda_executor *x, errbuf *err) {
    const double gib = 1024.0 * 1024 * 1024;
    const cuda_executor_config *c = &x->config;
    const uint64_t block = block_bytes(x);
    const uint64_t kv = ((uint64_t)c->common.n_device_blocks + 1) * block;
    const device_pass_options o = pass_options(c);
    cuda_device d;
    size_t weights;
    char what[96];
    TRY(cuda_device_open(&d, err));
    TRY(device_model_bytes(&weights, x->shape, c->max_model_len, err));
    const device_pass_memory pass = device_pass_bytes(x->shape, &o, d.n_sms);
    const uint64_t fixed = weights + pass.lasting, most = kv > pass.passing ? kv : pass.passing;
    if (fixed + most > d.free_bytes)
        return fail(err, ST_NO_MEMORY,
                    "%.2f GiB of weights and activations and %.2f GiB %s are more than the "
                    "%.2f GiB that are free on the %s",
                    (double)fixed / gib, (double)most / gib,
                    most == kv ? "of KV (smaller pool: --kv-gib)" : "to time products",
                    (double)d.free_bytes / gib, d.name);
    snprintf(what, sizeof(what), "%.2f GiB of pinned KV (smaller pool: --host-gib)",
             (double)c->common.n_host_blocks * (double)block / gib);
    return memory_check(c->common.n_host_blocks * block, what, err);
}

/* Numbers of the size that keys and values have: microbenchmarks attend to blocks that nobody
 * wrote, and zeros or what lay there would not cost the same. */
static status fill_arenas(cuda_executor *x, size_t n_device, size_t n_host, errbuf *err) {
    const fill_law law = {x->config.common.seed, 0, 0, 0.5f};
    TRY(fill_random(0, x->device_blocks, n_device / 2, x->model.dtype, &law, err));
    for (size_t at = 0; at < n_host; at += n_device)
        TRY_CUDA(cudaMemcpy(x->host_blocks + at, x->device_blocks,
                            n_host - at < n_device ? n_host - at : n_device,
                            cudaMemcpyDeviceToHost),
                 "filling pinned memory");
    return ST_OK;
}

static status make_arenas(cuda_executor *x, errbuf *err) {
    const cuda_executor_config *c = &x->config;
    const size_t block = block_bytes(x);
    /* One more than the scheduler knows of: the spare block of padding. */
    const size_t n_device = (c->common.n_device_blocks + (size_t)1) * block;
    const size_t n_host = (c->common.n_host_blocks ? c->common.n_host_blocks : 1) * block;
    TRY_CUDA(cudaMalloc((void **)&x->device_blocks, n_device), "device memory for KV");
    TRY_CUDA(cudaHostAlloc((void **)&x->host_blocks, n_host, cudaHostAllocDefault),
             "pinned memory for KV");
    TRY(fill_arenas(x, n_device, n_host, err));
    const copy_memory m = {x->device_blocks, x->host_blocks, block, x->shape->n_layers};
    return copy_streams_create(&x->copies, &m, err);
}

static status load_model(cuda_executor *x, errbuf *err) {
    const cuda_executor_config *c = &x->config;
    device_dtype dtype = c->half ? DEVICE_FP16 : DEVICE_BF16;
    if (c->weights)
        return device_model_load(&x->model, c->weights, dtype, c->max_model_len, err);
    return device_model_random(&x->model, x->shape, dtype, c->max_model_len, c->common.seed,
                               err);
}

/* Lines that do not fit this device and library are passed over. */
static void use_known(const cuda_executor *x, gemm *g) {
    for (uint32_t i = 0; i < x->config.n_algorithms; i++) {
        gemm_algo_record r;
        errbuf ignored;
        if (gemm_record_read(&r, x->config.algorithms[i], &ignored) != ST_OK) continue;
        status st = gemm_use_record(g, &r, &ignored);
        (void)st;
    }
}

static void tell_used(const cuda_executor *x, const gemm *g) {
    gemm_algo_record r;
    char text[GEMM_RECORD_TEXT_BYTES];
    for (uint32_t i = 0; x->config.use && gemm_record(g, &r, i); i++) {
        gemm_record_write(text, &r);
        x->config.use(x->config.context, text);
    }
}

static status prepare_products(cuda_executor *x, errbuf *err) {
    gemm *g = device_pass_gemm(x->pass);
    use_known(x, g);
    TRY(gemm_prepare(g, x->config.progress, x->config.context, err));
    tell_used(x, g);
    return ST_OK;
}

static status make_queue(cuda_executor *x, errbuf *err) {
    const cuda_executor_config *c = &x->config;
    iteration_queue_config q = {};
    q.stream = x->compute;
    q.pass = x->pass;
    q.batch = &x->arrays;
    q.arena = kv_arena{x->device_blocks, c->common.block_tokens, x->shape->n_layers,
                       x->shape->n_kv_heads, x->shape->head_dim};
    q.vocab = x->shape->vocab;
    q.sampling = c->common.sampling;
    return iteration_queue_create(&x->queue, &q, err);
}

static status make_batch(cuda_executor *x, errbuf *err) {
    const cuda_executor_config *c = &x->config;
    const device_pass_options o = pass_options(c);
    device_batch_limits l = {};
    l.max_rows = o.max_rows;
    l.max_samples = o.max_samples;
    l.max_table = (c->max_model_len + HORIZON_MAX) / c->common.block_tokens + 1;
    l.tile_rows = attention_tile_rows(x->shape->head_dim);
    l.spare_block = c->common.n_device_blocks;
    l.tiles_only = c->common.deterministic;
    x->picked = (uint32_t *)calloc(l.max_samples, sizeof(*x->picked));
    if (!x->picked) return fail(err, ST_NO_MEMORY, "out of memory for picks");
    return device_batch_init(&x->arrays, &l, err);
}

static void init_tokens(cuda_executor *x) {
    token_table_init(&x->tokens, x->shape->vocab, x->config.common.seed);
    batch_outputs_init(&x->outputs, &x->config.common, x->shape->eos_tokens,
                       x->shape->n_eos_tokens);
}

static status build(cuda_executor *x, errbuf *err) {
    const device_pass_options o = pass_options(&x->config);
    init_tokens(x);
    TRY(check_memory(x, err));
    TRY_CUDA(cudaStreamCreateWithFlags(&x->compute, cudaStreamNonBlocking),
             "a stream for compute");
    TRY_CUDA(cudaEventCreate(&x->ordered_started), "an event");
    TRY_CUDA(cudaEventCreate(&x->ordered_ended), "an event");
    TRY(load_model(x, err));
    TRY(device_pass_create(&x->pass, &x->model, &o, err));
    TRY(prepare_products(x, err));
    TRY(make_arenas(x, err));
    TRY(make_batch(x, err));
    TRY(make_queue(x, err));
    TRY_CUDA(cudaDeviceSynchronize(), "making the device ready");
    return ST_OK;
}

/* What uses the others goes first. */
static void destroy(void *context) {
    cuda_executor *x = (cuda_executor *)context;
    iteration_queue_destroy(x->queue);
    if (x->compute) (void)cudaStreamSynchronize(x->compute);
    copy_streams_destroy(x->copies);
    device_pass_destroy(x->pass);
    device_batch_finish(&x->arrays);
    device_model_finish(&x->model);
    if (x->ordered_started) (void)cudaEventDestroy(x->ordered_started);
    if (x->ordered_ended) (void)cudaEventDestroy(x->ordered_ended);
    if (x->compute) (void)cudaStreamDestroy(x->compute);
    (void)cudaFree(x->device_blocks);
    (void)cudaFreeHost(x->host_blocks);
    token_table_finish(&x->tokens);
    token_batch_finish(&x->batch);
    batch_outputs_finish(&x->outputs);
    free(x->picked);
    free(x);
}

static status check_config(const cuda_executor_config *c, errbuf *err) {
    TRY(engine_config_check(&c->common, err));
    if (c->max_seqs == 0 || c->max_model_len == 0)
        return fail(err, ST_INVALID, "%u sequences an iteration, %u tokens a sequence",
                    c->max_seqs, c->max_model_len);
    if (c->common.max_batched_tokens > GEMM_ROWS_MAX || c->max_seqs > GEMM_ROWS_MAX)
        return fail(err, ST_INVALID, "the cuda backend computes at most %d tokens an iteration",
                    GEMM_ROWS_MAX);
    return ST_OK;
}

status cuda_executor_create(executor *out, const cuda_executor_config *config, errbuf *err) {
    TRY(check_config(config, err));
    cuda_executor *x = (cuda_executor *)calloc(1, sizeof(*x));
    if (!x) return fail(err, ST_NO_MEMORY, "out of memory for the CUDA engine");
    x->config = *config;
    x->shape = config->shape;
    status st = build(x, err);
    if (st != ST_OK) {
        destroy(x);
        return st;
    }
    *out = executor{};
    cuda_executor_serve(out, x);
    out->destroy = destroy;
    return ST_OK;
}
