/* fill.cuh - random numbers into device memory: weights that are made up, KV that nobody wrote,
 * operands of products that are timed. Never zeros: a device draws less power, and so runs
 * faster, on them. */
#ifndef FILL_CUH
#define FILL_CUH

#include "kernel_types.cuh"

/* What the numbers are; the same for equal values. */
typedef struct fill_law {
    uint64_t seed, stream;
    float mean, deviation; /* close to normal, within 3.5 deviations */
} fill_law;

/* Enqueues the filling of out[n], n numbers of dtype. ST_IO. */
MUST_USE status fill_random(cudaStream_t stream, void *out, size_t n, device_dtype dtype,
                            const fill_law *law, errbuf *err);

/* Fills rows [n_rows, n_in] whose products cancel: the second half of a row repeats the first,
 * the numbers with the other sign if `negated`; the middle of an odd row is 0. The sum of a
 * product of a plain and a negated row is what its roundings leave, so another order of
 * summation shows in 16 bit as well. Numbers spread over five powers of two, that sums may
 * round. All rows equal if `equal`. ST_IO. */
MUST_USE status fill_cancelling(cudaStream_t stream, void *out, uint32_t n_rows, uint32_t n_in,
                                device_dtype dtype, bool negated, bool equal, errbuf *err);

#endif
