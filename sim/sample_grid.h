/* sample_grid.h - a measured quantity between the points at which it was measured.
 *
 * Linear along each axis, axis by axis: the points that share the first coordinate make a grid
 * of the rest. So the points need not be a full product: each slice has coordinates of its own,
 * and two lattices laid over one another are both used. On a full product this is multilinear.
 * Beyond the ends a slice is continued as its mirror image about its end point (odd extension):
 * the steps of a staircase average out, where the last two points alone would not.
 * Threads: none; reading is const. */
#ifndef SAMPLE_GRID_H
#define SAMPLE_GRID_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

enum { GRID_AXES_MAX = 4 };

typedef struct grid_point {
    double x[GRID_AXES_MAX]; /* [n_axes] */
    double value;
} grid_point;

typedef struct sample_grid sample_grid;

/* Copies points[0..n), in any order; points of equal coordinates count as their mean.
 * ST_INVALID: n is 0 or n_axes is not in [1, GRID_AXES_MAX]. ST_NO_MEMORY. */
MUST_USE status sample_grid_create(sample_grid **out, uint32_t n_axes, const grid_point *points,
                                   size_t n);

/* g may be NULL. */
void sample_grid_destroy(sample_grid *g);

/* The value at x[n_axes]; never below 0. A slice of one point is constant. */
double sample_grid_at(const sample_grid *g, const double *x);

#endif
