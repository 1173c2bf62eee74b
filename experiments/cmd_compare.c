/* cmd_compare.c - `adaptivellm compare`: stored runs side by side. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cmd_validate.h"
#include "commands.h"
#include "compare.h"
#include "run_choice.h"

typedef struct options {
    run_choice choice;
    const char *json;
    compare_view view;
} options;

#define AT(field) offsetof(options, field)
static const option_row rows[] = {
    {"json", OPTION_TEXT, AT(json), OPTION_NO_FLAG},
    {"all", OPTION_FLAG, AT(view.all), OPTION_NO_FLAG},
    {"validate", OPTION_FLAG, AT(view.errors), OPTION_NO_FLAG},
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
    if (o->view.errors) TRY(check_measured(&o->choice.runs[0], err));
    return print_runs(o, err);
}

int cmd_compare(int argc, char **argv) {
    if (is_validate(argc, argv)) return validate_main(argc, argv);
    options o = {.choice.n_min = 2};
    errbuf err = {0};
    bool help;
    int exit_code = EXIT_DONE;
    bool parsed = run_choice_parse(&o.choice, &help, &o, rows, sizeof(rows) / sizeof(rows[0]),
                                   argc, argv, &exit_code);
    if (parsed && help) {
        printf(usage_text, run_choice_help);
    } else if (parsed && compare(&o, &err) != ST_OK) {
        fprintf(stderr, "adaptivellm compare: %s\n", err.text);
        exit_code = EXIT_FAILED;
    }
    run_choice_finish(&o.choice);
    return exit_code;
}
