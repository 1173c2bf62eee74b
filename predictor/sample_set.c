#include "sample_set.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Repeats of one kernel differ by a few per cent, and by a factor of two where clocks throttle;
 * ten times is another unit, another device, or another kernel. */
static const double contradiction_ratio = 10;
/* Times that differ by less than repeats do are of one kernel, as of a copy that has to wait
 * for a processor in one repeat of five. */
static const double deviations = 3;

static const char *const names[N_OPERATIONS] = {
#define X(code, name, text) [code] = name,
    OPERATIONS(X)
#undef X
};

const char *operation_name(operation op) {
    return names[op];
}

operation operation_find(const char *name) {
    int op = 0;
    while (op < N_OPERATIONS && strcmp(names[op], name) != 0) op++;
    return (operation)op;
}

void sample_describe(char *text, size_t size, const sample *s) {
    FILE *out = fmemopen(text, size, "w");
    text[0] = '\0';
    if (!out) return; /* without memory the message stays short */
    fprintf(out, "%s%s%s (tp %u", names[s->op], s->part[0] ? " " : "", s->part,
            (unsigned)s->tp);
#define X(column, member, type)                                                                \
    if (s->member) fprintf(out, ", " #column " %llu", (unsigned long long)s->member);
    SAMPLE_FEATURES(X)
#undef X
    if (s->bytes > 0) fprintf(out, ", bytes %.0f", s->bytes);
    fprintf(out, ")");
    fclose(out);
    text[size - 1] = '\0';
}

status sample_check(const sample *s, errbuf *err) {
    char text[256];
    const char *wrong = NULL;
    double value = s->seconds;
    if (!isfinite(s->seconds) || s->seconds <= 0)
        wrong = "its time must be above 0 s";
    else if (!isfinite(s->deviation_s) || s->deviation_s < 0) {
        wrong = "its deviation must be 0 s or more";
        value = s->deviation_s;
    } else if (s->n_repeats == 0 || s->tp == 0) {
        wrong = "repeats and tp must be 1 or more";
        value = 0;
    } else if (!isfinite(s->bytes) || s->bytes < 0) {
        wrong = "its bytes must be 0 or more";
        value = s->bytes;
    } else if (s->batch.prefill_pairs > INT64_MAX || s->batch.prefill_kv_tokens > INT64_MAX ||
               s->batch.decode_kv_tokens > INT64_MAX || s->batch.decode_kv_max > INT64_MAX) {
        wrong = "its sums must be below 2^63";
        value = 0x1p63;
    }
    if (!wrong) return ST_OK;
    sample_describe(text, sizeof(text), s);
    return fail(err, ST_INVALID, "%s: %g: %s; measure it again", text, value, wrong);
}

int sample_compare_features(const sample *a, const sample *b) {
    if (a->op != b->op) return a->op < b->op ? -1 : 1;
    int parts = strcmp(a->part, b->part);
    if (parts) return parts;
    if (a->tp != b->tp) return a->tp < b->tp ? -1 : 1;
#define X(column, member, type)                                                                \
    if (a->member != b->member) return a->member < b->member ? -1 : 1;
    SAMPLE_FEATURES(X)
#undef X
    return (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

/* By features, then by time: the extremes of equal features are the ends of their run. */
static int compare(const void *left, const void *right) {
    const sample *a = *(const sample *const *)left, *b = *(const sample *const *)right;
    int order = sample_compare_features(a, b);
    return order ? order : (a->seconds > b->seconds) - (a->seconds < b->seconds);
}

static bool contradict(const sample *fast, const sample *slow) {
    return slow->seconds >= contradiction_ratio * fast->seconds &&
           slow->seconds - fast->seconds >
               deviations * fmax(fast->deviation_s, slow->deviation_s);
}

static status fail_contradiction(const sample *fast, const sample *slow, errbuf *err) {
    char text[256];
    sample_describe(text, sizeof(text), fast);
    return fail(err, ST_FORMAT,
                "%s: samples contradict, %g s and %g s for the same work: they are of another "
                "device, unit or kernel; measure this operation again and leave the wrong ones "
                "out",
                text, fast->seconds, slow->seconds);
}

status samples_check_consistent(const sample *samples, size_t n, errbuf *err) {
    if (n < 2) return ST_OK;
    const sample **sorted = malloc(n * sizeof(*sorted));
    if (!sorted) return fail(err, ST_NO_MEMORY, "out of memory for %zu samples", n);
    for (size_t i = 0; i < n; i++) sorted[i] = &samples[i];
    qsort(sorted, n, sizeof(*sorted), compare);
    status st = ST_OK;
    for (size_t i = 1, first = 0; i < n && st == ST_OK; i++) {
        if (sample_compare_features(sorted[first], sorted[i]) != 0)
            first = i;
        else if (contradict(sorted[first], sorted[i]))
            st = fail_contradiction(sorted[first], sorted[i], err);
    }
    free(sorted);
    return st;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t samples_hash(const sample *samples, size_t n) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++) {
        const sample *s = &samples[i];
        const uint64_t whole[] = {
#define X(column, member, type) s->member,
            SAMPLE_FEATURES(X)
#undef X
                (uint64_t) s->tp,
            s->n_repeats};
        const double real[] = {s->bytes, s->seconds, s->deviation_s};
        hash = mix(hash, names[s->op], strlen(names[s->op]) + 1);
        hash = mix(hash, s->part, strlen(s->part) + 1);
        hash = mix(hash, whole, sizeof(whole));
        hash = mix(hash, real, sizeof(real));
    }
    return hash;
}
