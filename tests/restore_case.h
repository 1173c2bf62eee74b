/* restore_case.h - a sequence whose KV is on the host, and the load beside which it comes back.
 *
 * The victim can be copied to the device or computed again; the others decode. Cases are drawn
 * at random, within the KV pool and the lengths of a model. */
#ifndef RESTORE_CASE_H
#define RESTORE_CASE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RESTORE_OTHERS_MAX = 128,
    RESTORE_KV_MAX = 6000,
    RESTORE_QUEUE_MAX = 4096,
    RESTORE_QUEUED_COPY = 256, /* blocks of one copy ahead; the last one may have fewer */
};

/* A sequence that decodes: tokens cached now, and tokens to come. */
typedef struct decoding {
    uint32_t context, n_left;
} decoding;

typedef struct restore_case {
    uint32_t n_kv;             /* the victim's cached tokens, one less than it has */
    uint32_t n_left;           /* tokens that it still generates, at least 1 */
    uint32_t n_blocks;         /* of its KV, on the host */
    uint32_t run_blocks;       /* neighbours among them */
    uint32_t n_queued_blocks;  /* to be copied to the device before */
    bool other_direction_busy; /* all the time */
    uint32_t budget;           /* tokens of an iteration, more than there are others */
    uint32_t n_others;
    decoding others[RESTORE_OTHERS_MAX]; /* [n_others] by n_left, the shortest first */
} restore_case;

typedef struct restore_limits {
    uint32_t block_tokens, max_model_len;
    uint64_t pool_tokens; /* of the device: all sequences fit to their ends */
} restore_limits;

/* Pieces of the victim's copy. */
uint32_t restore_case_segments(const restore_case *c);

/* Equal arguments give equal cases. */
void restore_case_draw(restore_case *out, const restore_limits *limits, uint64_t seed,
                       uint64_t index);

#endif
