#include "profile_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "device_options.h"
#include "device_profile.h"

typedef struct settings {
    run_settings run; /* what device_options set; a measured device reads run.profile, too */
    device_profile_design design;
} settings;

#define AT(field) offsetof(settings, field)

static const option_row profile_options[] = {
    {"profile", OPTION_TEXT, AT(run.profile), OPTION_NO_FLAG},
    {"iterations", OPTION_COUNT, AT(design.n_iterations), OPTION_NO_FLAG},
    {"copies", OPTION_COUNT, AT(design.n_copies), OPTION_NO_FLAG},
    {"copies-beside", OPTION_COUNT, AT(design.n_copies_beside), OPTION_NO_FLAG},
    {"repeats", OPTION_POSITIVE, AT(design.n_repeats_max), OPTION_NO_FLAG},
    {"precision", OPTION_REAL, AT(design.precision), OPTION_NO_FLAG},
    {"seed", OPTION_COUNT, AT(design.seed), OPTION_NO_FLAG},
    {"quiet", OPTION_FLAG, AT(run.quiet), OPTION_NO_FLAG},
};
enum {
    N_PROFILE_OPTIONS = sizeof(profile_options) / sizeof(profile_options[0]),
    CODE_PROFILE = 0x100,
    CODE_DEVICE = 0x200,
};

static void print_usage(FILE *out, const settings *defaults) {
    fprintf(
        out,
        "usage: adaptivellm profile --profile DB [OPTION...]\n"
        "       adaptivellm profile import FORMAT FILE... --profile DB   measured tables\n"
        "       adaptivellm profile list --profile DB                    what is stored\n"
        "       adaptivellm profile merge INTO FROM...                   databases into one\n"
        "\n"
        "Runs microbenchmarks on a device and stores the samples, which `fit` reads:\n"
        "iterations over new and cached tokens, chunks, decode batches and contexts, and\n"
        "KV copies over blocks and pieces, with the other direction and compute idle and\n"
        "busy. Ctrl-C ends it after the point at hand and stores those that are done.\n\n"
        "Device, model and limits (bounds of what is measured)\n%s\n"
        "Samples\n"
        "  --profile DB             the database, made when missing\n"
        "  --iterations N           points of the design: iterations; %u\n"
        "  --copies N               copies; %u\n"
        "  --copies-beside N        and copies beside iterations, on devices that really\n"
        "                           compute; %u\n"
        "  --precision P            repeat until the 95 %% interval of the mean is within\n"
        "                           this share; %g\n"
        "  --repeats N              at most; %u\n"
        "  --seed N                 of the design and its order; %u\n"
        "  --quiet                  no progress bar and no table\n"
        "  --help                   print this\n",
        device_options_help, defaults->design.n_iterations, defaults->design.n_copies,
        defaults->design.n_copies_beside, defaults->design.precision,
        defaults->design.n_repeats_max, defaults->design.seed);
}

static status set_option(settings *s, int code, const char *value, errbuf *err) {
    status st;
    if (!option_table_set(&s->run, &st, device_options, N_DEVICE_OPTIONS, CODE_DEVICE, code,
                          value, err) &&
        !option_table_set(s, &st, profile_options, N_PROFILE_OPTIONS, CODE_PROFILE, code, value,
                          err))
        return fail(err, ST_INVALID, "`adaptivellm profile --help` lists the options");
    return st;
}

