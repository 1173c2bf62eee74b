/* adaptive_state.h - what the parts of the adaptive policy share.
 *
 * A sequence is *inside* while it is among the running, *outside* otherwise: waiting (no KV) or
 * swapped (paused, with the KV of its first n_computed tokens on the device, the host, or
 * both). Who is outside is in `by_age` and in `fresh` or `paused`, unless copies of its blocks
 * to the host are under way (then in `departing`). Of a paused sequence the blocks on the
 * device are a prefix of its table. */
#ifndef ADAPTIVE_STATE_H
#define ADAPTIVE_STATE_H

#include "client_accounts.h"
#include "length_estimate.h"
#include "rank_heap.h"
#include "scheduler_state.h"

/* What the policy knows of a sequence beside its state; by slot. */
typedef struct adaptive_note {
    double rank;       /* by the order policy, as of the last look */
    double solo_start; /* time of its prefill alone, in lone decode tokens */
    double service_s;  /* its whole service as expected by `service_version`, for hrrn */
    uint64_t service_version;
    uint64_t ranked_version; /* of the lengths, when it was ranked outside */
    int64_t served_ns;       /* compute time it took part in, until it last came inside */
    int64_t inside_ns;       /* the clock then */
    uint32_t bucket;         /* of output lengths that it has reached */
    uint32_t bucket_end;     /* fewest outputs of the next one */
    uint32_t ranked_bucket;  /* the same when it was ranked among the running */
    uint32_t n_output_then;  /* outputs when it last came inside */
    uint32_t account;        /* of its client, for vtc */
    uint32_t n_charged;      /* outputs that its client was charged for */
    uint32_t n_on_host;      /* leading blocks that have a copy on the host */
    bool copies;             /* it leaves by copy, not by drop */
    bool senior;             /* admitted as the oldest: stays inside if memory allows */
} adaptive_note;

/* A growing array of slots. */
typedef struct slot_list {
    uint32_t *seqs; /* [n] */
    uint32_t n, capacity;
} slot_list;

typedef struct adaptive {
    length_estimate *lengths;
    adaptive_note *notes; /* [n_notes] */
    uint32_t n_notes;
    rank_heap fresh, paused; /* by rank: the waiting and the swapped */
    rank_heap by_age;        /* both */
    slot_list resident;      /* paused, with blocks on the device */
    slot_list departing;     /* paused, with copies to the host under way */
    uint32_t n_copied;       /* host blocks of those inside */
    slot_list dirty;         /* scratch: running, with blocks to write back */
    client_accounts clients; /* for vtc */

    /* Rates that stay as they are for the whole run, so that ranks of different moments can be
     * compared. */
    double token_s; /* a decode alone on the device */
    double slot_s;  /* device time of one decode in a full batch */
    double block_copy_s[N_LINK_DIRECTIONS];

    int64_t clock_ns; /* compute time so far */
    int64_t asked_ns;
    bool computes;                         /* the latest plan occupies compute */
    double iteration_s;                    /* the latest */
    double link_free_s[N_LINK_DIRECTIONS]; /* when the copies started so far will be done */
    batch_shape batch;   /* of the iteration at hand, as far as it is planned */
    uint64_t batch_tick; /* of the cohort, when that was planned */
    uint64_t version;    /* of the lengths, as of the latest look */
    bool last_copied;    /* the latest victim left by copy */
    uint64_t n_admitted, n_by_age;
    uint32_t n_asked;     /* places of heaps that were looked at to be ranked anew */
    uint32_t reserve;     /* blocks for expected growth */
    uint32_t reserve_age; /* calls since that was estimated */
    uint32_t n_budget;    /* tokens left in the plan at hand */
} adaptive;

static inline adaptive *adaptive_of(const scheduler *s) {
    return s->policy_state;
}

static inline adaptive_note *note_of(const scheduler *s, uint32_t id) {
    return &adaptive_of(s)->notes[id];
}

static inline double now_s(const scheduler *s) {
    return (double)s->now_ns * 1e-9;
}

static inline uint32_t n_output_of(const scheduler *s, uint32_t id) {
    return cohort_n_output(&s->cohort, &s->table.seqs[id]);
}

static inline uint32_t n_computed_of(const scheduler *s, uint32_t id) {
    return cohort_n_computed(&s->cohort, &s->table.seqs[id]);
}

/* Leading blocks of a sequence that are on the device. */
static inline uint32_t n_on_device(const sequence *q) {
    uint32_t n = 0;
    while (n < q->n_slots && q->slots[n].device != KV_NO_BLOCK) n++;
    return n;
}

MUST_USE status slot_list_add(slot_list *l, uint32_t seq);
void slot_list_remove(slot_list *l, uint32_t seq); /* nothing happens when it is not in */

/* ---- adaptive.c */

/* Plans a chunk of a running sequence outside of the cohort, as far as the budget and the KV
 * that has arrived allow. */
MUST_USE status adaptive_run_chunk(scheduler *s, uint32_t id);

