/* attention_model.h - seconds of one layer's attention kernels on a device.
 *
 * Both take the sums that a batch is known by, so that any number of sequences costs the same
 * to ask. A tile is a block of queries of one head (or of one group of heads that share keys)
 * that one SM carries along the keys. Its fixed cost is what makes short prompts inefficient:
 * with length, its share fades. Must not know: models, batches. */
#ifndef ATTENTION_MODEL_H
#define ATTENTION_MODEL_H

#include <stdint.h>

#include "device_spec.h"

typedef struct attention_shape {
    uint32_t n_heads, n_kv_heads, head_dim; /* on one device */
} attention_shape;

/* Prefill: n_chunks chunks of n_tokens new tokens in all, which attend to n_pairs query-key
 * pairs in kv_tokens keys. 0 when n_chunks is 0. Grows with each of the sums for equal
 * n_chunks; one short chunk more among few long ones may take less, as the longest tile is
 * taken from the mean length. */
double context_attention_s(const device_spec *device, const attention_shape *shape,
                           uint32_t n_chunks, uint32_t n_tokens, uint64_t n_pairs,
                           uint64_t kv_tokens);

/* Decode: one new token for each of n_seqs sequences with kv_tokens keys in all. 0 when n_seqs
 * is 0. Grows with both. */
double generation_attention_s(const device_spec *device, const attention_shape *shape,
                              uint32_t n_seqs, uint64_t kv_tokens);

#endif
