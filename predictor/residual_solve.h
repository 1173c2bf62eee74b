/* residual_solve.h - chooses the weights of a residual table and fills in its nodes; see
 * residual_table.h. */
#ifndef RESIDUAL_SOLVE_H
#define RESIDUAL_SOLVE_H

#include "residual_table.h"

/* Sets jumps, stiffness, pull, positions and nodes of a table whose axes hold their values.
 * ST_NO_MEMORY. */
MUST_USE status residual_solve(residual_table *t, const fit_rows *rows, const double *log_ratio,
                               errbuf *err);

#endif
