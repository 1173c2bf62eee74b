/* fake_cuda.h - what a test sees and sets behind the fake of CUDA. Plain C.
 *
 * A program as a whole is set by its environment:
 *   FAKE_CUDA_DEVICES=0      there is no device
 *   FAKE_CUDA_DRIVER=N       version of the driver, 13000 unless set; 0: there is none
 *   FAKE_CUDA_CAPABILITY=N   90 unless set
 *   FAKE_CUDA_BUSY=1         another program has the device for itself
 *   FAKE_CUDA_LOST_IN=NAME   the device is lost to an illegal address when a kernel whose name
 *   FAKE_CUDA_LOST_AT=N      holds NAME runs for the N-th time: it and all later calls fail */
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fake_call_kind {
    FAKE_LAUNCH,       /* name: the kernel's */
    FAKE_COPY,         /* bytes, direction, to, from */
    FAKE_BATCH_COPY,   /* bytes in all, n_pieces; direction, to and from of the first */
    FAKE_SET,          /* bytes, to */
    FAKE_RECORD,       /* event */
    FAKE_WAIT,         /* event */
    FAKE_SYNCHRONIZE,  /* event or stream; neither: the device */
    FAKE_GRAPH_LAUNCH, /* n_pieces: the calls of the graph, which get no entries of their own */
    FAKE_LIBRARY       /* name */
} fake_call_kind;

typedef struct fake_call {
    fake_call_kind kind;
    int direction;              /* a cudaMemcpyKind */
    const void *stream, *event; /* the handles */
    const char *name;
    const void *to, *from;
    size_t bytes, n_pieces;
    bool captured; /* recorded into a graph, not carried out */
} fake_call;

/* From begin to end each call that works on a stream is noted, in the order of the calls.
 * The array is valid until the next begin. */
void fake_log_begin(void);
size_t fake_log_end(const fake_call **calls);

/* The n-th call from now that can fail (1 is the next) fails, once: an allocation or a new
 * handle for lack of memory, anything else as a launch that went wrong. 0: none does. */
void fake_fail_after(long n);

/* Calls so far that can fail. */
long fake_fallible_calls(void);

/* Memory of the device: 256 MiB unless set. An allocation beyond it fails. */
void fake_device_memory(size_t total_bytes);

/* Allocations (device and pinned), streams, events and graphs that are not given back. */
size_t fake_live_objects(void);

/* Threads of a block run from the last to the first: an exchange through shared memory that
 * lacks its barrier goes wrong in one of the two orders. */
void fake_reverse_threads(bool reverse);

#ifdef __cplusplus
}
#endif
#endif
