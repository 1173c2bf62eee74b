/* cmd_compare.c - `adaptivellm compare`: options, the choice of runs, output. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_validate.h"
#include "commands.h"
#include "compare.h"
#include "run_choice.h"

typedef struct options {
    run_choice choice;
    const char *json;
    compare_view view;
    bool help;
} options;

#define AT(field) offsetof(options, field)
static const option_row rows[] = {
    {"json", OPTION_TEXT, AT(json), OPTION_NO_FLAG},
    {"all", OPTION_FLAG, AT(view.all), OPTION_NO_FLAG},
    {"validate", OPTION_FLAG, AT(view.errors), OPTION_NO_FLAG},
    {"help", OPTION_FLAG, AT(help), OPTION_NO_FLAG},
};
enum {
    N_ROWS = sizeof(rows) / sizeof(rows[0]),
    CODE_OWN = 0x100,
    CODE_CHOICE = 0x200,
};

static const char usage_text[] =
    "usage: adaptivellm compare --results DB [RUN RUN...] [OPTION...]\n"
    "       adaptivellm compare --results DB --validate MEASURED SIMULATED...\n"
    "       adaptivellm compare --validate REQUESTS [OPTION...]\n"
    "\n"
    "Prints the figures of stored runs side by side, with ratios to the first of them.\n"
    "Without run numbers it takes the latest two runs. With --validate and --results: the\n"
    "first run was measured (--backend cpu or cuda), the others simulate it: their errors, "
    "in %%.\n"
    "With --validate REQUESTS: what a real server did beside its simulation; `adaptivellm\n"
    "compare --validate --help` explains.\n"
    "\n"
    "%s"
    "  --all          all figures, not only the most asked for\n"
    "  --json FILE    writes all figures as JSON; `-` writes them to the terminal instead of\n"
    "                 the table\n"
    "  --help         prints this\n";

static status parse_options(options *o, int argc, char **argv, errbuf *err) {
    struct option longs[N_RUN_CHOICE_OPTIONS + N_ROWS + 1] = {{0}};
    option_table_longs(longs, run_choice_options, N_RUN_CHOICE_OPTIONS, CODE_CHOICE);
    option_table_longs(longs + N_RUN_CHOICE_OPTIONS, rows, N_ROWS, CODE_OWN);
    optind = 1;
    for (int c; !o->help && (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        status st;
        if (!option_table_set(&o->choice, &st, run_choice_options, N_RUN_CHOICE_OPTIONS,
                              CODE_CHOICE, c, optarg, err) &&
            !option_table_set(o, &st, rows, N_ROWS, CODE_OWN, c, optarg, err))
            return fail(err, ST_INVALID, "wrong option"); /* getopt has said which */
        TRY(st);
    }
    if (o->help) return ST_OK;
    TRY(run_choice_take(&o->choice, argc - optind, argv + optind, err));
    if (o->choice.n == 1 || o->choice.last == 1)
        return fail(err, ST_INVALID, "a comparison needs two runs or more");
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

static status print_runs(const options *o, errbuf *err) {
    const stored_run *runs = o->choice.runs;
    size_t n = o->choice.n;
    compare_print_warnings(stderr, "adaptivellm compare: warning: ", runs, n, &o->view);
    if (o->json) TRY(write_json(o->json, runs, n, err));
    if (!o->json || strcmp(o->json, "-") != 0) compare_print_table(stdout, runs, n, &o->view);
    return ST_OK;
}

static status compare(options *o, errbuf *err) {
    TRY(run_choice_read(&o->choice, err));
    if (o->choice.n < 2)
        return fail(err, ST_NOT_FOUND,
                    "%s: only run %" PRId64 " is there to compare; a comparison needs two",
                    o->choice.results, o->choice.ids[0]);
    if (o->view.errors) TRY(check_measured(&o->choice.runs[0], err));
    return print_runs(o, err);
}

int cmd_compare(int argc, char **argv) {
    if (is_validate(argc, argv)) return validate_main(argc, argv);
    options o = {0};
    errbuf err = {0};
    status st = parse_options(&o, argc, argv, &err);
    int exit_code = EXIT_DONE;
    if (st != ST_OK) {
        fprintf(stderr, "adaptivellm compare: %s; `adaptivellm compare --help` explains\n",
                err.text);
        exit_code = st == ST_INVALID ? EXIT_MISUSE : EXIT_FAILED;
    } else if (o.help) {
        printf(usage_text, run_choice_help);
    } else if (compare(&o, &err) != ST_OK) {
        fprintf(stderr, "adaptivellm compare: %s\n", err.text);
        exit_code = EXIT_FAILED;
    }
    run_choice_finish(&o.choice);
    return exit_code;
}
