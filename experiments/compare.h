/* compare.h - stored runs side by side: one row per figure, ratios to the first run. */
#ifndef COMPARE_H
#define COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "status.h"
#include "stored_run.h"

/* Figure of run / figure of base. False, with *ratio not written, when one is not known or the
 * base is 0. */
bool compare_ratio(double *ratio, const stored_run *base, const stored_run *run, figure_id id);

/* Prints what the runs are and a table of their figures: a chosen few, or all. Figures that no
 * run knows are left out of the chosen few. */
void compare_print_table(FILE *out, const stored_run *runs, size_t n, bool all);

/* Prints one line for each thing that makes the runs less than comparable: another trace,
 * model, device, backend or seed, or a run that did not finish. Each line begins with prefix.
 */
void compare_print_warnings(FILE *out, const char *prefix, const stored_run *runs, size_t n);

/* Writes {"runs": [...], "ratios": [...]} with all figures; what is not known is null.
 * ST_NO_MEMORY; ST_IO, without a message: the stream failed, errno says why. */
MUST_USE status compare_write_json(FILE *out, const stored_run *runs, size_t n);

#endif
