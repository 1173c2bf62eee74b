/* profile_store_internal.h - what the files of the profile store share; nobody else includes
 * it. */
#ifndef PROFILE_STORE_INTERNAL_H
#define PROFILE_STORE_INTERNAL_H

#include "profile_store.h"

struct profile_store {
    database *db;
};

/* Row ids of a device and a model; model_id is 0 for no model. */
typedef struct subject {
    int64_t device_id, model_id;
} subject;

/* Finds them; ST_NOT_FOUND, without a message, when there is none of a name. */
MUST_USE status subject_find(subject *out, profile_store *s, const char *device,
                             const char *model, errbuf *err);

/* As above, and adds what is missing. A transaction must be open. */
MUST_USE status subject_ensure(subject *out, profile_store *s, const char *device,
                               const char *model, errbuf *err);

/* Adds a profile within the open transaction; see profile_store_add. created_utc NULL: now. */
MUST_USE status profile_insert(profile_store *s, bool *added, const profile_info *info,
                               const char *created_utc, const sample *samples, size_t n,
                               errbuf *err);

/* Runs a SELECT of profile_sample_columns and sample.id; the rows are added to *out, also those
 * before an error. */
MUST_USE status samples_collect(stored_samples *out, statement *s, const database *db,
                                errbuf *err);

/* Binds an id, or NULL for 0. */
void bind_id(statement *s, int parameter, int64_t id);

/* A copy of a column of the current row, to be freed; NULL for NULL. ST_NO_MEMORY. */
MUST_USE status copy_text(char **out, statement *s, int column, errbuf *err);

#endif
