/* copy_timer.cu - see copy_timer.h. */
#include <time.h>

#include "cuda_call.cuh"

extern "C" {
#include "copy_timer.h"
#include "gemm_timer.h"
#include "probe_device.h"
}

enum { N_WARMUPS = 2, SEGMENTS_MAX = 4096, LOAD_UNITS_MAX = 1 << 14 };
static const size_t load_copy_bytes = 32u << 20;

/* What runs beside the measured copy: units of about 1 ms, on a stream of its own. */
typedef struct load {
    cudaStream_t stream;
    cudaEvent_t begun, ended;
    int n_units; /* as many as outlasted the last copy */
} load;

struct copy_timer {
    gemm_timer *gemms;
    char *device, *host; /* [pool_bytes] */
    uint64_t pool_bytes;
    char *other_device, *other_host; /* [load_copy_bytes] of the other direction */
    cudaStream_t stream;
    cudaEvent_t begin, end;
    load copies, products;
    uint64_t n_points;
    /* The calls' arguments. */
    copy_piece pieces[SEGMENTS_MAX];
    void *destinations[SEGMENTS_MAX];
    const void *sources[SEGMENTS_MAX];
    size_t sizes[SEGMENTS_MAX];
};

static double host_clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ------------------------------------------------------------ making one */

static status create_load(load *l, errbuf *err) {
    TRY_CUDA(cudaStreamCreateWithFlags(&l->stream, cudaStreamNonBlocking), "a stream");
    TRY_CUDA(cudaEventCreate(&l->begun), "an event");
    return cuda_status(cudaEventCreate(&l->ended), "an event", err);
}

static void destroy_load(load *l) {
    if (l->ended) cudaEventDestroy(l->ended);
    if (l->begun) cudaEventDestroy(l->begun);
    if (l->stream) cudaStreamDestroy(l->stream);
}

/* Both sides of a pool with the same random bytes. */
static status make_pool(char **device, char **host, size_t n_bytes, errbuf *err) {
    TRY_CUDA(cudaMalloc((void **)device, n_bytes), "device memory to copy");
    TRY_CUDA(cudaMallocHost((void **)host, n_bytes), "pinned host memory to copy");
    TRY(probe_fill_random(*device, n_bytes, n_bytes, err));
    return cuda_status(cudaMemcpy(*host, *device, n_bytes, cudaMemcpyDeviceToHost),
                       "filling the host pool", err);
}

static status fill(copy_timer *t, errbuf *err) {
    TRY(make_pool(&t->device, &t->host, t->pool_bytes, err));
    TRY(make_pool(&t->other_device, &t->other_host, load_copy_bytes, err));
    TRY_CUDA(cudaStreamCreateWithFlags(&t->stream, cudaStreamNonBlocking), "a stream");
    TRY_CUDA(cudaEventCreate(&t->begin), "an event");
    TRY_CUDA(cudaEventCreate(&t->end), "an event");
    TRY(create_load(&t->copies, err));
    TRY(create_load(&t->products, err));
    return gemm_timer_prepare_load(t->gemms, err);
}

status copy_timer_create(copy_timer **out, uint64_t pool_bytes, gemm_timer *gemms,
                         errbuf *err) {
    copy_timer *t = (copy_timer *)calloc(1, sizeof(*t));
    if (!t) return fail(err, ST_NO_MEMORY, "out of memory");
    t->pool_bytes = pool_bytes;
    t->gemms = gemms;
    status st = fill(t, err);
    if (st != ST_OK) {
        copy_timer_destroy(t);
        return st;
    }
    *out = t;
    return ST_OK;
}

void copy_timer_destroy(copy_timer *t) {
    if (!t) return;
    cudaDeviceSynchronize();
    destroy_load(&t->products);
    destroy_load(&t->copies);
    if (t->end) cudaEventDestroy(t->end);
    if (t->begin) cudaEventDestroy(t->begin);
    if (t->stream) cudaStreamDestroy(t->stream);
    cudaFreeHost(t->other_host);
    cudaFree(t->other_device);
    cudaFreeHost(t->host);
    cudaFree(t->device);
    free(t);
}

/* ------------------------------------------------------------ the load */

static status queue_unit(copy_timer *t, load *l, const copy_point *p, errbuf *err) {
    if (l == &t->products) return gemm_timer_queue_load(t->gemms, l->stream, err);
    cudaError_t e = p->direction == LINK_TO_HOST
                        ? cudaMemcpyAsync(t->other_device, t->other_host, load_copy_bytes,
                                          cudaMemcpyHostToDevice, l->stream)
                        : cudaMemcpyAsync(t->other_host, t->other_device, load_copy_bytes,
                                          cudaMemcpyDeviceToHost, l->stream);
    return cuda_status(e, "copying the other way", err);
}

/* Queues the load and waits until it runs, so that the window holds the calls of the measured
 * copy with and without load. */
static status start_load(copy_timer *t, load *l, const copy_point *p, errbuf *err) {
    TRY(queue_unit(t, l, p, err));
    TRY_CUDA(cudaEventRecord(l->begun, l->stream), "an event");
    for (int i = 0; i < l->n_units; i++) TRY(queue_unit(t, l, p, err));
    TRY_CUDA(cudaEventRecord(l->ended, l->stream), "an event");
    return cuda_status(cudaEventSynchronize(l->begun), "starting the load", err);
}

