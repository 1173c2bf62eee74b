/* nearest.h - which known name a mistyped one was meant to be. */
#ifndef NEAREST_H
#define NEAREST_H

#include <stddef.h>

/* The name among names[0..n) with the fewest edits (Levenshtein) from word; NULL when n is 0 or
 * even the nearest differs in more than half of the word, so that nothing absurd is suggested.
 * Ties go to the earlier name. */
const char *nearest_name(const char *word, const char *const *names, size_t n);

enum { NEAREST_HINT_SIZE = 96 };

/* Writes "did you mean 'name'? " into buf, or nothing when no name is near; returns buf. */
const char *nearest_hint(char buf[NEAREST_HINT_SIZE], const char *word,
                         const char *const *names, size_t n);

#endif
