/* cmd_fit.c - `adaptivellm fit`: fits what was measured, or judges fits on other samples. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fit_device.h"
#include "fit_report.h"
#include "import.h"

static const char usage[] =
    "usage: adaptivellm fit --profile DB --device NAME [--model NAME] [OPTION...]\n"
    "       adaptivellm fit --check FORMAT --profile DB --device NAME [OPTION...] FILE...\n"
    "\n"
    "Fits the times of all operations that were measured on a device for a model, judges the\n"
    "fits on samples they did not see (5-fold cross-validation), prints the errors and stores\n"
    "the fits. If one operation cannot be fitted, none is stored and the old fits stay.\n"
    "With --check, nothing is fitted: the stored fits are judged on the samples of the files,\n"
    "in a format of `profile import`.\n"
    "\n"
    "  --profile DB    samples and fits\n"
    "  --device NAME   as `profile list` prints it\n"
    "  --model NAME    without it: what was measured for no model (copies, all-reduces)\n"
    "  --tp N          tensor-parallel devices (1)\n"
    "  --json FILE     errors per operation as JSON, fractions; - is standard output\n"
    "  --points FILE   measured and predicted times, for plots/fit.gp\n"
    "  --terms         prints the formulas too\n"
    "  --quiet         no table\n"
    "  --help          prints this\n";

typedef struct options {
    const char *profile, *device, *model, *format, *json, *points;
    uint32_t tp, tp_given; /* 0: not given, and tp 1 */
    bool terms, quiet, help;
} options;

static int misuse(const char *text) {
    fprintf(stderr, "adaptivellm fit: %s; `adaptivellm fit --help` explains\n", text);
    return EXIT_MISUSE;
}

static bool read_count(uint32_t *out, const char *text) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || text[0] < '1' || text[0] > '9' || value > 1024) return false;
    *out = (uint32_t)value;
    return true;
}

/* EXIT_DONE, or EXIT_MISUSE after a message. */
static int read_options(options *o, int argc, char **argv) {
    static const struct option longs[] = {{"profile", required_argument, NULL, 'p'},
                                          {"device", required_argument, NULL, 'd'},
                                          {"model", required_argument, NULL, 'm'},
                                          {"tp", required_argument, NULL, 't'},
                                          {"check", required_argument, NULL, 'c'},
                                          {"json", required_argument, NULL, 'j'},
                                          {"points", required_argument, NULL, 'o'},
                                          {"terms", no_argument, NULL, 'f'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        if (c == 'p')
            o->profile = optarg;
        else if (c == 'd')
            o->device = optarg;
        else if (c == 'm')
            o->model = optarg;
        else if (c == 'c')
            o->format = optarg;
        else if (c == 'j')
            o->json = optarg;
        else if (c == 'o')
            o->points = optarg;
        else if (c == 'f')
            o->terms = true;
        else if (c == 'q')
            o->quiet = true;
        else if (c == 'h')
            o->help = true;
        else if (c == '?')
            return EXIT_MISUSE; /* getopt has said why */
        else if (!read_count(&o->tp_given, optarg))
            return misuse("--tp is a number from 1 to 1024");
    }
    o->tp = o->tp_given ? o->tp_given : 1;
    if (o->help) return EXIT_DONE;
    if (!o->profile || !o->device) return misuse("--profile and --device are needed");
    if (o->format && optind == argc) return misuse("--check needs files");
    if (!o->format && optind < argc) return misuse("files are read with --check only");
    return EXIT_DONE;
}

/* The samples of the files that are of the device, and of the model or of no model. */
static status read_samples(sample **out, size_t *n, const options *o, char *const *files,
                           size_t n_files, errbuf *err) {
    imported all;
    import_options wanted = {.device = o->device, .model = o->model, .tp = o->tp_given};
    TRY(profile_read_format(&all, o->format, files, n_files, &wanted, err));
    size_t total = 0;
    for (size_t g = 0; g < all.n_groups; g++) total += all.groups[g].n;
    sample *samples = calloc(total + 1, sizeof(*samples));
    *n = 0;
    for (size_t g = 0; samples && g < all.n_groups; g++) {
        const import_group *group = &all.groups[g];
        if (group->tp != o->tp && group->model[0] != '\0') continue;
        memcpy(samples + *n, group->samples, group->n * sizeof(*samples));
        *n += group->n;
    }
    imported_finish(&all);
    if (!samples) return fail(err, ST_NO_MEMORY, "out of memory for %zu samples", total);
    *out = samples;
    return ST_OK;
}

static status check(judged_fits *fits, profile_store *store, const options *o,
                    char *const *files, size_t n_files, errbuf *err) {
    sample *samples = NULL;
    size_t n = 0, n_without = 0;
    TRY(read_samples(&samples, &n, o, files, n_files, err));
    status st =
        fit_device_check(fits, &n_without, store, o->device, o->model, o->tp, samples, n, err);
    free(samples);
    if (st == ST_OK && n_without > 0 && !o->quiet)
        printf("%zu of %zu samples are of operations without a fit\n\n", n_without, n);
    if (st == ST_OK && n_without == n) {
        judged_fits_finish(fits);
        return fail(err, ST_NOT_FOUND, "no sample of the files is of an operation with a fit");
    }
    return st;
}

static status run(const options *o, char *const *files, size_t n_files, errbuf *err) {
    profile_store *store;
    judged_fits fits = {0};
    TRY(profile_store_open(&store, o->profile, o->format ? DATABASE_READ : DATABASE_UPDATE,
                           err));
    status st;
    if (o->format) {
        st = check(&fits, store, o, files, n_files, err);
    } else {
        st = fit_device_make(&fits, store, o->device, o->model, o->tp, err);
        if (st == ST_OK) st = fit_device_save(store, &fits, o->device, o->model, o->tp, err);
    }
    profile_store_close(store);
    if (st == ST_OK && !o->quiet) fit_report_print(stdout, &fits, o->format != NULL);
    if (st == ST_OK && o->terms) fit_report_terms(stdout, &fits);
    if (st == ST_OK && o->json) st = fit_report_json(o->json, &fits, err);
    if (st == ST_OK && o->points) st = fit_report_points(o->points, &fits, err);
    judged_fits_finish(&fits);
    return st;
}

int cmd_fit(int argc, char **argv) {
    options o = {0};
    int misused = read_options(&o, argc, argv);
    if (misused != EXIT_DONE) return misused;
    if (o.help) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    errbuf err = {0};
    if (run(&o, argv + optind, (size_t)(argc - optind), &err) == ST_OK) return EXIT_DONE;
    fprintf(stderr, "adaptivellm fit: %s\n", err.text);
    return EXIT_FAILED;
}
