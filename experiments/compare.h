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

/* As tables have them: four significant digits, and no exponent where people would not use one;
 * "1.234x", or "+23.40%" of an error; "-": not known. */
enum { COMPARE_TEXT_SIZE = 32 };
void compare_value_text(char text[COMPARE_TEXT_SIZE], const stored_run *run, figure_id id);
void compare_ratio_text(char text[COMPARE_TEXT_SIZE], const stored_run *base,
                        const stored_run *run, figure_id id, bool is_error);

/* Is the figure known of any run? */
bool compare_any_knows(const stored_run *runs, size_t n, figure_id id);

/* Of the i-th column of the table of runs, "-" where it is not known; the heading for NULL.
 * NULL behind the last column. */
const char *compare_run_column(size_t i, const stored_run *run);

typedef struct compare_view {
    bool all;    /* figures: all, or the most asked for that a run knows */
    bool errors; /* the first run was measured and the others simulate it: per cent off it, not
                    ratios to it */
} compare_view;

/* Prints what the runs are and a table of their figures. */
void compare_print_table(FILE *out, const stored_run *runs, size_t n, const compare_view *view);

/* Prints one line for each thing that makes the runs less than comparable: another trace,
 * model or seed, another device or backend (of a validation: another policy), other settings,
 * or a run that did not finish. Each line begins with prefix. */
void compare_print_warnings(FILE *out, const char *prefix, const stored_run *runs, size_t n,
                            const compare_view *view);

/* The line about settings: those that differ and their values. */
void compare_warn_settings(FILE *out, const char *prefix, const stored_run *runs, size_t n,
                           const compare_view *view);

/* Writes {"runs": [...], "ratios": [...]} with all figures; what is not known is null.
 * ST_NO_MEMORY; ST_IO, without a message: the stream failed, errno says why. */
MUST_USE status compare_write_json(FILE *out, const stored_run *runs, size_t n);

#endif
