/* sampling.cuh - picks tokens out of logits on the device, and hands them to the host while
 * further iterations run.
 *
 * The rule is that of sampling_options.h, and the drawn points are those of engine/cpu: the
 * walk to one goes along falling rank where top_k or top_p cut something, else along falling
 * ids. A pick is a function of its logits, the options, the request and the index of its token.
 *
 * Weights are whole numbers, 2^44 for the likeliest token, so that the order of summation
 * cannot matter: equal calls give equal picks. Against the CPU's sums in double, a cumulated
 * share differs by less than 1e-6, so picks differ only where a drawn point or a top_p lies
 * within that of a boundary between two tokens. Greedy and top_k cuts are exact. Tokens of less
 * than 2^-45 times the likeliest one's weight are never picked. */
#ifndef SAMPLING_CUH
#define SAMPLING_CUH

#include "kernel_types.cuh"

extern "C" {
#include "sampling_options.h"
}

enum { PICK_VOCAB_MAX = 1 << 18 }; /* so that the weights of a row fit into 64 bits */

/* All arrays are on the device. */
typedef struct pick_args {
    const float *logits;         /* [n, vocab] */
    const uint64_t *request_ids; /* [n]; this and the next two may be NULL when greedy */
    const uint32_t *positions;   /* [n] of the last token in its sequence, from 0 */
    const uint32_t *n_prompt; /* [n] tokens of the request's prompt: the pick is output number
                               * positions + 1 - n_prompt */
    uint32_t *tokens;         /* [n] the picks */
    uint32_t *bad;            /* [n] set to 1 where a logit is NaN or positive infinity or none
                               * is finite, else left alone; the pick is then any token */
    uint32_t n, vocab;
    sampling_options options;
} pick_args;

/* Picks n tokens; n may be 0. One block for each row; nothing is sorted, and a row is read
 * once when greedy, else three to nine times, out of the L2 cache. ST_INVALID: a value that
 * err names; ST_IO. */
MUST_USE status pick_tokens(cudaStream_t stream, const pick_args *args, errbuf *err);

/* How a few iterations of decoding run ahead of the host that reads their tokens.
 *
 * The host enqueues for each iteration begin_iteration, the forward pass, pick_tokens,
 * advance_rows, all with the same arguments, so one captured graph serves all iterations. The
 * i-th iteration that is advanced (from 0) writes its picks to slot i % n_slots of tokens, and
 * then i + 1 to done[i % n_slots]. The host takes them when it reads i + 1 there (an acquiring
 * load), and enqueues iteration i + n_slots only when it has taken those of iteration i. i is
 * counted in *n_done, so it goes on over calls and wraps round at 2^32 (n_slots: a power of
 * two).
 *
 * To stop, the host writes 1 to *host_stop: the first iteration that begins after it sees that,
 * and it and all behind it change nothing: no token, position, slot, done, nor (store kernels
 * are given `stopped`) the KV arena. An iteration that has begun completes. When the stream is
 * drained, done[] tells which did; the host then clears *host_stop and, on the device,
 * *stopped. */
typedef struct decode_ring {
    /* Pinned host memory, by its address on the device. */
    uint32_t *tokens;          /* [n_slots, n_rows_max] */
    uint32_t *done;            /* [n_slots] 0 at first */
    const uint32_t *host_stop; /* [1] */
    /* Device memory. */
    uint32_t *stopped; /* [1] 0 at first */
    uint32_t *n_done;  /* [1] iterations advanced; 0 at first */
    uint32_t n_slots, n_rows_max;
} decode_ring;

/* Sets *stopped if *host_stop is set. ST_IO. */
MUST_USE status begin_iteration(cudaStream_t stream, const decode_ring *ring, errbuf *err);

/* On the device. */
typedef struct advance_args {
    const uint32_t *picked; /* [n] */
    uint32_t *tokens;       /* [n] what the next iteration reads; may be picked itself */
    uint32_t *positions;    /* [n] */
    const uint32_t *n_live; /* [1] rows of the batch, the others being the padding of a captured
                             * graph, which is not moved; NULL: n */
    uint32_t n;
} advance_args;

/* Ends an iteration unless *stopped: tokens[row] = picked[row], positions[row] += 1, and the
 * picks to the ring. One block. ST_INVALID: n is 0 or above n_rows_max, or n_slots is no power
 * of two; ST_IO. */
MUST_USE status advance_rows(cudaStream_t stream, const decode_ring *ring,
                             const advance_args *args, errbuf *err);

#endif
