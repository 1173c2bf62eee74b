/* id_set.h - a set of 64-bit ids, to count the distinct ones. */
#ifndef ID_SET_H
#define ID_SET_H

#include <stdint.h>

#include "status.h"

typedef struct id_set id_set;

/* On error *out is not written. ST_NO_MEMORY. */
MUST_USE status id_set_create(id_set **out);

/* s may be NULL. */
void id_set_destroy(id_set *s);

/* Adds an id unless it is there. ST_NO_MEMORY: nothing changed. */
MUST_USE status id_set_add(id_set *s, uint64_t id);

/* Distinct ids. */
uint64_t id_set_n(const id_set *s);

#endif
