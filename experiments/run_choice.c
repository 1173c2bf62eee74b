#include "run_choice.h"

#include <errno.h>
#include <stdlib.h>

/* Two is what a comparison needs: the latest run and the one before it. */
enum { LAST_DEFAULT = 2 };

#define AT(field) offsetof(run_choice, field)
const option_row run_choice_options[N_RUN_CHOICE_OPTIONS] = {
    {"results", OPTION_TEXT, AT(results), OPTION_NO_FLAG},
    {"label", OPTION_TEXT, AT(label), OPTION_NO_FLAG},
    {"last", OPTION_POSITIVE, AT(last), OPTION_NO_FLAG},
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

status run_choice_take(run_choice *c, int n, char **texts, errbuf *err) {
    if (!c->results) return fail(err, ST_INVALID, "--results DB is missing");
    if (n > 0 && (c->label || c->last))
        return fail(err, ST_INVALID,
                    "name runs, or choose them by --label and --last, not both");
    c->ids = calloc((size_t)n + 1, sizeof(*c->ids));
    if (!c->ids) return fail(err, ST_NO_MEMORY, "out of memory");
    for (int i = 0; i < n; i++)
        if (!parse_id(&c->ids[c->n++], texts[i]))
            return fail(err, ST_INVALID, "not the number of a run: %s", texts[i]);
    return ST_OK;
}

static status find_latest(run_choice *c, store *s, errbuf *err) {
    if (c->n) return ST_OK;
    size_t n_max = c->last ? c->last : c->label ? 0 : LAST_DEFAULT;
    free(c->ids);
    c->ids = NULL;
    return stored_run_find_latest(&c->ids, &c->n, s, c->label, n_max, err);
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
