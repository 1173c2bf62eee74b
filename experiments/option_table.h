/* option_table.h - command-line options as rows of a table: name, kind, where the value goes.
 *
 * A command gives each of its tables a range of getopt_long() codes of its own. */
#ifndef OPTION_TABLE_H
#define OPTION_TABLE_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include "status.h"

typedef enum option_kind {
    OPTION_FLAG,     /* bool; takes no value */
    OPTION_TEXT,     /* const char *, borrowed */
    OPTION_COUNT,    /* uint32_t, to UINT32_MAX - 1 */
    OPTION_POSITIVE, /* the same above 0 */
    OPTION_REAL,     /* double, from 0 to below 1e12 */
} option_kind;

enum { OPTION_NO_FLAG = -1 };

typedef struct option_row {
    const char *name; /* without dashes */
    option_kind kind;
    size_t offset; /* of the value in the settings */
    long given;    /* offset of a bool that says that it was given, or OPTION_NO_FLAG */
} option_row;

/* Writes n entries for getopt_long(), with codes first_code, first_code + 1, ... */
void option_table_longs(struct option *out, const option_row *rows, size_t n, int first_code);

/* Sets the option with this code in settings. False: the code is not of this table. *st is
 * ST_INVALID with a message when the value is none. */
bool option_table_set(void *settings, status *st, const option_row *rows, size_t n,
                      int first_code, int code, const char *value, errbuf *err);

#endif
