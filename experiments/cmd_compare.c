/* cmd_compare.c - `adaptivellm compare`: options, the choice of runs, output. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_validate.h"
#include "commands.h"
#include "compare.h"

/* Two is what a comparison needs: the latest run and the one before it. */
enum { LAST_DEFAULT = 2 };

typedef struct options {
    const char *results, *label, *json;
    size_t last; /* 0: not given */
    compare_view view;
    bool help;
    int64_t *ids; /* [n_ids] */
    size_t n_ids;
} options;

static const char usage_text[] =
    "usage: adaptivellm compare --results DB [RUN RUN...] [OPTION...]\n"
    "       adaptivellm compare --results DB --validate MEASURED SIMULATED...\n"
    "       adaptivellm compare --validate REQUESTS [OPTION...]\n"
    "\n"
    "Prints the figures of stored runs side by side, with ratios to the first of them.\n"
    "Without run numbers it takes the latest two runs. With --validate and --results: the\n"
    "first run was measured (--backend cpu or cuda), the others simulate it: their errors, in "
    "%.\n"
    "With --validate REQUESTS: what a real server did beside its simulation; `adaptivellm\n"
    "compare --validate --help` explains.\n"
    "\n"
    "  --results DB   the database that `adaptivellm replay --results DB` wrote\n"
    "  --label TEXT   all runs of this label, the oldest first\n"
    "  --last N       the latest N runs (of the label, if one is given), the oldest first\n"
    "  --all          all figures, not only the most asked for\n"
    "  --json FILE    writes all figures as JSON; `-` writes them to the terminal instead of\n"
    "                 the table\n"
    "  --help         prints this\n";

static int misuse(const char *text, const char *value) {
    fprintf(stderr, "adaptivellm compare: %s%s; `adaptivellm compare --help` explains\n", text,
            value);
    return EXIT_MISUSE;
}

static bool parse_positive(int64_t *out, const char *text) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < 1) return false;
    *out = value;
    return true;
}

static int parse_ids(options *o, int n, char **texts) {
    if (n == 0) return EXIT_DONE;
    o->ids = calloc((size_t)n, sizeof(*o->ids));
    if (!o->ids) {
        fprintf(stderr, "adaptivellm compare: out of memory\n");
        return EXIT_FAILED;
    }
    for (int i = 0; i < n; i++)
        if (!parse_positive(&o->ids[o->n_ids++], texts[i]))
            return misuse("not the number of a run: ", texts[i]);
    return EXIT_DONE;
}

static int parse_option(options *o, int option) {
    int64_t last;
    switch (option) {
    case 'r':
        o->results = optarg;
        return EXIT_DONE;
    case 'l':
        o->label = optarg;
        return EXIT_DONE;
    case 'j':
        o->json = optarg;
        return EXIT_DONE;
    case 'a':
        o->view.all = true;
        return EXIT_DONE;
    case 'v':
        o->view.errors = true;
        return EXIT_DONE;
    case 'h':
        o->help = true;
        return EXIT_DONE;
    case 'n':
        if (!parse_positive(&last, optarg))
            return misuse("--last wants a number of runs, not ", optarg);
        o->last = (size_t)last;
        return EXIT_DONE;
    default: /* getopt has said what is wrong */
        return misuse("wrong option", "");
    }
}

