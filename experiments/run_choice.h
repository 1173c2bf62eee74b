/* run_choice.h - which stored runs a command is about: by number, or the latest, of a label. */
#ifndef RUN_CHOICE_H
#define RUN_CHOICE_H

#include "option_table.h"
#include "stored_run.h"

typedef struct run_choice {
    const char *results; /* the database */
    const char *label;   /* NULL: any */
    uint32_t last;       /* 0: not given */
    size_t n;
    int64_t *ids;     /* [n] */
    stored_run *runs; /* [n] once they are read */
} run_choice;

/* --results, --label and --last, of a run_choice, and their help. */
enum { N_RUN_CHOICE_OPTIONS = 3 };
extern const option_row run_choice_options[N_RUN_CHOICE_OPTIONS];
extern const char run_choice_help[];

/* Takes the numbers of runs, and checks all that was given. ST_INVALID: there is no database, a
 * number is none, or runs are both named and chosen; ST_NO_MEMORY. */
MUST_USE status run_choice_take(run_choice *c, int n, char **texts, errbuf *err);

/* Reads the runs. Where none was named, the latest: `last` of them, of that label; without
 * either, the last two. ST_NOT_FOUND: one is not there; other errors of reading. */
MUST_USE status run_choice_read(run_choice *c, errbuf *err);

void run_choice_finish(run_choice *c);

#endif
