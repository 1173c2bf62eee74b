/* measured_tables.h - seconds of the operators of one model on one device, as measured.
 *
 * Samples (sample.h) of operators become grids (sample_grid.h); the tables say what an operator
 * takes in a batch. Sources call the same operator by different names and cut a layer at
 * different places; all names known are in measured_tables.c.
 *
 * Must not know: layers of a model summed up, host time, copies: latency_measured.h.
 * Threads: none; reading is const. */
#ifndef MEASURED_TABLES_H
#define MEASURED_TABLES_H

#include "measured_attention.h"
#include "model_spec.h"
#include "sample_list.h"
#include "status.h"

/* What follows from the number of new tokens alone. Those of a layer, then those of an
 * iteration. */
typedef enum measured_role {
    ROLE_NORM,      /* before attention, or both norms where they are one operator */
    ROLE_POST_NORM, /* before the MLP */
    ROLE_QKV,
    ROLE_ROTARY,
    ROLE_QK_NORM,
    ROLE_OUT,
    ROLE_UP, /* with the gate */
    ROLE_ACTIVATION,
    ROLE_DOWN,
    ROLE_ADD, /* residuals, where they are an operator of their own */
    N_LAYER_ROLES,
    ROLE_EMBEDDING = N_LAYER_ROLES,
    ROLE_FINAL_NORM,
    N_ROLES
} measured_role;

typedef struct measured_tables measured_tables;

/* Takes what it knows of a list: the operators of a model on one of tp devices, which it
 * copies. skew: as for measured_attention_create. ST_NOT_FOUND: an operator without which no
 * iteration can be told has no samples; the message says which. ST_NO_MEMORY. */
MUST_USE status measured_tables_create(measured_tables **out, const model_spec *model,
                                       uint32_t tp, sample_list list, sample_list skew,
                                       errbuf *err);

/* t may be NULL. */
void measured_tables_destroy(measured_tables *t);

/* Of one layer or of an iteration, as the role is; 0 when it is not an operator here. */
double measured_role_s(const measured_tables *t, measured_role role, uint32_t n_tokens);

/* Output head and sampler. */
double measured_head_s(const measured_tables *t, uint32_t n_sampled);
double measured_sampler_s(const measured_tables *t, uint32_t n_sampled);

/* Of one layer; the tables own it. */
const measured_attention *measured_tables_attention(const measured_tables *t);

/* Host time of an iteration; 0 when there are no samples of it. */
double measured_host_s(const measured_tables *t, uint32_t n_seqs);

#endif
