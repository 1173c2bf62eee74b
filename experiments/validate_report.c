#include "validate.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static void print_number(FILE *out, double value) {
    if (isnan(value))
        fprintf(out, " %12s", "");
    else
        fprintf(out, " %12.5g", value);
}

void validation_print(FILE *out, const validation *v) {
    fprintf(out, "%-32s %12s %12s %10s\n", "", "measured", "simulated", "error");
    for (size_t i = 0; i < v->n; i++) {
        const validation_row *row = &v->rows[i];
        fprintf(out, "%-32s", row->name);
        print_number(out, row->measured);
        print_number(out, row->simulated);
        if (row->is_relative)
            fprintf(out, " %+9.2f%%\n", 100 * row->error);
        else
            fprintf(out, " %10.2f\n", row->error);
    }
    fprintf(out, "unsaturated part: %zu requests\n", v->n_unsaturated);
}

static json_t *number_or_null(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

status validation_write_json(FILE *out, const validation *v, errbuf *err) {
    json_t *all = json_object();
    for (size_t i = 0; i < v->n; i++) {
        const validation_row *row = &v->rows[i];
        json_object_set_new(
            all, row->name,
            json_pack("{s:o, s:o, s:o}", "measured", number_or_null(row->measured), "simulated",
                      number_or_null(row->simulated), "error", number_or_null(row->error)));
    }
    char *text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
    json_decref(all);
    if (!text) return fail(err, ST_NO_MEMORY, "out of memory for the JSON figures");
    fprintf(out, "%s\n", text);
    free(text);
    return ST_OK;
}

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

enum { MEASURED_TTFT, SIMULATED_TTFT, MEASURED_E2E, SIMULATED_E2E, N_COLUMNS };

static void write_columns(FILE *out, double *columns[N_COLUMNS], const measured_run *m,
                          const simulated_run *s) {
    for (size_t i = 0; i < m->n; i++) {
        columns[MEASURED_TTFT][i] = m->requests[i].ttft_s;
        columns[SIMULATED_TTFT][i] = s->ttft_s[i];
        columns[MEASURED_E2E][i] = m->requests[i].e2e_s;
        columns[SIMULATED_E2E][i] = s->e2e_s[i];
    }
    for (int c = 0; c < N_COLUMNS; c++)
        qsort(columns[c], m->n, sizeof(double), compare_doubles);
    fprintf(out, "share ttft_measured_s ttft_simulated_s e2e_measured_s e2e_simulated_s\n");
    for (size_t i = 0; i < m->n; i++)
        fprintf(out, "%.6g %.6g %.6g %.6g %.6g\n", (double)(i + 1) / (double)m->n,
                columns[MEASURED_TTFT][i], columns[SIMULATED_TTFT][i], columns[MEASURED_E2E][i],
                columns[SIMULATED_E2E][i]);
}

/* Measured once a tick, simulated after every iteration: one column of times for each. */
static void write_series(FILE *out, const measured_series *m, const simulated_run *s) {
    fprintf(out, "side t_s running waiting\n");
    for (size_t i = 0; m && i < m->n; i++)
        fprintf(out, "measured %.6g %g %g\n", m->ticks[i].t_s, m->ticks[i].n_running,
                m->ticks[i].n_waiting);
    for (size_t i = 0; i < s->n_ticks; i++)
        fprintf(out, "simulated %.6g %g %g\n", s->ticks[i].t_s, s->ticks[i].n_running,
                s->ticks[i].n_waiting);
}

status validation_write_points(FILE *out, const measured_run *m, const measured_series *series,
                               const simulated_run *s, errbuf *err) {
    double *columns[N_COLUMNS];
    bool fits = true;
    for (int c = 0; c < N_COLUMNS; c++) {
        columns[c] = malloc(m->n * sizeof(double));
        fits = fits && columns[c];
    }
    if (fits) {
        write_series(out, series, s);
        fprintf(out, "\n\n");
        write_columns(out, columns, m, s);
    }
    for (int c = 0; c < N_COLUMNS; c++) free(columns[c]);
    return fits ? ST_OK : fail(err, ST_NO_MEMORY, "out of memory for the points");
}
