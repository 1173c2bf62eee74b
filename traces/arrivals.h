/* arrivals.h - arrival processes: when requests come that have no time of their own.
 *
 * The first arrival is at 0. The mean rate of every process is rate_per_s, but for all-at-once,
 * which has none. The gaps of poisson, gamma and weibull are independent, with the coefficient
 * of variation 1, cv and cv: gamma and weibull are what ServeGen (Xiang et al., 2025) fits to
 * the clients of production services. bursty is an interrupted Poisson process: on for a while
 * (exponential, mean on_s), when requests come at rate * (on_s + off_s) / on_s, then off (mean
 * off_s) with none; it starts on.
 * Determinism: equal settings and seed give equal times. */
#ifndef ARRIVALS_H
#define ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

#include "settings.h"
#include "status.h"

/* name on the command line */
#define ARRIVAL_LIST(X)                                                                        \
    X(ARRIVAL_POISSON, "poisson")                                                              \
    X(ARRIVAL_GAMMA, "gamma")                                                                  \
    X(ARRIVAL_WEIBULL, "weibull")                                                              \
    X(ARRIVAL_BURSTY, "bursty")                                                                \
    X(ARRIVAL_AT_ONCE, "all-at-once")

typedef enum arrival_kind {
#define X(kind, name) kind,
    ARRIVAL_LIST(X)
#undef X
        N_ARRIVAL_KINDS
} arrival_kind;

typedef struct arrival_settings {
    uint64_t kind; /* arrival_kind */
    double rate_per_s;
    double cv;          /* of gamma and weibull gaps */
    double on_s, off_s; /* mean phases of bursty */
} arrival_settings;

/* poisson, 1 request/s; cv 3 (between the client CVs 2.3 and 3.6 of three of ServeGen's four
 * services); 10 s on, 30 s off. */
arrival_settings arrival_settings_defaults(void);

/* The keys by which settings are written (arrival, rate, cv, on, off), appended to keys at *n;
 * there must be room for ARRIVAL_N_KEYS. */
enum { ARRIVAL_N_KEYS = 5 };
void arrival_settings_keys(arrival_settings *s, setting *keys, size_t *n);

/* ST_INVALID: the process of s has no use for one of the keys that were given, which are in the
 * order of arrival_settings_keys(). */
MUST_USE status arrival_settings_check(const arrival_settings *s,
                                       const bool given[ARRIVAL_N_KEYS], errbuf *err);

/* Reads "NAME[,key=value...]", keys as above without arrival, over what *s holds.
 * ST_INVALID: an unknown name or key, one that the process has no use for, a value out of
 * range; *s is then undefined. */
MUST_USE status arrival_settings_parse(arrival_settings *s, const char *spec, errbuf *err);

typedef struct arrivals arrivals;

/* The settings must be within the ranges of their keys. On error *out is not written.
 * ST_NO_MEMORY. */
MUST_USE status arrivals_create(arrivals **out, const arrival_settings *s, uint64_t seed,
                                errbuf *err);

/* a may be NULL. */
void arrivals_destroy(arrivals *a);

/* Time of the next request, ns from the first one's, never before the one before it.
 * ST_INVALID: over 292 years from the first, more than the clock holds. */
MUST_USE status arrivals_next(arrivals *a, int64_t *ns, errbuf *err);

#endif
