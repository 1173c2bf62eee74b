/* step_driver.h - runs the scheduler step by step without a device: one iteration is one step.
 *
 * Each completed prefill and each decode yields a token; a request ends after the outputs it
 * was given. Asynchronous copies take a fixed number of steps, or up to so many by chance. For
 * golden traces, fingerprints and property tests. */
#ifndef STEP_DRIVER_H
#define STEP_DRIVER_H

#include "scheduler.h"

/* An asynchronous copy in flight. */
typedef struct step_copy {
    uint64_t id;
    link_direction direction;
    int64_t end; /* its last step */
} step_copy;

typedef struct step_driver {
    scheduler *scheduler;
    const plan *plan;      /* of the latest step */
    int64_t step_ns;       /* on the scheduler's clock; 1 */
    uint32_t n_copy_steps; /* after these an asynchronous copy completes; 0: with its own */
    uint64_t copy_seed;    /* not 0: after up to so many, those of one direction in order */
    step_copy *copies;     /* [n_copies] in flight, in order */
    uint32_t n_copies, copies_capacity;
    uint32_t *n_output; /* [n_output_capacity] true outputs by slot */
    uint32_t n_output_capacity;
    uint32_t *finished; /* [finished_capacity] scratch */
    uint32_t finished_capacity;
    uint64_t *ended; /* [n_ended] request ids in the order in which they ended */
    uint32_t n_ended, ended_capacity;
    uint64_t n_ignored, n_preempted, n_out_blocks, n_in_blocks, n_tokens;
} step_driver;

void step_driver_init(step_driver *d, const scheduler_config *config);
void step_driver_finish(step_driver *d);

/* Adds a request with its true number of outputs, which only oracles are told. */
void step_driver_add(step_driver *d, const request *req, uint32_t n_output);

/* Plans step number `step`; the plan is in d->plan until the step completes. */
status step_driver_schedule(step_driver *d, int64_t step, errbuf *err);

/* Copies that end with this step complete, tokens come out, sequences end. */
void step_driver_complete(step_driver *d, int64_t step);

/* All requests have ended: steps until no copy is in flight. Returns the next step's number. */
int64_t step_driver_drain(step_driver *d, int64_t step);

/* Does a running sequence compute in the plan at hand? Its tokens, or 0. */
uint32_t step_driver_tokens(const step_driver *d, uint32_t id);

#endif
