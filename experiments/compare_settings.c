/* compare_settings.c - which settings the compared runs do not share. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

/* Shown in the table and warned about by themselves, or without a say in the result (horizon).
 */
static const char *const shown_elsewhere[] = {
    "trace",  "workload",        "seed",    "backend", "device", "model",
    "policy", "policy_settings", "horizon", NULL};

/* A simulation has times from somewhere, the measured run from its device. */
static const char *const of_simulations[] = {
    "latency", "profile", "auto_profile", "host_step_us", "step_times", "noise", "drift", NULL};

/* What a policy asks, if it asks at all; of the device only where its times are looked up. */
static const char *const of_predictors[] = {"profile", "auto_profile", "host_step_us", NULL};

static bool is_one_of(const char *key, const char *const *list) {
    while (*list && strcmp(*list, key) != 0) list++;
    return *list != NULL;
}

/* NULL for null, too: both say that nothing was set. */
static json_t *setting(json_t *settings, const char *key) {
    json_t *value = json_object_get(settings, key);
    return json_is_null(value) ? NULL : value;
}

static bool is_equal(json_t *a, json_t *b) {
    return a == b || (a && b && json_equal(a, b));
}

static void print_value(FILE *out, json_t *value) {
    if (!value)
        fputs("none", out);
    else if (json_is_string(value))
        fputs(json_string_value(value), out);
    else
        json_dumpf(value, out, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
}

/* Whether a run has another value than the first. Settings of a run that has none stored are
 * not known. Where backends differ, which is warned about, a setting that only one of them has
 * is no difference. */
static bool differs(json_t *const *settings, const stored_run *runs, size_t n,
                    const char *key) {
    json_t *first = setting(settings[0], key);
    for (size_t i = 1; i < n && settings[0]; i++) {
        json_t *other = setting(settings[i], key);
        if (!settings[i]) continue;
        bool is_one_sided =
            !json_object_get(settings[0], key) != !json_object_get(settings[i], key);
        bool same_backend =
            runs[0].backend && runs[i].backend && strcmp(runs[0].backend, runs[i].backend) == 0;
        if (!is_equal(first, other) && (same_backend || !is_one_sided)) return true;
    }
    return false;
}

/* Each value once, in the order of the runs. */
static void print_values(FILE *out, json_t *const *settings, size_t n, const char *key) {
    for (size_t i = 0; i < n; i++) {
        json_t *value = setting(settings[i], key);
        size_t before = 0;
        while (before < i && !is_equal(setting(settings[before], key), value)) before++;
        if (before < i) continue;
        fputs(i == 0 ? " (" : ", ", out);
        print_value(out, value);
    }
    fputc(')', out);
}

/* Settings of runs, [n], and of all of them together, both to be released. */
static json_t *read_settings(json_t **settings, const stored_run *runs, size_t n) {
    json_t *all = json_object();
    for (size_t i = 0; i < n; i++) {
        settings[i] = runs[i].settings ? json_loads(runs[i].settings, 0, NULL) : NULL;
        if (settings[i]) json_object_update_missing(all, settings[i]);
    }
    return all;
}

static bool any_looks_up(json_t *const *settings, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const char *latency = json_string_value(json_object_get(settings[i], "latency"));
        if (latency && strcmp(latency, "measured") == 0) return true;
    }
    return false;
}

void compare_warn_settings(FILE *out, const char *prefix, const stored_run *runs, size_t n,
                           const compare_view *view) {
    json_t **settings = calloc(n, sizeof(*settings)), *value;
    if (!settings) return; /* a warning less */
    json_t *all = read_settings(settings, runs, n);
    const char *key;
    bool any = false, looks_up = any_looks_up(settings, n);
    json_object_foreach(all, key, value) {
        if (is_one_of(key, shown_elsewhere) ||
            (view->errors && is_one_of(key, of_simulations)) ||
            (!looks_up && is_one_of(key, of_predictors)) || !differs(settings, runs, n, key))
            continue;
        fprintf(out, "%s%s", any ? ", " : prefix, any ? "" : "the runs differ in settings: ");
        fputs(key, out);
        print_values(out, settings, n, key);
        any = true;
    }
    if (any) fputc('\n', out);
    json_decref(all);
    for (size_t i = 0; i < n; i++) json_decref(settings[i]);
    free(settings);
}