static int parse_options(options *o, int argc, char **argv) {
    static const struct option known[] = {
        {"results", required_argument, NULL, 'r'}, {"label", required_argument, NULL, 'l'},
        {"last", required_argument, NULL, 'n'},    {"all", no_argument, NULL, 'a'},
        {"validate", no_argument, NULL, 'v'},      {"json", required_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    optind = 1;
    for (int option; (option = getopt_long(argc, argv, "h", known, NULL)) != -1;) {
        int exit_code = parse_option(o, option);
        if (exit_code) return exit_code;
        if (o->help) return EXIT_DONE;
    }
    if (!o->results) return misuse("--results DB is missing", "");
    int exit_code = parse_ids(o, argc - optind, argv + optind);
    if (exit_code) return exit_code;
    if (o->n_ids && (o->label || o->last))
        return misuse("name runs, or choose them by --label and --last, not both", "");
    if (o->n_ids == 1 || o->last == 1) return misuse("a comparison needs two runs or more", "");
    return EXIT_DONE;
}

/* Fills o->ids from --label and --last when no run was named. */
static status choose_runs(options *o, store *s, errbuf *err) {
    if (o->n_ids) return ST_OK;
    size_t n_max = o->last ? o->last : o->label ? 0 : LAST_DEFAULT;
    status st = stored_run_find_latest(&o->ids, &o->n_ids, s, o->label, n_max, err);
    if (st) return st;
    if (o->n_ids < 2)
        return fail(err, ST_NOT_FOUND,
                    "%s: only run %" PRId64 " is there to compare; a comparison needs two",
                    o->results, o->ids[0]);
    return ST_OK;
}

static status read_runs(stored_run *runs, options *o, store *s, errbuf *err) {
    for (size_t i = 0; i < o->n_ids; i++) {
        status st = stored_run_read(&runs[i], s, o->ids[i], err);
        if (st) return st;
    }
    return ST_OK;
}

static status write_json(const char *path, const stored_run *runs, size_t n, errbuf *err) {
    bool to_terminal = strcmp(path, "-") == 0;
    FILE *out = to_terminal ? stdout : fopen(path, "w");
    if (!out) return fail(err, ST_IO, "%s: cannot be written: %s", path, strerror(errno));
    status st = compare_write_json(out, runs, n);
    if (!to_terminal && fclose(out) != 0 && !st) st = ST_IO;
    if (st == ST_IO) return fail(err, st, "%s: cannot be written: %s", path, strerror(errno));
    if (st) return fail(err, st, "%s: %s", path, status_text(st));
    return ST_OK;
}

static status check_measured(const stored_run *run, errbuf *err) {
    if (!run->backend || strcmp(run->backend, "sim") != 0) return ST_OK;
    return fail(err, ST_INVALID,
                "run %" PRId64 " was simulated, not measured: --validate wants a run of "
                "--backend cpu or cuda first, and after it the runs that simulate it",
                run->id);
}

static status print_runs(const options *o, const stored_run *runs, errbuf *err) {
    compare_print_warnings(stderr, "adaptivellm compare: warning: ", runs, o->n_ids, &o->view);
    status st = o->json ? write_json(o->json, runs, o->n_ids, err) : ST_OK;
    if (st || (o->json && strcmp(o->json, "-") == 0)) return st;
    compare_print_table(stdout, runs, o->n_ids, &o->view);
    return ST_OK;
}

static status compare(options *o, errbuf *err) {
    store *s;
    status st = store_open(&s, o->results, DATABASE_READ, err);
    if (st) return st;
    stored_run *runs = NULL;
    st = choose_runs(o, s, err);
    if (!st) {
        runs = calloc(o->n_ids, sizeof(*runs));
        st = runs ? read_runs(runs, o, s, err) : fail(err, ST_NO_MEMORY, "out of memory");
    }
    store_close(s);
    if (!st && o->view.errors) st = check_measured(&runs[0], err);
    if (!st) st = print_runs(o, runs, err);
    for (size_t i = 0; runs && i < o->n_ids; i++) stored_run_finish(&runs[i]);
    free(runs);
    return st;
}

int cmd_compare(int argc, char **argv) {
    if (is_validate(argc, argv)) return validate_main(argc, argv);
    options o = {0};
    int exit_code = parse_options(&o, argc, argv);
    if (!exit_code && o.help) {
        fputs(usage_text, stdout);
    } else if (!exit_code) {
        errbuf err = {0};
        if (compare(&o, &err)) {
            fprintf(stderr, "adaptivellm compare: %s\n", err.text);
            exit_code = EXIT_FAILED;
        }
    }
    free(o.ids);
    return exit_code;
}
