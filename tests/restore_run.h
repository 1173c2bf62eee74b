/* restore_run.h - what a restore really costs: the case is run to its end on a virtual device.
 *
 * Runs of one case are forks: equal but for the way in which the victim comes back, with the
 * same noise at the same iteration and copy. Time starts with the decision.
 * Swap: an asynchronous copy behind those ahead of it; the victim decodes from the first
 * iteration that starts after it. Recompute: all tokens of the victim, in chunks of what the
 * others leave of the budget; the chunk with the newest token gives the next one. */
#ifndef RESTORE_RUN_H
#define RESTORE_RUN_H

#include "restore_case.h"
#include "virtual_device.h"

typedef enum restore_kind {
    RESTORE_SWAP,
    RESTORE_RECOMPUTE,
    RESTORE_FREE, /* as if it were on the device: what the two others are compared with */
    N_RESTORE_KINDS
} restore_kind;

typedef struct restore_outcome {
    double total_s;    /* sum over all sequences of their finish times */
    double makespan_s; /* until the last has finished */
    double victim_s;   /* until the victim has finished */
} restore_outcome;

/* Errors of the device; ST_NO_MEMORY. */
MUST_USE status restore_run(restore_outcome *out, const restore_case *c, restore_kind kind,
                            const virtual_device_config *device, errbuf *err);

#endif
