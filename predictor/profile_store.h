/* profile_store.h - profiles.db: what was measured, and the fits made of it.
 *
 * A profile is one set of samples: one table that was imported, or one run of the
 * microbenchmarks, on one device, for one model (or none: plain kernels) and one number of
 * tensor-parallel devices. Its samples never change. A fit belongs to a device, a model, a tp,
 * an operation and a part; a newer one takes its place. Beside them lie the algorithms that an
 * engine found for its products, so that its next start is a short one.
 *
 * Must not know: how a table is read (import.h), how a fit is made or what its JSON means.
 * Order:   samples come back in the order in which they were added.
 * Errors:  those of database.h, of every function that reaches the file.
 * Threads: one owner. */
#ifndef PROFILE_STORE_H
#define PROFILE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "database.h"
#include "sample_set.h"
#include "status.h"

typedef struct profile_store profile_store;

/* What a set of samples is of, and where they come from. Texts are borrowed. */
typedef struct profile_info {
    const char *device;
    const char *model;       /* NULL: of no model, as kernels by shape are */
    uint32_t tp;             /* at least 1 */
    const char *backend;     /* "sim", "cpu", "cuda"; NULL: imported */
    const char *source;      /* the file, or "microbenchmark" */
    const char *commit_hash; /* of the build; NULL: not known */
    const char *settings;    /* JSON; NULL: none */
    uint64_t seed;           /* of the microbenchmarks; 0: none was used */
} profile_info;

/* Which samples or fits. */
typedef struct profile_query {
    const char *device;
    const char *model; /* NULL: those of no model */
    uint32_t tp;
    operation op;
    const char *part; /* NULL: any */
    bool originals; /* leave out what was measured on a virtual device that itself looks samples
                       up: a copy of them */
} profile_query;

typedef struct stored_samples {
    sample *samples; /* [n] */
    int64_t *ids;    /* [n] */
    size_t n;
} stored_samples;

/* One fit as it is kept. */
typedef struct fit_record {
    char *device, *model; /* model may be NULL */
    uint32_t tp;
    operation op;
    char part[SAMPLE_PART_MAX + 1];
    char *kind; /* which way of fitting: whoever reads json asks for this first */
    char *json; /* all of the fit: terms, coefficients, intervals, ranges, validation */
    uint64_t n_samples;
    double mape, held_out_mape; /* fractions; NAN: not known */
    const int64_t *sample_ids;  /* [n_sample_ids] that made it; only looked at when saving */
    size_t n_sample_ids;
} fit_record;

typedef struct stored_fits {
    fit_record *fits; /* [n] ordered by operation, then part */
    size_t n;
} stored_fits;

/* A line of what the file holds: the samples of one operation. */
typedef struct profile_summary {
    char *device, *model; /* model may be NULL */
    uint32_t tp;
    operation op;
    char part[SAMPLE_PART_MAX + 1];
    uint64_t n_profiles, n_samples;
    char *fit_kind;             /* NULL: there is no fit */
    double mape, held_out_mape; /* of the fit; NAN: not known */
} profile_summary;

typedef struct profile_summaries {
    profile_summary *rows; /* [n] ordered by device, model, tp, operation, part */
    size_t n;
} profile_summaries;

/* Algorithms that an engine found for its products, a line each, in the engine's own words. */
typedef struct stored_algorithms {
    char **lines; /* [n] in the order in which they were stored */
    size_t n;
} stored_algorithms;

/* Opens path, or makes it when mode is DATABASE_CREATE. On error *out is not written. */
MUST_USE status profile_store_open(profile_store **out, const char *path, database_mode mode,
                                   errbuf *err);

/* s may be NULL. */
void profile_store_close(profile_store *s);

/* Stores a profile with its samples in one transaction; their tp is info->tp. *added is false
 * when the same samples are stored for that device, model and tp already: nothing is written.
 * ST_INVALID: a time that is not above 0, or info that is not complete; ST_FORMAT:
 * contradictory samples (sample_set.h), also with what is stored. On error nothing is written.
 */
MUST_USE status profile_store_add(profile_store *s, bool *added, const profile_info *info,
                                  const sample *samples, size_t n, errbuf *err);

/* Reads the samples of a query; none is not an error. */
MUST_USE status profile_store_read_samples(profile_store *s, stored_samples *out,
                                           const profile_query *query, errbuf *err);
void stored_samples_finish(stored_samples *samples);

/* Stores fits in place of those of the same device, model, tp, operation and part, all or none:
 * on error the old ones stay. ST_INVALID: json that is not JSON, a sample that is not there. */
MUST_USE status profile_store_save_fits(profile_store *s, const fit_record *fits, size_t n,
                                        errbuf *err);

/* Reads the fits of a device, a model (NULL: of no model) and a tp; none is not an error. */
MUST_USE status profile_store_read_fits(profile_store *s, stored_fits *out, const char *device,
                                        const char *model, uint32_t tp, errbuf *err);
void stored_fits_finish(stored_fits *fits);

/* Describes all that is stored. */
MUST_USE status profile_store_list(profile_store *s, profile_summaries *out, errbuf *err);
void profile_summaries_finish(profile_summaries *list);

/* Stores lines that are not there yet, all or none. */
MUST_USE status profile_store_save_algorithms(profile_store *s, const char *const *lines,
                                              size_t n, errbuf *err);

/* Reads all lines; none is not an error. */
MUST_USE status profile_store_read_algorithms(profile_store *s, stored_algorithms *out,
                                              errbuf *err);
void stored_algorithms_finish(stored_algorithms *all);

/* Adds the profiles of another file that are not in this one, in one transaction. Fits stay as
 * they are in each file: after a merge, fit again. ST_FORMAT: samples that contradict. */
MUST_USE status profile_store_merge(profile_store *into, size_t *n_added, size_t *n_known,
                                    profile_store *from, errbuf *err);

#endif