/* *outlasted is false where the load ended before the copy: next time it will be longer. */
static status end_load(copy_timer *t, load *l, bool *outlasted, errbuf *err) {
    float ms = 0;
    TRY_CUDA(cudaEventSynchronize(l->ended), "ending the load");
    TRY_CUDA(cudaEventElapsedTime(&ms, t->end, l->ended), "timing the load");
    if (ms >= 0) return ST_OK;
    *outlasted = false;
    if (l->n_units >= LOAD_UNITS_MAX)
        return fail(err, ST_IO, "the load ended before the copy, however long it was");
    l->n_units *= 2;
    return ST_OK;
}

/* ------------------------------------------------------------ the copy */

static status set_pieces(copy_timer *t, const copy_point *p, errbuf *err) {
    uint64_t piece_bytes = p->bytes / p->n_segments;
    if (p->n_segments > SEGMENTS_MAX)
        return fail(err, ST_INVALID, "%u pieces are more than %d", p->n_segments, SEGMENTS_MAX);
    status st =
        copy_layout_make(t->pieces, p->n_segments, piece_bytes, t->pool_bytes, t->n_points++);
    if (st != ST_OK) return fail(err, st, "pieces of a copy: %s", status_text(st));
    for (uint32_t i = 0; i < p->n_segments; i++) {
        char *device = t->device + t->pieces[i].device_at;
        char *host = t->host + t->pieces[i].host_at;
        t->sources[i] = p->direction == LINK_TO_HOST ? device : host;
        t->destinations[i] = p->direction == LINK_TO_HOST ? host : device;
        t->sizes[i] = piece_bytes;
    }
    return ST_OK;
}

static status copy_pieces(copy_timer *t, const copy_point *p, errbuf *err) {
    cudaMemcpyKind kind =
        p->direction == LINK_TO_HOST ? cudaMemcpyDeviceToHost : cudaMemcpyHostToDevice;
    for (uint32_t i = 0; i < p->n_segments; i++)
        TRY_CUDA(
            cudaMemcpyAsync(t->destinations[i], t->sources[i], t->sizes[i], kind, t->stream),
            "copying");
    return ST_OK;
}

/* As the engine does it: by the copy engines, with the SMs left to compute. */
static status copy_batch(copy_timer *t, const copy_point *p, errbuf *err) {
    cudaMemcpyAttributes attributes;
    size_t first = 0; /* of the copies with these attributes */
    memset(&attributes, 0, sizeof(attributes));
    attributes.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
    attributes.flags = cudaMemcpyFlagPreferOverlapWithCompute;
    return cuda_status(cudaMemcpyBatchAsync(t->destinations, t->sources, t->sizes,
                                            p->n_segments, &attributes, &first, 1, t->stream),
                       "copying a batch", err);
}

static status copy_once(copy_timer *t, const copy_point *p, double *seconds, double *issue_s,
                        errbuf *err) {
    float ms = 0;
    TRY_CUDA(cudaEventRecord(t->begin, t->stream), "an event");
    double begin_s = host_clock_s();
    TRY(p->method == COPY_BATCH ? copy_batch(t, p, err) : copy_pieces(t, p, err));
    *issue_s = host_clock_s() - begin_s;
    TRY_CUDA(cudaEventRecord(t->end, t->stream), "an event");
    TRY_CUDA(cudaEventSynchronize(t->end), "copying");
    TRY_CUDA(cudaEventElapsedTime(&ms, t->begin, t->end), "timing a copy");
    *seconds = ms * 1e-3;
    return ST_OK;
}

/* *counts is false where the load was too short. */
static status copy_under_load(copy_timer *t, const copy_point *p, double *seconds,
                              double *issue_s, bool *counts, errbuf *err) {
    *counts = true;
    if (p->other_direction_busy) TRY(start_load(t, &t->copies, p, err));
    if (p->compute_busy) TRY(start_load(t, &t->products, p, err));
    TRY(copy_once(t, p, seconds, issue_s, err));
    if (p->other_direction_busy) TRY(end_load(t, &t->copies, counts, err));
    if (p->compute_busy) TRY(end_load(t, &t->products, counts, err));
    return ST_OK;
}

status copy_timer_measure(copy_timer *t, repeat_summary *out, probe_remark *remark,
                          const copy_point *p, const repeat_rule *rule, errbuf *err) {
    probe_repeats times, issues;
    times.n = issues.n = 0;
    TRY(set_pieces(t, p, err));
    t->copies.n_units = t->products.n_units = 1;
    double begin_s = host_clock_s();
    for (uint32_t done = 0; !probe_repeats_enough(&times, rule, host_clock_s() - begin_s);) {
        double seconds, issue_s;
        bool counts;
        TRY(copy_under_load(t, p, &seconds, &issue_s, &counts, err));
        if (!counts || done++ < N_WARMUPS) continue;
        probe_repeats_add(&times, seconds);
        probe_repeats_add(&issues, issue_s);
    }
    *out = probe_repeats_summary(&times);
    remark->issue_s = probe_repeats_summary(&issues).median_s;
    return ST_OK;
}
