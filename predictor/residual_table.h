/* residual_table.h - what the regression leaves over: a smoothed table of log(measured /
 * trend).
 *
 * Nodes are the values that were measured, along one to four axes. Each node is pulled to its
 * own measurements, to 0 (the trend) a little, and to its neighbours the more the nearer they
 * are: a Gaussian Markov random field (Rue and Held, 2005), on one axis a smoothed random walk.
 * The distance of two sizes is that of their logarithms plus jumps where a tile of a kernel is
 * full, so that neighbours within a step of the staircase agree and those across it need not.
 * How long a jump is for each tile size, and how stiff the whole is, cross-validation decides.
 * Between nodes the table is linear in the same distance, so a step stays a step.
 *
 * Solved by tridiagonal systems line by line, which is exact on one axis.
 * Threads: a table is not changed after it is made. */
#ifndef RESIDUAL_TABLE_H
#define RESIDUAL_TABLE_H

#include <stddef.h>

#include "cost_terms.h"
#include "status.h"
#include "trend.h"

enum { TABLE_AXES_MAX = 4, TABLE_TILES = 6, TABLE_NODES_MAX = 1 << 16 };

/* Tile sizes whose edges may be jumps. */
extern const double table_tiles[TABLE_TILES];

typedef struct table_axis {
    variable v;
    double walk;               /* weight of log(offset + v) in the distance */
    double offset;             /* sizes far below it are alike */
    double jumps[TABLE_TILES]; /* weights of log(ceil(v / tile)) */
    size_t n;
    double *values;    /* [n] increasing */
    double *positions; /* [n] of the values: distances are differences, increasing */
} table_axis;

typedef struct residual_table {
    size_t n_axes; /* 0: a table without nodes, 0 everywhere */
    table_axis axes[TABLE_AXES_MAX];
    double stiffness; /* variance of a measurement over that of a step of distance 1: the
                         larger, the closer neighbours stay */
    double pull;      /* to the trend, in measurements */
    size_t n_nodes;
    double *nodes; /* [n_nodes] last axis fastest */

    /* Of a table over one count, its value at each whole number up to the largest measured. */
    double *by_size; /* [n_sizes] */
    size_t n_sizes;
} residual_table;

/* Makes the table of log_ratio[0..rows->n) for an operation. ST_NO_MEMORY. */
MUST_USE status residual_table_make(residual_table *out, operation op, const fit_rows *rows,
                                    const double *log_ratio, errbuf *err);

/* t may be NULL or zeroed. */
void residual_table_finish(residual_table *t);

/* Computes positions from the values and weights. ST_INVALID: values that do not increase. */
MUST_USE status residual_table_place(residual_table *t, errbuf *err);

/* Makes by_size once nodes and positions are there. ST_NO_MEMORY. */
MUST_USE status residual_table_index(residual_table *t);

/* log(measured / trend) at v[N_VARIABLES]; at the border's value outside of it. */
double residual_table_value(const residual_table *t, const double *v);

#endif
