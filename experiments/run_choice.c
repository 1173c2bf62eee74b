#include "run_choice.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"

/* Two is what a comparison needs: the latest run and the one before it. */
enum { LAST_DEFAULT = 2 };

#define AT(field) offsetof(run_choice, field)
static const option_row choice_rows[] = {
    {"results", OPTION_TEXT, AT(results), OPTION_NO_FLAG},
    {"label", OPTION_TEXT, AT(label), OPTION_NO_FLAG},
    {"last", OPTION_POSITIVE, AT(last), OPTION_NO_FLAG},
};
static const option_row help_row = {"help", OPTION_FLAG, 0, OPTION_NO_FLAG};

enum {
    N_CHOICE_ROWS = sizeof(choice_rows) / sizeof(choice_rows[0]),
    N_OWN_MAX = 8,
    CODE_CHOICE = 0x100,
    CODE_OWN = 0x200,
    CODE_HELP = 0x300,
};

const char run_choice_help[] =
    "  --results DB   the database that `adaptivellm replay --results DB` wrote\n"
    "  --label TEXT   all runs of this label, the oldest first\n"
    "  --last N       the latest N runs (of the label, if one is given), the oldest first\n";

static bool parse_id(int64_t *out, const char *text) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < 1) return false;
    *out = value;
    return true;
}

static status take_ids(run_choice *c, int n, char **texts, errbuf *err) {
    if (!c->results) return fail(err, ST_INVALID, "--results DB is missing");
    if (n > 0 && (c->label || c->last))
        return fail(err, ST_INVALID,
                    "name runs, or choose them by --label and --last, not both");
    c->ids = calloc((size_t)n + 1, sizeof(*c->ids));
    if (!c->ids) return fail(err, ST_NO_MEMORY, "out of memory");
    for (int i = 0; i < n; i++)
        if (!parse_id(&c->ids[c->n++], texts[i]))
            return fail(err, ST_INVALID, "not the number of a run: %s", texts[i]);
    if ((n > 0 && c->n < c->n_min) || (c->last > 0 && c->last < c->n_min))
        return fail(err, ST_INVALID, "a comparison needs two runs or more");
    return ST_OK;
}

static status parse(run_choice *c, bool *help, void *own, const option_row *rows, size_t n_rows,
                    int argc, char **argv, errbuf *err) {
    struct option longs[N_CHOICE_ROWS + N_OWN_MAX + 2] = {{0}};
    assert(n_rows <= N_OWN_MAX);
    option_table_longs(longs, choice_rows, N_CHOICE_ROWS, CODE_CHOICE);
    option_table_longs(longs + N_CHOICE_ROWS, rows, n_rows, CODE_OWN);
    option_table_longs(longs + N_CHOICE_ROWS + n_rows, &help_row, 1, CODE_HELP);
    optind = 1;
    for (int code; !*help && (code = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        status st;
        if (!option_table_set(c, &st, choice_rows, N_CHOICE_ROWS, CODE_CHOICE, code, optarg,
                              err) &&
            !option_table_set(own, &st, rows, n_rows, CODE_OWN, code, optarg, err) &&
            !option_table_set(help, &st, &help_row, 1, CODE_HELP, code, optarg, err))
            return fail(err, ST_INVALID, "wrong option"); /* getopt has said which */
        TRY(st);
    }
    return *help ? ST_OK : take_ids(c, argc - optind, argv + optind, err);
}

bool run_choice_parse(run_choice *c, bool *help, void *own, const option_row *rows,
                      size_t n_rows, int argc, char **argv, int *exit_code) {
    errbuf err = {0};
    *help = false;
    status st = parse(c, help, own, rows, n_rows, argc, argv, &err);
    if (st == ST_OK) return true;
    fprintf(stderr, "adaptivellm %s: %s; `adaptivellm %s --help` explains\n", argv[0], err.text,
            argv[0]);
    *exit_code = st == ST_INVALID ? EXIT_MISUSE : EXIT_FAILED;
    return false;
}

static status find_latest(run_choice *c, store *s, errbuf *err) {
    if (c->n) return ST_OK;
    size_t n_max = c->last ? c->last : c->label ? 0 : LAST_DEFAULT;
    free(c->ids);
    c->ids = NULL;
    TRY(stored_run_find_latest(&c->ids, &c->n, s, c->label, n_max, err));
    if (c->n >= c->n_min) return ST_OK;
    return fail(err, ST_NOT_FOUND,
                "%s: only run %" PRId64 " is there to compare; a comparison needs two",
                c->results, c->ids[0]);
}

static status read_runs(run_choice *c, store *s, errbuf *err) {
    TRY(find_latest(c, s, err));
    c->runs = calloc(c->n, sizeof(*c->runs));
    if (!c->runs) return fail(err, ST_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < c->n; i++) TRY(stored_run_read(&c->runs[i], s, c->ids[i], err));
    return ST_OK;
}

status run_choice_read(run_choice *c, errbuf *err) {
    store *s;
    TRY(store_open(&s, c->results, DATABASE_READ, err));
    status st = read_runs(c, s, err);
    store_close(s);
    return st;
}

void run_choice_finish(run_choice *c) {
    for (size_t i = 0; c->runs && i < c->n; i++) stored_run_finish(&c->runs[i]);
    free(c->runs);
    free(c->ids);
}
