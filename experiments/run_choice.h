/* run_choice.h - which stored runs a command is about: by number, or the latest, of a label. */
#ifndef RUN_CHOICE_H
#define RUN_CHOICE_H

#include "option_table.h"
#include "stored_run.h"

typedef struct run_choice {
    const char *results; /* the database */
    const char *label;   /* NULL: any */
    uint32_t last;       /* 0: not given */
    size_t n_min;        /* fewer are refused */
    size_t n;
    int64_t *ids;     /* [n] */
    stored_run *runs; /* [n] once they are read */
} run_choice;

/* Of the options --results, --label and --last. */
extern const char run_choice_help[];

/* Reads a command line of these options, --help, rows[0..n_rows) of own, and the numbers of
 * runs. With *help nothing is checked. False, after a message and with the exit status of the
 * command: misuse, or no memory. */
MUST_USE bool run_choice_parse(run_choice *c, bool *help, void *own, const option_row *rows,
                               size_t n_rows, int argc, char **argv, int *exit_code);

/* Reads the runs. Where none was named, the latest: `last` of them, of that label; without
 * either, the last two. ST_NOT_FOUND: one is not there, or fewer than n_min are; other errors
 * of reading. */
MUST_USE status run_choice_read(run_choice *c, errbuf *err);

void run_choice_finish(run_choice *c);

#endif
