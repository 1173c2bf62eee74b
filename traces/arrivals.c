#include "arrivals.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "random_streams.h"
#include "rng.h"

struct arrivals {
    arrival_settings settings;
    gsl_rng *rng;
    double shape, scale_s; /* of gamma and weibull gaps */
    double mean_gap_s;     /* within an on phase when bursty */
    double on_left_s;      /* of the present phase when bursty */
    bool started;
    int64_t now_ns;
};

static const char *const kind_names[] = {
#define X(kind, name) name,
    ARRIVAL_LIST(X)
#undef X
};

/* Rows as in ARRIVAL_LIST, columns as in arrival_settings_keys(). */
static const bool uses[N_ARRIVAL_KINDS][ARRIVAL_N_KEYS] = {
    [ARRIVAL_POISSON] = {true, true},
    [ARRIVAL_GAMMA] = {true, true, true},
    [ARRIVAL_WEIBULL] = {true, true, true},
    [ARRIVAL_BURSTY] = {true, true, false, true, true},
    [ARRIVAL_AT_ONCE] = {true},
};

arrival_settings arrival_settings_defaults(void) {
    return (arrival_settings){
        .kind = ARRIVAL_POISSON, .rate_per_s = 1, .cv = 3, .on_s = 10, .off_s = 30};
}

void arrival_settings_keys(arrival_settings *s, setting *keys, size_t *n) {
    const setting known[] = {
        {"arrival", SETTING_CHOICE, &s->kind, 0, 0, kind_names, N_ARRIVAL_KINDS},
        {"rate", SETTING_REAL, &s->rate_per_s, 1e-6, 1e9, NULL, 0},
        {"cv", SETTING_REAL, &s->cv, 0.05, 50, NULL, 0},
        {"on", SETTING_REAL, &s->on_s, 1e-3, 1e6, NULL, 0},
        {"off", SETTING_REAL, &s->off_s, 0, 1e6, NULL, 0},
    };
    _Static_assert(sizeof(known) / sizeof(known[0]) == ARRIVAL_N_KEYS, "one entry per key");
    for (size_t i = 0; i < ARRIVAL_N_KEYS; i++) keys[(*n)++] = known[i];
}

status arrival_settings_check(const arrival_settings *s, const bool given[ARRIVAL_N_KEYS],
                              errbuf *err) {
    arrival_settings any = *s;
    setting keys[ARRIVAL_N_KEYS];
    size_t n = 0, wrong = 0;
    arrival_settings_keys(&any, keys, &n);
    while (wrong < n && (!given[wrong] || uses[s->kind][wrong])) wrong++;
    if (wrong == n) return ST_OK;
    char has[64] = "";
    for (size_t i = 1; i < n; i++) {
        if (!uses[s->kind][i]) continue;
        strcat(has, " ");
        strcat(has, keys[i].key);
    }
    return fail(err, ST_INVALID, "arrival process '%s' has no key '%s'; it has:%s",
                kind_names[s->kind], keys[wrong].key, has[0] ? has : " none");
}

status arrival_settings_parse(arrival_settings *s, const char *spec, errbuf *err) {
    size_t kind, n_keys = 0;
    const char *rest;
    TRY(settings_find_name(&kind, &rest, "arrival process", spec, kind_names, N_ARRIVAL_KINDS,
                           err));
    s->kind = kind;
    setting keys[ARRIVAL_N_KEYS];
    bool given[ARRIVAL_N_KEYS] = {false};
    arrival_settings_keys(s, keys, &n_keys);
    /* The first key is the name, which stands in front here. */
    TRY(settings_parse("arrival process", rest, keys + 1, given + 1, n_keys - 1, err));
    return arrival_settings_check(s, given, err);
}

/* Shape k of the Weibull distribution whose coefficient of variation is cv:
 * cv^2 = G(1 + 2/k) / G(1 + 1/k)^2 - 1, which falls as k grows. */
static double weibull_shape(double cv) {
    double low = 0.1, high = 50; /* cv 429 and 0.026, beyond what a setting allows */
    for (int i = 0; i < 100; i++) {
        double k = (low + high) / 2;
        double squared = exp(lgamma(1 + 2 / k) - 2 * lgamma(1 + 1 / k)) - 1;
        if (squared > cv * cv)
            low = k;
        else
            high = k;
    }
    return (low + high) / 2;
}

static void set_gaps(arrivals *a) {
    const arrival_settings *s = &a->settings;
    double mean_s = 1 / s->rate_per_s;
    a->mean_gap_s = mean_s;
    if (s->kind == ARRIVAL_GAMMA) {
        a->shape = 1 / (s->cv * s->cv);
        a->scale_s = mean_s / a->shape;
    } else if (s->kind == ARRIVAL_WEIBULL) {
        a->shape = weibull_shape(s->cv);
        a->scale_s = mean_s / exp(lgamma(1 + 1 / a->shape));
    } else if (s->kind == ARRIVAL_BURSTY) {
        a->mean_gap_s = mean_s * s->on_s / (s->on_s + s->off_s);
        a->on_left_s = gsl_ran_exponential(a->rng, s->on_s);
    }
}

status arrivals_create(arrivals **out, const arrival_settings *s, uint64_t seed, errbuf *err) {
    arrivals *a = calloc(1, sizeof(*a));
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    if (!a || !rng) {
        free(a);
        if (rng) gsl_rng_free(rng);
        return fail(err, ST_NO_MEMORY, "arrival process: out of memory");
    }
    gsl_rng_set(rng, (unsigned long)rng_bits(seed, RNG_ARRIVALS, 0));
    a->settings = *s;
    a->rng = rng;
    set_gaps(a);
    *out = a;
    return ST_OK;
}

void arrivals_destroy(arrivals *a) {
    if (!a) return;
    gsl_rng_free(a->rng);
    free(a);
}

/* A gap of the on phase, longer by each off phase that falls into it. */
static double bursty_gap_s(arrivals *a) {
    double gap_s = gsl_ran_exponential(a->rng, a->mean_gap_s), off_s = 0;
    double on_needed_s = gap_s;
    while (on_needed_s > a->on_left_s) {
        on_needed_s -= a->on_left_s;
        if (a->settings.off_s > 0) off_s += gsl_ran_exponential(a->rng, a->settings.off_s);
        a->on_left_s = gsl_ran_exponential(a->rng, a->settings.on_s);
    }
    a->on_left_s -= on_needed_s;
    return gap_s + off_s;
}

static double next_gap_s(arrivals *a) {
    switch ((arrival_kind)a->settings.kind) {
    case ARRIVAL_POISSON:
        return gsl_ran_exponential(a->rng, a->mean_gap_s);
    case ARRIVAL_GAMMA:
        return gsl_ran_gamma(a->rng, a->shape, a->scale_s);
    case ARRIVAL_WEIBULL:
        return gsl_ran_weibull(a->rng, a->scale_s, a->shape);
    case ARRIVAL_BURSTY:
        return bursty_gap_s(a);
    case ARRIVAL_AT_ONCE:
    case N_ARRIVAL_KINDS:
        break;
    }
    return 0;
}

status arrivals_next(arrivals *a, int64_t *ns, errbuf *err) {
    if (a->started) {
        double gap_ns = next_gap_s(a) * 1e9;
        if (gap_ns >= (double)(INT64_MAX - a->now_ns))
            return fail(err, ST_INVALID,
                        "arrival process: the time is beyond 292 years; raise the rate");
        a->now_ns += (int64_t)(gap_ns + 0.5);
    }
    a->started = true;
    *ns = a->now_ns;
    return ST_OK;
}
