/* forward.h - one pass of a transformer on the CPU, over KV blocks in an arena.
 *
 * The arena is the device memory of the CPU engine: blocks of
 *     [layer][K | V][token of block_tokens][kv_head][head_dim] float32,
 * block b at float b * forward_block_floats(). A pass writes the KV of the tokens that it
 * computes and reads that of the tokens before them, through each sequence's block table; all
 * other blocks may be copied by other threads meanwhile.
 *
 * Arithmetic is fp32, whatever the weights are stored as. fp32 weights are read in place.
 * 16-bit weights stay as they are in the file's mapping; a thread converts a panel of rows at a
 * time into its own scratch of 4 MiB, so that a model takes the size of its file and no more.
 *
 * Deterministic: the logits and KV of a token depend on the tokens of its own sequence only, to
 * the bit, not on chunking, block size, blocks, other sequences of the batch or the number of
 * threads. Otherwise batches of many rows go through sgemm_, which is faster, and agree to
 * rounding. Bits of two machines or compilers may differ either way.
 *
 * Threads: its own workers; one owner. Nothing is allocated after create.
 * Sources: the modelling files of Hugging Face transformers, whose arithmetic this follows;
 * Su et al., RoFormer, 2021 (rotary positions); Kwon et al., PagedAttention, SOSP 2023. */
#ifndef FORWARD_H
#define FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "status.h"
#include "token_chunk.h"

typedef struct forward forward;

typedef struct forward_options {
    uint32_t block_tokens;
    uint32_t n_threads;  /* of the pass, the caller's among them */
    uint32_t max_tokens; /* of all chunks of one pass together */
    bool deterministic;  /* see the head */
} forward_options;

/* Floats of one block in the arena. */
size_t forward_block_floats(const model_config *c, uint32_t block_tokens);

/* The model must outlive the pass. On error *out is not written. ST_INVALID: an option is 0, or
 * rotary positions meet an odd head_dim. ST_NO_MEMORY; ST_IO: no thread. */
MUST_USE status forward_create(forward **out, const model *m, const forward_options *o,
                               errbuf *err);

/* f may be NULL. */
void forward_destroy(forward *f);

/* Computes all chunks, of n_tokens together at most max_tokens, none of a sequence twice.
 * Writes KV into the arena (64-byte aligned) and logits[i * vocab ...) for the i-th chunk that
 * samples. */
void forward_run(forward *f, float *arena, const token_chunk *chunks, uint32_t n_chunks,
                 float *logits);

#endif
