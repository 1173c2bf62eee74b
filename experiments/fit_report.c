#include "fit_report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

static const char iteration_name[] = "iteration, put together";

static void print_share(FILE *out, double share) {
    if (isfinite(share))
        fprintf(out, " %7.2f", 100 * share);
    else
        fprintf(out, " %7s", "-");
}

static void print_errors(FILE *out, const fit_errors *e) {
    print_share(out, e->mape);
    print_share(out, e->p95);
    print_share(out, e->max);
}

void fit_report_print(FILE *out, const judged_fits *fits, bool checked) {
    static const char blank[] = "";
    if (checked)
        fprintf(out, "%-42s %8s %23s\n", blank, blank, "never seen, error %");
    else
        fprintf(out, "%-42s %8s %5s %23s %23s\n", blank, blank, blank, "fitted, error %",
                "held out, error %");
    fprintf(out, "%-42s %8s", "operation", "samples");
    if (!checked) fprintf(out, " %5s %7s %7s %7s", "terms", "MAPE", "p95", "max");
    fprintf(out, " %7s %7s %7s %7s", "MAPE", "p95", "max", "repeat");
    fprintf(out, checked ? "\n" : " %7s\n", "covered");
    for (size_t i = 0; i < fits->n; i++) {
        const judged_fit *j = &fits->fits[i];
        if (j->errors.n == 0) continue;
        char name[128];
        fit_name(name, sizeof(name), &j->f);
        fprintf(out, "%-42s %8zu", name, j->errors.n);
        if (!checked) {
            fprintf(out, " %5zu", j->f.regression.n_terms);
            print_errors(out, &j->f.quality.fitted);
        }
        print_errors(out, &j->errors);
        print_share(out, j->f.quality.noise);
        if (!checked) print_share(out, j->f.quality.coverage);
        fprintf(out, "\n");
    }
    if (fits->iterations.n > 0) {
        fprintf(out, "%-42s %8zu", iteration_name, fits->iterations.n);
        if (!checked) fprintf(out, " %5s %7s %7s %7s", "", "", "", "");
        print_errors(out, &fits->iterations);
        fprintf(out, "\n");
    }
    fprintf(out, "\nrepeat: standard deviation of one repeat, %%; -: not in the samples.\n");
    if (!checked) fprintf(out, "covered: held-out samples within the 90 %% interval, %%.\n");
}

void fit_report_terms(FILE *out, const judged_fits *fits) {
    for (size_t i = 0; i < fits->n; i++) {
        const fit *f = &fits->fits[i].f;
        char name[128];
        fit_name(name, sizeof(name), f);
        fprintf(out, "\n%s, s =\n", name);
        for (size_t k = 0; k < f->regression.n_terms; k++) {
            term_describe(name, sizeof(name), &f->regression.terms[k]);
            fprintf(out, "  %12.4g * %s\n", f->regression.coefficients[k], name);
        }
        fprintf(out, "  times a table of %zu nodes over", f->table.n_nodes);
        for (size_t d = 0; d < f->table.n_axes; d++)
            fprintf(out, " %s", variable_name(f->table.axes[d].v));
        fprintf(out, "\n");
    }
}

static json_t *errors_json(const fit_errors *e) {
    return json_pack("{s:I, s:f, s:f, s:f}", "n", (json_int_t)e->n, "mape", e->mape, "p95",
                     e->p95, "max", e->max);
}

status fit_report_json(const char *path, const judged_fits *fits, errbuf *err) {
    json_t *root = json_object();
    bool ok = root != NULL;
    for (size_t i = 0; ok && i < fits->n; i++) {
        char name[128];
        if (fits->fits[i].errors.n == 0) continue;
        fit_name(name, sizeof(name), &fits->fits[i].f);
        ok = json_object_set_new(root, name, errors_json(&fits->fits[i].errors)) == 0;
    }
    if (ok && fits->iterations.n > 0)
        ok = json_object_set_new(root, iteration_name, errors_json(&fits->iterations)) == 0;
    if (!ok) {
        json_decref(root);
        return fail(err, ST_NO_MEMORY, "out of memory for a report");
    }
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *out = to_stdout ? stdout : fopen(path, "w");
    bool written = out && json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
                   fputc('\n', out) != EOF;
    if (out && !to_stdout && fclose(out) != 0) written = false;
    json_decref(root);
    return written ? ST_OK : fail(err, ST_IO, "write %s: %s", path, strerror(errno));
}

status fit_report_points(const char *path, const judged_fits *fits, errbuf *err) {
    FILE *out = fopen(path, "w");
    if (!out) return fail(err, ST_IO, "write %s: %s", path, strerror(errno));
    for (size_t i = 0; i < fits->n; i++) {
        const judged_fit *j = &fits->fits[i];
        char name[128];
        fit_name(name, sizeof(name), &j->f);
        fprintf(out, "%s%s\n", i > 0 ? "\n\n" : "", name); /* gnuplot: two blank lines */
        for (size_t k = 0; k < j->group.n; k++)
            fprintf(out, "%.9g\t%.9g\n", j->group.samples[k].seconds, j->predicted[k]);
    }
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed)
        return fail(err, ST_IO, "write %s: %s", path, strerror(errno));
    return ST_OK;
}
