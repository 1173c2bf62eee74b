/* algorithm_cache.h - the algorithms of a CUDA engine's products, kept in the profile database
 * from one start to the next, and a progress bar while they are found. */
#ifndef ALGORITHM_CACHE_H
#define ALGORITHM_CACHE_H

#include "cuda_executor.h"
#include "profile_store.h"
#include "progress.h"

typedef struct algorithm_cache {
    const char *path;        /* of the database, borrowed; NULL: nothing is kept */
    stored_algorithms known; /* at first */
    stored_algorithms used;  /* by the engine */
    bool out_of_memory, quiet;
    progress bar; /* of the search */
    bool searches;
} algorithm_cache;

/* Reads what is known; a database that is not there yet knows nothing. Release *out with
 * algorithm_cache_finish, on errors too. Errors of profile_store_open(). */
MUST_USE status algorithm_cache_read(algorithm_cache *out, const char *path, bool quiet,
                                     errbuf *err);
void algorithm_cache_finish(algorithm_cache *c);

/* Makes an executor of config look things up here, and tell what it uses. c must outlive its
 * creation. */
void algorithm_cache_attach(algorithm_cache *c, cuda_executor_config *config);

/* Stores what was found. A database that cannot be written costs time at the next start, not
 * this one's run: that is said on standard error. */
void algorithm_cache_keep(algorithm_cache *c);

#endif
