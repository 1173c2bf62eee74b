/* sample_set.h - what samples have in common wherever they are kept: the list of their
 * features, the names of operations, and which samples are fit to be believed.
 *
 * Features say what was run; conditions (the other direction's load, compute) are features. Two
 * samples of equal features measured the same thing. */
#ifndef SAMPLE_SET_H
#define SAMPLE_SET_H

#include <stddef.h>
#include <stdint.h>

#include "sample.h"
#include "status.h"

/* column in profiles.db, member of a sample, its type; those that are whole numbers. The others
 * are op, part, tp and bytes. */
#define SAMPLE_FEATURES(X)                                                                     \
    X(n_tokens, batch.n_tokens, uint32_t)                                                      \
    X(n_sampled, batch.n_sampled, uint32_t)                                                    \
    X(n_prefill, batch.n_prefill, uint32_t)                                                    \
    X(n_prefill_tokens, batch.n_prefill_tokens, uint32_t)                                      \
    X(prefill_pairs, batch.prefill_pairs, uint64_t)                                            \
    X(prefill_kv_tokens, batch.prefill_kv_tokens, uint64_t)                                    \
    X(n_decode, batch.n_decode, uint32_t)                                                      \
    X(decode_kv_tokens, batch.decode_kv_tokens, uint64_t)                                      \
    X(decode_kv_max, batch.decode_kv_max, uint64_t)                                            \
    X(gemm_n, gemm_n, uint32_t)                                                                \
    X(gemm_k, gemm_k, uint32_t)                                                                \
    X(n_heads, n_heads, uint32_t)                                                              \
    X(n_kv_heads, n_kv_heads, uint32_t)                                                        \
    X(head_dim, head_dim, uint32_t)                                                            \
    X(n_blocks, n_blocks, uint32_t)                                                            \
    X(n_segments, n_segments, uint32_t)                                                        \
    X(other_direction_busy, other_direction_busy, bool)                                        \
    X(compute_busy, compute_busy, bool)

/* Names as in SQL and on the command line; operation_find gives N_OPERATIONS when there is none
 * of that name. */
const char *operation_name(operation op);
operation operation_find(const char *name);

/* Writes what the sample measured, as far as it is not 0: "gemm (n_tokens 64, gemm_n 4096)".
 * The text is always terminated and cut to fit. */
void sample_describe(char *text, size_t size, const sample *s);

/* ST_INVALID, with the operation and the value: the time is not a number above 0, the deviation
 * is not one from 0 up, nothing was repeated, or a sum is beyond 2^63. */
MUST_USE status sample_check(const sample *s, errbuf *err);

/* Order by what was measured: below, at or above 0. Equal samples measured the same thing. */
int sample_compare_features(const sample *a, const sample *b);

/* ST_FORMAT: two samples of equal features whose times are 10x apart or more, and by more than
 * 3 deviations of a repeat; the message names the operation and what to measure again. O(n log
 * n). ST_NO_MEMORY. */
MUST_USE status samples_check_consistent(const sample *samples, size_t n, errbuf *err);

/* Equal for equal samples in equal order: features, times and repeats (FNV-1a, 64 bits). */
uint64_t samples_hash(const sample *samples, size_t n);

#endif
