/* settings.h - "NAME[,key=value...]": how workloads and arrival processes are written.
 *
 * The caller lists the keys it knows, each with the place of its value, which holds the default
 * until the key is given. Nothing is guessed: an unknown key or name is an error that suggests
 * the nearest one. */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef enum setting_kind {
    SETTING_COUNT,  /* a whole number; *(uint64_t *)value */
    SETTING_REAL,   /* a decimal number, to 9 places; *(double *)value */
    SETTING_CHOICE, /* one of choices[0..n_choices); its position to *(uint64_t *)value */
} setting_kind;

typedef struct setting {
    const char *key;
    setting_kind kind;
    void *value;
    double min, max; /* allowed, both included; not for choices */
    const char *const *choices;
    size_t n_choices;
} setting;

/* Finds the NAME of spec among names[0..n) and writes its position; *rest then points at what
 * is behind it ("" or ",key=value..."). ST_INVALID; kind ("workload") is for the message. */
MUST_USE status settings_find_name(size_t *position, const char **rest, const char *kind,
                                   const char *spec, const char *const *names, size_t n,
                                   errbuf *err);

/* Reads ",key=value..." into the places of settings[0..n) and sets given[i], false before, of
 * each that is there. ST_INVALID: an unknown key, a key given twice, nothing behind a comma, a
 * value that is none or out of range; values of keys before it are written.
 * owner ("workload 'fixed'") is for the message. */
MUST_USE status settings_parse(const char *owner, const char *text, const setting *settings,
                               bool *given, size_t n, errbuf *err);

#endif
