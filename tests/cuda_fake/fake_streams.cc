/* fake_streams.cc - the order of calls: streams, events, captures, the log; see
 * cuda_runtime.h and fake_cuda.h. */
#include "fake_state.h"

#include <time.h>
#include <vector>

typedef std::vector<std::function<void()>> graph_work; /* in the order of the calls */

struct CUgraph_st {
    graph_work work;
    long number; /* of captures, from 1 */
    cudaStream_t origin;
    std::vector<cudaStream_t> joined;
};
struct CUgraphExec_st {
    graph_work work;
};
struct CUstream_st {
    bool captures;
    bool has_open_work; /* captured and not waited for by another stream */
};
struct CUevent_st {
    double recorded_s; /* 0: never */
    cudaStream_t stream;
    long capture; /* number of the one it was recorded in; 0: none */
};

size_t fake_n_handles;

static CUgraph_st *capturing; /* NULL: no stream captures; one capture at a time */
static long n_captures;
static std::vector<fake_call> calls;
static bool logging;

/* ------------------------------------------------------------ the log */

void fake_log_begin(void) {
    guard g(fake_lock);
    calls.clear();
    logging = true;
}

size_t fake_log_end(const fake_call **out) {
    guard g(fake_lock);
    logging = false;
    *out = calls.data();
    return calls.size();
}

/* A call on a stream that has passed its checks. */
static void carry_out(cudaStream_t stream, fake_call call, const std::function<void()> &work) {
    call.stream = stream;
    call.captured = stream && stream->captures;
    if (logging) calls.push_back(call);
    if (call.captured) {
        capturing->work.push_back(work);
        stream->has_open_work = true;
    } else if (work) {
        work();
    }
}

cudaError_t fake_enqueue(cudaStream_t stream, const fake_call &call,
                         const std::function<void()> &work) {
    guard g(fake_lock);
    MAY_FAIL(cudaErrorLaunchFailure);
    carry_out(stream, call, work);
    return cudaSuccess;
}

/* ------------------------------------------------------------ streams and events */

static double clock_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    guard g(fake_lock);
    MAY_FAIL(cudaErrorMemoryAllocation);
    *stream = new CUstream_st();
    fake_n_handles++;
    return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    guard g(fake_lock);
    if (!stream) return fake_failed(cudaErrorInvalidResourceHandle);
    delete stream;
    fake_n_handles--;
    return cudaSuccess;
}

static cudaError_t synchronize(const void *stream, const void *event) {
    guard g(fake_lock);
    NOT_IN_A_CAPTURE();
    MAY_FAIL(cudaErrorLaunchFailure);
    fake_call call = fake_call_of(FAKE_SYNCHRONIZE);
    call.stream = stream;
    call.event = event;
    if (logging) calls.push_back(call);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return synchronize(stream, NULL);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return synchronize(NULL, event);
}
cudaError_t cudaDeviceSynchronize(void) {
    return synchronize(NULL, NULL);
}

cudaError_t cudaEventQuery(cudaEvent_t) {
    guard g(fake_lock);
    NOT_IN_A_CAPTURE();
    MAY_FAIL(cudaErrorLaunchFailure);
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
    guard g(fake_lock);
    MAY_FAIL(cudaErrorMemoryAllocation);
    *event = new CUevent_st();
    fake_n_handles++;
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *event) {
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    guard g(fake_lock);
    if (!event) return fake_failed(cudaErrorInvalidResourceHandle);
    delete event;
    fake_n_handles--;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    guard g(fake_lock);
    if (!event) return fake_failed(cudaErrorInvalidResourceHandle);
    MAY_FAIL(cudaErrorLaunchFailure);
    fake_call call = fake_call_of(FAKE_RECORD);
    call.event = event;
    carry_out(stream, call, nullptr);
    event->stream = stream;
    event->capture = stream && stream->captures ? capturing->number : 0;
    event->recorded_s = clock_s();
    return cudaSuccess;
}

/* Inside a capture a wait draws a second stream in, or joins it back to the waiting one. */
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    guard g(fake_lock);
    if (!event) return fake_failed(cudaErrorInvalidResourceHandle);
    MAY_FAIL(cudaErrorLaunchFailure);
    bool inside = capturing && event->capture == capturing->number;
    if (stream && stream->captures && !inside)
        return fake_failed(cudaErrorStreamCaptureIsolation);
    if (inside) {
        if (!stream) return fake_failed(cudaErrorStreamCaptureImplicit);
        if (!stream->captures) capturing->joined.push_back(stream);
        stream->captures = true;
        event->stream->has_open_work = false;
    }
    fake_call call = fake_call_of(FAKE_WAIT);
    call.event = event;
    carry_out(stream, call, nullptr);
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end) {
    guard g(fake_lock);
    CHECK_VALUE(begin && end);
    if (begin->recorded_s == 0 || end->recorded_s == 0)
        return fake_failed(cudaErrorInvalidResourceHandle);
    *ms = (float)((end->recorded_s - begin->recorded_s) * 1e3);
    return cudaSuccess;
}

/* ------------------------------------------------------------ graphs */

bool fake_captures(void) {
    return capturing != NULL;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    guard g(fake_lock);
    MAY_FAIL(cudaErrorLaunchFailure);
    if (!stream) return fake_failed(cudaErrorStreamCaptureUnsupported);
    CHECK_VALUE(!capturing);
    capturing = new CUgraph_st();
    capturing->number = ++n_captures;
    capturing->origin = stream;
    stream->captures = true;
    fake_n_handles++;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    guard g(fake_lock);
    CHECK_VALUE(capturing && stream == capturing->origin);
    cudaError_t e = fake_must_fail() ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
    for (cudaStream_t s : capturing->joined) {
        if (s->has_open_work) e = cudaErrorStreamCaptureUnjoined;
        s->captures = s->has_open_work = false;
    }
    stream->captures = stream->has_open_work = false;
    *graph = capturing;
    capturing = NULL;
    if (e == cudaSuccess) return e;
    delete *graph;
    *graph = NULL;
    fake_n_handles--;
    return fake_failed(e);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    guard g(fake_lock);
    CHECK_VALUE(graph);
    MAY_FAIL(cudaErrorMemoryAllocation);
    *exec = new CUgraphExec_st{graph->work};
    fake_n_handles++;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    guard g(fake_lock);
    CHECK_VALUE(exec);
    if (stream && stream->captures) return fake_failed(cudaErrorStreamCaptureUnsupported);
    MAY_FAIL(cudaErrorLaunchFailure);
    fake_call call = fake_call_of(FAKE_GRAPH_LAUNCH);
    call.n_pieces = exec->work.size();
    carry_out(stream, call, [exec] {
        for (const std::function<void()> &work : exec->work)
            if (work) work();
    });
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    guard g(fake_lock);
    CHECK_VALUE(exec);
    delete exec;
    fake_n_handles--;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    guard g(fake_lock);
    CHECK_VALUE(graph);
    delete graph;
    fake_n_handles--;
    return cudaSuccess;
}
