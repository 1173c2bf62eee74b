#include "workload.h"

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <stdio.h>
#include <stdlib.h>

#include "random_streams.h"
#include "rng.h"
#include "settings.h"

enum { CLIENTS_MAX = 1 << 20, KINDS_MAX = 16, N_KEYS_MAX = ARRIVAL_N_KEYS + 5 };

struct workload {
    workload_settings settings;
    length_sampler prompt, output;
    gsl_rng *prompt_rng, *output_rng, *client_rng, *priority_rng;
    gsl_ran_discrete_t *clients; /* NULL when there is one */
};

static workload_settings defaults_of(const workload_kind *kind) {
    workload_settings s = {.kind = kind, .n = 1000, .clients = 1, .priorities = 1};
    s.fixed_prompt = 512;
    s.fixed_output = 128;
    if (kind->prompt) s.prompt_mean = length_table_mean(kind->prompt);
    if (kind->output) s.output_mean = length_table_mean(kind->output);
    s.arrivals = arrival_settings_defaults();
    s.arrivals.rate_per_s = kind->rate_per_s;
    return s;
}

/* Those of the arrival process come last. */
static size_t list_keys(workload_settings *s, setting keys[N_KEYS_MAX]) {
    size_t n = 0;
    keys[n++] = (setting){"n", SETTING_COUNT, &s->n, 1, 1e12, NULL, 0};
    keys[n++] = (setting){"clients", SETTING_COUNT, &s->clients, 1, CLIENTS_MAX, NULL, 0};
    keys[n++] = (setting){"priorities", SETTING_COUNT, &s->priorities, 1, 1000, NULL, 0};
    if (s->kind->prompt) {
        keys[n++] = (setting){"prompt_mean", SETTING_REAL, &s->prompt_mean, 1, 1e6, NULL, 0};
        keys[n++] = (setting){"output_mean", SETTING_REAL, &s->output_mean, 1, 1e6, NULL, 0};
    } else {
        double max = TRACE_MAX_TOKENS;
        keys[n++] = (setting){"prompt", SETTING_COUNT, &s->fixed_prompt, 1, max, NULL, 0};
        keys[n++] = (setting){"output", SETTING_COUNT, &s->fixed_output, 1, max, NULL, 0};
    }
    arrival_settings_keys(&s->arrivals, keys, &n);
    return n;
}

status workload_parse(workload_settings *out, const char *spec, errbuf *err) {
    size_t n_kinds, position;
    const workload_kind *kinds = workload_kinds(&n_kinds);
    const char *names[KINDS_MAX], *rest;
    for (size_t i = 0; i < n_kinds; i++) names[i] = kinds[i].name;
    status st = settings_find_name(&position, &rest, "workload", spec, names, n_kinds, err);
    if (st != ST_OK) return st;
    *out = defaults_of(&kinds[position]);
    setting keys[N_KEYS_MAX];
    size_t n_keys = list_keys(out, keys);
    char owner[80];
    snprintf(owner, sizeof(owner), "workload '%s'", out->kind->name);
    bool given[N_KEYS_MAX] = {false};
    TRY(settings_parse(owner, rest, keys, given, n_keys, err));
    return arrival_settings_check(&out->arrivals, given + n_keys - ARRIVAL_N_KEYS, err);
}

/* Makes the sampler of prompts or outputs, scaled to the mean asked for. */
static status make_sampler(length_sampler *out, const length_table *t, double mean,
                           const char *key, errbuf *err) {
    double factor = mean / length_table_mean(t);
    double longest = t->at[LENGTH_N_LEVELS - 1] * factor;
    if (longest > TRACE_MAX_TOKENS)
        return fail(err, ST_INVALID,
                    "workload: %s=%g makes lengths up to %.0f tokens, more than %d; lower it",
                    key, mean, longest, TRACE_MAX_TOKENS);
    *out = length_sampler_make(t, factor);
    return ST_OK;
}

static status make_samplers(workload *w, errbuf *err) {
    const workload_settings *s = &w->settings;
    if (!s->kind->prompt) return ST_OK;
    status st = make_sampler(&w->prompt, s->kind->prompt, s->prompt_mean, "prompt_mean", err);
    if (st != ST_OK) return st;
    return make_sampler(&w->output, s->kind->output, s->output_mean, "output_mean", err);
}

static gsl_rng *make_rng(uint64_t seed, uint64_t stream) {
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    if (rng) gsl_rng_set(rng, (unsigned long)rng_bits(seed, stream, 0));
    return rng;
}

/* Weights 1, 1/2, 1/3, ... */
static gsl_ran_discrete_t *make_clients(size_t n) {
    double *weights = malloc(n * sizeof(*weights));
    if (!weights) return NULL;
    for (size_t i = 0; i < n; i++) weights[i] = 1 / (double)(i + 1);
    gsl_ran_discrete_t *clients = gsl_ran_discrete_preproc(n, weights);
    free(weights);
    return clients;
}

status workload_create(workload **out, const workload_settings *settings, uint64_t seed,
                       errbuf *err) {
    workload *w = calloc(1, sizeof(*w));
    if (!w) return fail(err, ST_NO_MEMORY, "workload: out of memory");
    w->settings = *settings;
    status st = make_samplers(w, err);
    if (st != ST_OK) {
        workload_destroy(w);
        return st;
    }
    w->prompt_rng = make_rng(seed, RNG_PROMPT_LENGTHS);
    w->output_rng = make_rng(seed, RNG_OUTPUT_LENGTHS);
    w->client_rng = make_rng(seed, RNG_CLIENTS);
    w->priority_rng = make_rng(seed, RNG_PRIORITIES);
    if (settings->clients > 1) w->clients = make_clients(settings->clients);
    if (!w->prompt_rng || !w->output_rng || !w->client_rng || !w->priority_rng ||
        (settings->clients > 1 && !w->clients)) {
        workload_destroy(w);
        return fail(err, ST_NO_MEMORY, "workload: out of memory");
    }
    *out = w;
    return ST_OK;
}

void workload_destroy(workload *w) {
    if (!w) return;
    if (w->clients) gsl_ran_discrete_free(w->clients);
    if (w->prompt_rng) gsl_rng_free(w->prompt_rng);
    if (w->output_rng) gsl_rng_free(w->output_rng);
    if (w->client_rng) gsl_rng_free(w->client_rng);
    if (w->priority_rng) gsl_rng_free(w->priority_rng);
    free(w);
}

void workload_next(workload *w, trace_record *out) {
    const workload_settings *s = &w->settings;
    *out = (trace_record){0};
    if (s->kind->prompt) {
        out->n_prompt = length_draw(&w->prompt, w->prompt_rng);
        out->n_output = length_draw(&w->output, w->output_rng);
    } else {
        out->n_prompt = (uint32_t)s->fixed_prompt;
        out->n_output = (uint32_t)s->fixed_output;
    }
    if (w->clients) out->client = (uint32_t)gsl_ran_discrete(w->client_rng, w->clients);
    if (s->priorities > 1)
        out->priority = (int32_t)gsl_rng_uniform_int(w->priority_rng, s->priorities);
}

uint32_t workload_output_max(const workload *w) {
    if (!w->settings.kind->output) return (uint32_t)w->settings.fixed_output;
    return length_sampler_max(&w->output);
}
