#include "nearest.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 63 };

static size_t edits(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX) return SIZE_MAX;
    size_t row[WORD_MAX + 1];
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

const char *nearest_name(const char *word, const char *const *names, size_t n) {
    const char *best = NULL;
    size_t best_edits = strlen(word) / 2 + 1;
    for (size_t i = 0; i < n; i++) {
        size_t d = edits(word, names[i]);
        if (d < best_edits) {
            best = names[i];
            best_edits = d;
        }
    }
    return best;
}

const char *nearest_hint(char buf[NEAREST_HINT_SIZE], const char *word,
                         const char *const *names, size_t n) {
    const char *near = nearest_name(word, names, n);
    buf[0] = '\0';
    if (near) snprintf(buf, NEAREST_HINT_SIZE, "did you mean '%s'? ", near);
    return buf;
}