static status parse_options(settings *s, bool *help, int argc, char **argv, errbuf *err) {
    struct option longs[N_DEVICE_OPTIONS + N_PROFILE_OPTIONS + 2];
    option_table_longs(longs, device_options, N_DEVICE_OPTIONS, CODE_DEVICE);
    option_table_longs(longs + N_DEVICE_OPTIONS, profile_options, N_PROFILE_OPTIONS,
                       CODE_PROFILE);
    longs[N_DEVICE_OPTIONS + N_PROFILE_OPTIONS] =
        (struct option){"help", no_argument, NULL, 'h'};
    longs[N_DEVICE_OPTIONS + N_PROFILE_OPTIONS + 1] = (struct option){0};
    *help = false;
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        *help = c == 'h';
        if (*help) return ST_OK;
        TRY(set_option(s, c, optarg, err));
    }
    if (optind < argc)
        return fail(err, ST_INVALID, "'%s' is no option; tables are read by `profile import`",
                    argv[optind]);
    if (!s->run.profile) return fail(err, ST_INVALID, "say where the samples go: --profile DB");
    if (!(s->design.precision > 0)) return fail(err, ST_INVALID, "--precision must be above 0");
    return ST_OK;
}

static status store(const settings *s, const run_setup *setup, const device_profile *p,
                    bool *added, errbuf *err) {
    profile_store *db;
    TRY(profile_store_open(&db, s->run.profile, DATABASE_CREATE, err));
    status st = device_profile_store(db, added, p, &s->design, setup, &s->run, err);
    profile_store_close(db);
    return st;
}

static void print_operation(const device_profile *c, operation op) {
    uint32_t n = 0;
    double repeats = 0, noise = 0, low = INFINITY, high = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        const sample *s = &c->samples[i];
        if (s->op != op) continue;
        n++;
        repeats += s->n_repeats;
        noise += s->deviation_s / s->seconds;
        low = fmin(low, s->seconds);
        high = fmax(high, s->seconds);
    }
    if (n > 0)
        printf("%-10s %8u %14.1f %12.2f %14.3f %10.3f\n", operation_name(op), n, repeats / n,
               100 * noise / n, low * 1e3, high * 1e3);
}

/* What was really measured: a small KV pool bounds it further than the limits do. */
static void print_bounds(const device_profile *c) {
    uint32_t n_tokens = 0, n_decode = 0;
    uint64_t kv_max = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        const batch_shape *b = &c->samples[i].batch;
        if (b->n_tokens > n_tokens) n_tokens = b->n_tokens;
        if (b->n_decode > n_decode) n_decode = b->n_decode;
        if (b->decode_kv_max > kv_max) kv_max = b->decode_kv_max;
    }
    printf("\nup to %u tokens per iteration, %u decodes, contexts of %llu tokens\n", n_tokens,
           n_decode, (unsigned long long)kv_max);
}

static void print_table(const settings *s, const device_profile *c, bool added) {
    printf("%-10s %8s %14s %12s %14s %10s\n", "operation", "samples", "repeats, mean",
           "noise, %", "shortest, ms", "longest");
    for (int op = 0; op < N_OPERATIONS; op++) print_operation(c, (operation)op);
    print_bounds(c);
    printf("%s %s\n", added ? "stored in" : "the same samples were stored before in",
           s->run.profile);
}

static status profile(const settings *s, errbuf *err) {
    run_setup setup;
    device_profile p = {0};
    bool added = false;
    TRY(run_setup_init(&setup, &s->run, err));
    status measured = device_profile_measure(&p, &s->design, &setup, &s->run, err),
           st = measured;
    if (measured == ST_OK || (measured == ST_INTERRUPTED && p.n > 0))
        st = store(s, &setup, &p, &added, err);
    if (st == ST_OK && !s->run.quiet) print_table(s, &p, added);
    device_profile_finish(&p);
    run_setup_finish(&setup);
    return st == ST_OK ? measured : st;
}

int profile_run_main(int argc, char **argv) {
    settings s = {.run = run_settings_defaults(), .design = device_profile_design_defaults()};
    settings shown = s;
    errbuf err = {0};
    bool help;
    status st = parse_options(&s, &help, argc, argv, &err);
    if (help) {
        print_usage(stdout, &shown);
        return EXIT_DONE;
    }
    if (st == ST_OK) st = profile(&s, &err);
    if (st == ST_OK) return EXIT_DONE;
    fprintf(stderr, "adaptivellm profile: %s\n", err.text);
    return st == ST_INVALID ? EXIT_MISUSE : EXIT_FAILED;
}
