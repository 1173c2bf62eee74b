/* profile_schema.h - the tables of profiles.db and the statements that hold all columns of a
 * sample; profile_store.h says what the rows mean. */
#ifndef PROFILE_SCHEMA_H
#define PROFILE_SCHEMA_H

#include "database.h"
#include "sample.h"

enum { PROFILE_VERSION = 1 };

extern const database_schema profile_schema;

/* Parameter 1 is the profile, 2 and up those that sample_bind sets. */
extern const char profile_insert_sample_sql[];

/* All columns that sample_read wants, from column 0 on, of `sample JOIN profile`. */
extern const char profile_sample_columns[];

/* Binds a sample to parameters 2 and up; op and part are borrowed. */
void sample_bind(statement *s, const sample *row);

/* Reads the current row. ST_FORMAT: an operation that this program does not know, or a part
 * that is too long. */
MUST_USE status sample_read(sample *out, statement *s, const database *db, errbuf *err);

#endif
