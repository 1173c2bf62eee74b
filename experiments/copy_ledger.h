/* copy_ledger.h - asynchronous copies under way: what each was to do, and what the other
 * direction of the link did meanwhile.
 *
 * Copies of a direction run one after the other in the order of their submission: a copy starts
 * when it is submitted or when the one before it completes, whichever is later.
 * Order: what is told comes in the order of time, submissions and completions together. */
#ifndef COPY_LEDGER_H
#define COPY_LEDGER_H

#include "cost_model.h"
#include "plan.h"
#include "status.h"

typedef struct copy_in_flight {
    uint64_t id;
    link_direction direction;
    bool write_back;
    uint32_t n_blocks, n_segments;
    copy_load load;     /* when it was submitted */
    double predicted_s; /* on its stream, by who reads the ledger; NAN: not predicted */
    int64_t start_ns, other_busy_ns; /* of the other direction until start_ns, in all */
} copy_in_flight;

typedef struct copy_ledger {
    copy_in_flight *copies; /* [n] in the order of submission */
    uint32_t n, capacity;
    uint32_t n_of[N_LINK_DIRECTIONS];
    int64_t now_ns, busy_ns[N_LINK_DIRECTIONS]; /* with something to do, until now_ns */
} copy_ledger;

/* A ledger of zeros is empty. */
void copy_ledger_finish(copy_ledger *l);

/* Takes the asynchronous copies of a plan that was submitted at now_ns; copies[*first ... n)
 * are new. ST_NO_MEMORY: nothing changed. */
MUST_USE status copy_ledger_submitted(copy_ledger *l, uint32_t *first, const plan *p,
                                      uint32_t n_layers, int64_t now_ns);

/* A copy completed at now_ns: it goes to *out, and *busy_share is the share of its time on its
 * stream in which the other direction was busy, too. False: it is not in the ledger. */
bool copy_ledger_completed(copy_ledger *l, copy_in_flight *out, double *busy_share, uint64_t id,
                           int64_t now_ns);

#endif