/* Seconds to wait for, and of, n_blocks over the link in one direction. */
double adaptive_wait_s(const scheduler *s, link_direction direction);
double adaptive_copy_s(const scheduler *s, link_direction direction, uint32_t n_blocks);

/* Notes that a copy of n_blocks was started. */
void adaptive_book_copy(scheduler *s, link_direction direction, uint32_t n_blocks);

/* ---- adaptive_outside.c */

/* Requests that arrived since the last look, which are at the end of the waiting, get their
 * notes and places; one that no pool of this size can serve is given up. */
MUST_USE status adaptive_welcome_arrivals(scheduler *s);

/* Paused sequences whose copies have ended may come back. */
MUST_USE status adaptive_see_off_departed(scheduler *s);

/* Makes a sequence that left the running ones one of the outside. */
MUST_USE status adaptive_go_outside(scheduler *s, uint32_t id);

/* The place in the heap of those without KV, or of those with. */
double adaptive_place_of(const scheduler *s, uint32_t id);

/* Takes a sequence out of all that holds those outside. */
void adaptive_leave_outside(scheduler *s, uint32_t id);

/* Outputs that the whole pool has room for behind the prompt. */
uint64_t adaptive_pool_stop(const scheduler *s, const sequence *q);

/* A running sequence got its last token. */
void adaptive_finished(scheduler *s, uint32_t id);

/* ---- adaptive_learn.c */

/* The time since the last look, and the latest iteration. */
void adaptive_pass_time(scheduler *s);

/* Lengths that were reached, service of clients, restores that ended, ranks that moved. */
void adaptive_look_at_running(scheduler *s);

/* Ranks some of those outside anew, so that each has its turn. */
void adaptive_rerank_outside(scheduler *s, rank_heap *h);

/* A sequence is let in: its client is charged for the prompt, the first time. */
void adaptive_charge_prompt(scheduler *s, uint32_t id);

/* A sequence ended: its length, and its client's service. */
void adaptive_learn_from_end(scheduler *s, uint32_t id);

/* Is it back from outside only since a few tokens? */
bool adaptive_is_fresh(const scheduler *s, uint32_t id);

/* ---- adaptive_evict.c */

/* Sees to it that n device blocks are free, by taking those of paused sequences and then by
 * pausing running ones, but not `except`. *done is false when it cannot be done now: copies
 * under way must end first, or there is nobody left to take from. */
MUST_USE status adaptive_make_free(scheduler *s, uint32_t n, uint32_t except, bool *done);

/* Device blocks that paused sequences other than `except` hold. */
uint32_t adaptive_n_resident(const scheduler *s, uint32_t except);

/* Device blocks that will be free when copies under way have ended. */
uint32_t adaptive_n_departing(const scheduler *s);

/* Takes n blocks (or all there are) from paused sequences, the least urgent first. */
MUST_USE status adaptive_reclaim(scheduler *s, uint32_t n, uint32_t except);

/* Pauses a running sequence. */
MUST_USE status adaptive_pause(scheduler *s, uint32_t id);

/* Frees host blocks until n are free, by giving up copies of blocks that are on the device,
 * too; false when that is not enough. */
bool adaptive_make_host_room(scheduler *s, uint32_t n);

/* ---- adaptive_choice.c */

/* Should a running sequence that has to go leave by copy rather than by drop? */
bool adaptive_leaves_by_copy(const scheduler *s, uint32_t id);

/* Host blocks that can be had: free ones, and copies of what is on the device as well. */
uint32_t adaptive_n_host_room(const scheduler *s);

/* Device time that it would cost to pause a running sequence and to restore it later, with so
 * many blocks to be had on the host. */
double adaptive_leave_s(const scheduler *s, uint32_t id, uint32_t n_host_room);

/* ---- adaptive_write_back.c */

/* Starts background copies of the blocks that will probably have to go next. */
MUST_USE status adaptive_write_back(scheduler *s);

/* Iterations, at least 1, in which no blocks must be freed and none will be written back, given
 * that nobody is outside. */
uint32_t adaptive_quiet_ticks(const scheduler *s);

/* ---- adaptive_restore.c */

/* Brings a paused sequence that was taken from the outside back among the running; the blocks
 * for all its tokens are free. */
MUST_USE status adaptive_restore(scheduler *s, uint32_t id);

/* A running sequence whose last copy arrived and whose front is computed is whole again. */
void adaptive_end_restore(scheduler *s, uint32_t id);

/* Device blocks that a sequence outside lacks to run. */
uint32_t adaptive_n_lacking(const scheduler *s, uint32_t id);

/* ---- adaptive_admit.c */

/* Lets sequences from outside in as long as there is room for them, or for the more urgent ones
 * if the order preempts. */
MUST_USE status adaptive_admit(scheduler *s);

/* ---- adaptive_check.c */

/* Every invariant of the policy; false with a message that names what is broken. For
 * scheduler_check. */
MUST_USE status adaptive_check(const scheduler *s, errbuf *err);

#endif
