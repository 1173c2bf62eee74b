/* fit_report.h - fits as a table for people, as JSON and as points for a figure. */
#ifndef FIT_REPORT_H
#define FIT_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "fit_device.h"

/* Prints a table; checked: the errors are of samples that the stored fits never saw. */
void fit_report_print(FILE *out, const judged_fits *fits, bool checked);

/* Prints the terms of each fit with their coefficients. */
void fit_report_terms(FILE *out, const judged_fits *fits);

/* Writes {operation: {"n", "mape", "p95", "max"}} to path ("-": standard output). */
MUST_USE status fit_report_json(const char *path, const judged_fits *fits, errbuf *err);

/* Writes measured and predicted seconds of every sample, tab-separated, one block for each
 * operation, for plots/fit.gp. */
MUST_USE status fit_report_points(const char *path, const judged_fits *fits, errbuf *err);

#endif
