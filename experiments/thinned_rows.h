/* thinned_rows.h - rows of a stream of unknown length, kept in bounded memory.
 *
 * Only rows whose number is a multiple of the stride are kept. The stride starts at 1 and
 * doubles whenever the limit is reached, so what is kept always spans the whole stream evenly:
 * the first rows alone would be the quick ones of an overloaded run.
 *
 * Invariant: stride is a power of two (0 when the limit is 0); every kept number is a multiple
 *            of it.
 * Threads:   one owner. */
#ifndef THINNED_ROWS_H
#define THINNED_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef struct thinned_rows {
    char *rows; /* [n] of row_size bytes; each begins with its number, a uint64_t */
    size_t row_size, n, capacity, limit;
    uint64_t stride, n_offered;
} thinned_rows;

/* Makes it empty; keeps at most limit rows, none at 0. Allocates nothing yet. */
void thinned_rows_init(thinned_rows *t, size_t row_size, size_t limit);

void thinned_rows_finish(thinned_rows *t);

/* Copies the row if its number is a multiple of the stride. Numbers need no order; equal ones
 * are the caller's mistake. ST_NO_MEMORY: nothing changed. */
MUST_USE status thinned_rows_add(thinned_rows *t, const void *row);

/* Orders the rows by number. */
void thinned_rows_sort(thinned_rows *t);

#endif
