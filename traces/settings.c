#include "settings.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "nearest.h"
#include "number.h"

enum { WORD_BYTES = 64, KEYS_MAX = 32 };

/* Says that there is no such word, which one was meant or which there are. The message starts
 * with owner and a colon, unless owner is NULL. */
static status unknown_word(const char *owner, const char *kind, const char *word,
                           const char *const *known, size_t n, errbuf *err) {
    char hint[256];
    const char *near = nearest_name(word, known, n);
    size_t used = near ? 0 : (size_t)snprintf(hint, sizeof(hint), "there is:");
    if (near) snprintf(hint, sizeof(hint), "did you mean '%s'?", near);
    for (size_t i = 0; !near && i < n && used < sizeof(hint); i++)
        used += (size_t)snprintf(hint + used, sizeof(hint) - used, " %s", known[i]);
    return fail(err, ST_INVALID, "%s%sthere is no %s '%s'; %s", owner ? owner : "",
                owner ? ": " : "", kind, word, hint);
}

/* Copies text[0..n) as a word; false when it is empty or too long to be one. */
static bool copy_word(char word[WORD_BYTES], const char *text, size_t n) {
    if (n == 0 || n >= WORD_BYTES) return false;
    memcpy(word, text, n);
    word[n] = '\0';
    return true;
}

static bool find_word(size_t *position, const char *word, const char *const *known, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(word, known[i]) != 0) continue;
        *position = i;
        return true;
    }
    return false;
}

status settings_find_name(size_t *position, const char **rest, const char *kind,
                          const char *spec, const char *const *names, size_t n, errbuf *err) {
    size_t length = strcspn(spec, ",");
    char word[WORD_BYTES];
    if (!copy_word(word, spec, length))
        return fail(err, ST_INVALID, "'%.100s' does not start with the name of a %s", spec,
                    kind);
    if (!find_word(position, word, names, n))
        return unknown_word(NULL, kind, word, names, n, err);
    *rest = spec + length;
    return ST_OK;
}

static status set_choice(const setting *s, const char *owner, const char *value, errbuf *err) {
    size_t position;
    if (!find_word(&position, value, s->choices, s->n_choices))
        return unknown_word(owner, s->key, value, s->choices, s->n_choices, err);
    *(uint64_t *)s->value = position;
    return ST_OK;
}

static status set_value(const setting *s, const char *owner, const char *value, errbuf *err) {
    if (s->kind == SETTING_CHOICE) return set_choice(s, owner, value, err);
    uint64_t count = 0;
    int64_t billionths = 0;
    bool is_number = s->kind == SETTING_COUNT ? number_parse_u64(&count, value)
                                              : number_parse_seconds(&billionths, value);
    double real = s->kind == SETTING_COUNT ? (double)count : (double)billionths / 1e9;
    if (!is_number || real < s->min || real > s->max)
        return fail(err, ST_INVALID, "%s: %s=%s is not a %s from %g to %g", owner, s->key,
                    value, s->kind == SETTING_COUNT ? "whole number" : "number", s->min,
                    s->max);
    if (s->kind == SETTING_COUNT)
        *(uint64_t *)s->value = count;
    else
        *(double *)s->value = real;
    return ST_OK;
}

/* Reads one "key=value" of length n; given[] marks the keys met. */
static status parse_one(const char *owner, const char *text, size_t n, const setting *settings,
                        size_t n_settings, bool *given, errbuf *err) {
    const char *keys[KEYS_MAX];
    for (size_t i = 0; i < n_settings; i++) keys[i] = settings[i].key;
    const char *equals = memchr(text, '=', n);
    if (n == 0) return fail(err, ST_INVALID, "%s: nothing is behind a comma", owner);
    size_t n_key = equals ? (size_t)(equals - text) : 0;
    char key[WORD_BYTES], value[WORD_BYTES];
    if (!equals || !copy_word(key, text, n_key) || !copy_word(value, equals + 1, n - n_key - 1))
        return fail(err, ST_INVALID, "%s: '%.*s' is not key=value", owner,
                    n > 100 ? 100 : (int)n, text);
    size_t i;
    if (!find_word(&i, key, keys, n_settings))
        return unknown_word(owner, "key", key, keys, n_settings, err);
    if (given[i]) return fail(err, ST_INVALID, "%s: %s is given twice", owner, key);
    given[i] = true;
    return set_value(&settings[i], owner, value, err);
}

status settings_parse(const char *owner, const char *text, const setting *settings, bool *given,
                      size_t n, errbuf *err) {
    assert(n <= KEYS_MAX);
    while (*text == ',') {
        size_t length = strcspn(++text, ",");
        TRY(parse_one(owner, text, length, settings, n, given, err));
        text += length;
    }
    return ST_OK;
}
