/* probe_rows.h - the table that the probe writes, one line per point, times in us.
 *
 * `adaptivellm profile import cuda-probe` reads it. Its first line begins with # and says on
 * what it was measured; the second names the columns; a field that does not apply is empty.
 * Copies of KV blocks stand once for each model that has blocks of that size.
 *
 * Errors:  those of the stream are kept by it; ask ferror() at the end. */
#ifndef PROBE_ROWS_H
#define PROBE_ROWS_H

#include <stdint.h>
#include <stdio.h>

#include "probe_copies.h"
#include "probe_gemms.h"
#include "probe_repeats.h"

/* On what it is measured. */
typedef struct probe_machine {
    char device[128];                                /* as the driver names it */
    int driver, runtime;                             /* 13000 for 13.0 */
    unsigned long cublaslt;                          /* as cublasLtGetVersion gives it */
    uint32_t sm_clock_max_mhz, memory_clock_max_mhz; /* 0: not known */
    uint64_t l2_bytes;
} probe_machine;

/* What comes with a point besides its repeats. */
typedef struct probe_remark {
    double issue_s;        /* host time of the calls, median; 0: not measured */
    uint32_t sm_clock_mhz; /* just after; 0: not known */
    char method[64];       /* of a product: the algorithm that was pinned */
} probe_remark;

/* date is the caller's own text, "" for none. */
void probe_rows_begin(FILE *out, const probe_machine *m, const char *date, const char *mode);

void probe_rows_copy(FILE *out, const probe_machine *m, const copy_point *p,
                     const repeat_summary *times, const probe_remark *remark);

void probe_rows_gemm(FILE *out, const probe_machine *m, const gemm_shape *shape,
                     uint32_t n_tokens, const repeat_summary *times,
                     const probe_remark *remark);

#endif
