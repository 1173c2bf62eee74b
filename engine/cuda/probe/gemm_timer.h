/* gemm_timer.h - times matrix products by cuBLASLt: bf16 in and out, sums in fp32.
 *
 * The algorithm of each shape and token count is the fastest of those that the library's
 * heuristic names, timed once. Products run from a CUDA graph over several copies of the
 * weights; the timed graph is launched behind another one like it, so that neither calls nor
 * caches are in the window.
 *
 * Threads: one owner. */
#ifndef GEMM_TIMER_H
#define GEMM_TIMER_H

#include <stdint.h>

#include "probe_gemms.h"
#include "probe_repeats.h"
#include "probe_rows.h"
#include "status.h"

typedef struct gemm_timer gemm_timer;

/* Loads the library (path, or NULL: where it is found) and tells its version.
 * ST_NOT_FOUND: it is not there; ST_VERSION: it lacks a function; ST_IO; ST_NO_MEMORY. */
MUST_USE status gemm_timer_create(gemm_timer **out, unsigned long *version, const char *path,
                                  uint64_t l2_bytes, errbuf *err);

/* g may be NULL. */
void gemm_timer_destroy(gemm_timer *g);

/* Sets the shape for what is measured next. ST_NO_MEMORY, ST_IO. */
MUST_USE status gemm_timer_set_shape(gemm_timer *g, const gemm_shape *shape, errbuf *err);

/* Measures one product of n_tokens rows (1 to GEMM_TOKENS_MAX); window_s is how long a repeat
 * should be. remark->method names the algorithm. ST_IO. */
MUST_USE status gemm_timer_measure(gemm_timer *g, repeat_summary *out, probe_remark *remark,
                                   uint32_t n_tokens, double window_s, const repeat_rule *rule,
                                   errbuf *err);

/* Makes ready, and queues on `stream` (a cudaStream_t), a few products that take about 1 ms on
 * an H200. ST_NO_MEMORY, ST_IO. */
MUST_USE status gemm_timer_prepare_load(gemm_timer *g, errbuf *err);
MUST_USE status gemm_timer_queue_load(gemm_timer *g, void *stream, errbuf *err);

#endif
