/* copy_timer.h - times copies between pinned host memory and the device.
 *
 * The timed window begins before the first call and ends when the last piece has arrived: the
 * calls are in it, as a serving system waits for them too. Under load the other copies or
 * products run before the window begins and after it ends; a repeat for which that was not so
 * is thrown away and done again with more of them.
 *
 * Threads: one owner. */
#ifndef COPY_TIMER_H
#define COPY_TIMER_H

#include "gemm_timer.h"
#include "probe_copies.h"
#include "probe_repeats.h"
#include "probe_rows.h"
#include "status.h"

typedef struct copy_timer copy_timer;

/* Pools of pool_bytes on both sides, filled at random; gemms make the load on the device.
 * ST_NO_MEMORY; ST_IO. */
MUST_USE status copy_timer_create(copy_timer **out, uint64_t pool_bytes, gemm_timer *gemms,
                                  errbuf *err);

/* t may be NULL. */
void copy_timer_destroy(copy_timer *t);

/* Measures one point; remark->issue_s is set. ST_INVALID: it does not fit the pools; ST_IO;
 * ST_NO_MEMORY. */
MUST_USE status copy_timer_measure(copy_timer *t, repeat_summary *out, probe_remark *remark,
                                   const copy_point *p, const repeat_rule *rule, errbuf *err);

#endif
