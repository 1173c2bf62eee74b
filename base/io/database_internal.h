/* database_internal.h - what the files of the database module share; nobody else includes it.
 */
#ifndef DATABASE_INTERNAL_H
#define DATABASE_INTERNAL_H

#include <sqlite3.h>

#include "database.h"

struct database {
    sqlite3 *handle;
    char *path;
    const char *kind;
    double busy_timeout_s;
};

/* Turns a code of SQLite into a status and a message; ST_OK for success. */
status database_check(const database *db, int code, errbuf *err);

/* ST_FORMAT, with the detail in the message. */
status database_fail_format(const database *db, const char *detail, errbuf *err);

#endif
