#include "length_estimate.h"

#include <assert.h>
#include <stdlib.h>

enum {
    N_CLASSES = 7,      /* by prompt length; the pooled class stands behind them */
    PRIOR_WEIGHT = 5,   /* pseudo-sequences of the prior in the pooled class */
    POOLED_WEIGHT = 20, /* pseudo-sequences of the pooled class in the others */
    REFRESH_MIN = 8,    /* finished sequences between two refreshes, or ... */
    REFRESH_SHARE = 20, /* ... one for so many that finished before */
};

/* Shape of a distribution of lengths; see the head of the header. */
typedef struct length_curve {
    double hazard[LENGTH_N_BUCKETS];        /* of those that come into the bucket, ends in it */
    double survival[LENGTH_N_BUCKETS];      /* of all, comes into the bucket */
    double remaining[LENGTH_N_BUCKETS + 1]; /* tokens to come at its start, limit included */
} length_curve;

typedef struct length_class {
    uint64_t reached[LENGTH_N_BUCKETS], ended[LENGTH_N_BUCKETS];
    length_curve curve;
} length_class;

struct length_estimate {
    uint32_t n_output_limit;
    uint32_t n_buckets;                    /* in use: those below the limit */
    uint32_t starts[LENGTH_N_BUCKETS + 1]; /* [n_buckets + 1], the last is the limit */
    uint64_t n_finished, refresh_at, version;
    length_curve prior;
    length_class classes[N_CLASSES + 1]; /* [N_CLASSES] is the pooled one */
};

/* The rest of a bucket, given that the output is longer than what came before: n_tokens
 * lengths, equally probable, with the probability `hazard` in all. */
typedef struct piece {
    double n_tokens, hazard;
} piece;

static uint32_t floor_log2(uint32_t n) {
    return 31 - (uint32_t)__builtin_clz(n);
}

/* From 4 on, three buckets for each power of two. */
uint32_t length_bucket(uint32_t n_output) {
    if (n_output < 4) return n_output;
    uint32_t b = 4 + 3 * (floor_log2(n_output) - 2);
    if (n_output >= length_bucket_start(b + 1)) b++;
    if (b % 3 == 2 && n_output >= length_bucket_start(b + 1)) b++;
    return b;
}

uint32_t length_bucket_start(uint32_t bucket) {
    static const uint64_t steps[] = {1048576, 1321123, 1664511}; /* 2^20 * 2^(i / 3) */
    assert(bucket < LENGTH_N_BUCKETS);
    if (bucket < 4) return bucket;
    uint32_t power = (bucket - 4) / 3 + 2;
    return (uint32_t)(((steps[(bucket - 4) % 3] << power) + (UINT64_C(1) << 19)) >> 20);
}

static uint32_t class_of(uint32_t n_prompt) {
    if (n_prompt < 16) return 0;
    uint32_t c = (floor_log2(n_prompt) - 4) / 2 + 1;
    return c < N_CLASSES ? c : N_CLASSES - 1;
}

static double n_tokens_of(const length_estimate *e, uint32_t bucket) {
    return (double)(e->starts[bucket + 1] - e->starts[bucket]);
}

static double tokens_in(piece p) {
    return p.n_tokens - p.hazard * (p.n_tokens - 1) / 2;
}

/* Survival and remaining tokens from the hazards. Those to come are summed from the end on:
 * a difference of sums from the start would lose a thin tail to rounding. */
static void curve_finish(length_curve *curve, const length_estimate *e) {
    curve->survival[0] = 1;
    for (uint32_t b = 1; b < e->n_buckets; b++)
        curve->survival[b] = curve->survival[b - 1] * (1 - curve->hazard[b - 1]);
    curve->remaining[e->n_buckets] = 0;
    for (uint32_t b = e->n_buckets; b-- > 0;) {
        double hazard = curve->hazard[b];
        curve->remaining[b] = tokens_in((piece){n_tokens_of(e, b), hazard}) +
                              (1 - hazard) * curve->remaining[b + 1];
    }
}

/* Sequences that went through the bucket, by their share of it. In the last one those that are
 * left were cut at the limit: they went through all of it. */
static double exposure(const length_class *c, uint32_t bucket, uint32_t n_buckets) {
    double reached = (double)c->reached[bucket];
    if (bucket + 1 == n_buckets) return reached;
    return (reached + (double)(c->ended[bucket] + c->reached[bucket + 1])) / 2;
}

static void refresh_class(length_class *c, const length_estimate *e, const length_curve *parent,
                          double weight) {
    for (uint32_t b = 0; b < e->n_buckets; b++) {
        double borrowed = weight * parent->survival[b] + 1;
        c->curve.hazard[b] = ((double)c->ended[b] + borrowed * parent->hazard[b]) /
                             (exposure(c, b, e->n_buckets) + borrowed);
    }
    curve_finish(&c->curve, e);
}

static void refresh(length_estimate *e) {
    length_class *pooled = &e->classes[N_CLASSES];
    refresh_class(pooled, e, &e->prior, PRIOR_WEIGHT);
    for (uint32_t i = 0; i < N_CLASSES; i++)
        refresh_class(&e->classes[i], e, &pooled->curve, POOLED_WEIGHT);
    uint64_t share = e->n_finished / REFRESH_SHARE;
    e->refresh_at = e->n_finished + (share > REFRESH_MIN ? share : REFRESH_MIN);
    e->version++;
}

status length_estimate_create(length_estimate **out, uint32_t n_output_limit) {
    if (n_output_limit == 0) return ST_INVALID;
    length_estimate *e = calloc(1, sizeof(*e));
    if (!e) return ST_NO_MEMORY;
    e->n_output_limit = n_output_limit;
    e->n_buckets = length_bucket(n_output_limit - 1) + 1;
    for (uint32_t b = 0; b < e->n_buckets; b++) {
        e->starts[b] = length_bucket_start(b);
        e->prior.hazard[b] = 1.0 / (e->n_buckets - b);
    }
    e->starts[e->n_buckets] = n_output_limit;
    curve_finish(&e->prior, e);
    refresh(e);
    *out = e;
    return ST_OK;
}

void length_estimate_destroy(length_estimate *e) {
    free(e);
}

static void count_reached(length_class *c, uint32_t bucket) {
    c->reached[bucket]++;
    assert(bucket == 0 || c->reached[bucket] + c->ended[bucket - 1] <= c->reached[bucket - 1]);
}

static void count_ended(length_class *c, uint32_t bucket) {
    c->ended[bucket]++;
    uint64_t later = bucket + 1 < LENGTH_N_BUCKETS ? c->reached[bucket + 1] : 0;
    assert(c->ended[bucket] + later <= c->reached[bucket]);
}

void length_estimate_reached(length_estimate *e, uint32_t n_prompt, uint32_t bucket) {
    assert(bucket < e->n_buckets);
    count_reached(&e->classes[class_of(n_prompt)], bucket);
    count_reached(&e->classes[N_CLASSES], bucket);
}

void length_estimate_finished(length_estimate *e, uint32_t n_prompt, uint32_t n_output) {
    assert(n_output > 0);
    assert(n_output <= e->n_output_limit);
    uint32_t bucket = length_bucket(n_output - 1);
    count_ended(&e->classes[class_of(n_prompt)], bucket);
    count_ended(&e->classes[N_CLASSES], bucket);
    if (++e->n_finished >= e->refresh_at) refresh(e);
}

uint64_t length_estimate_version(const length_estimate *e) {
    return e->version;
}

static const length_curve *curve_of(const length_estimate *e, uint32_t n_prompt) {
    return &e->classes[class_of(n_prompt)].curve;
}

/* Of those that come into the bucket of n_output, the share whose output is longer. */
static double share_left(const length_estimate *e, const length_curve *curve, uint32_t bucket,
                         uint32_t n_output) {
    double past = (double)(n_output - e->starts[bucket]);
    return 1 - curve->hazard[bucket] * past / n_tokens_of(e, bucket);
}

static double survival_at(const length_estimate *e, const length_curve *curve,
                          uint64_t n_output) {
    if (n_output >= e->n_output_limit) return 0;
    uint32_t bucket = length_bucket((uint32_t)n_output);
    return curve->survival[bucket] * share_left(e, curve, bucket, (uint32_t)n_output);
}

static piece piece_from(const length_estimate *e, const length_curve *curve, uint32_t bucket,
                        uint32_t n_output) {
    double n_tokens = (double)(e->starts[bucket + 1] - n_output);
    double hazard = curve->hazard[bucket] * n_tokens / n_tokens_of(e, bucket);
    return (piece){n_tokens, hazard / share_left(e, curve, bucket, n_output)};
}

/* Up to the limit. */
static double remaining_at(const length_estimate *e, const length_curve *curve,
                           uint32_t n_output) {
    uint32_t bucket = length_bucket(n_output);
    piece p = piece_from(e, curve, bucket, n_output);
    return tokens_in(p) + (1 - p.hazard) * curve->remaining[bucket + 1];
}

double length_estimate_remaining(const length_estimate *e, uint32_t n_prompt, uint32_t n_output,
                                 uint32_t n_output_max) {
    assert(n_output < e->n_output_limit);
    assert(n_output < n_output_max);
    const length_curve *curve = curve_of(e, n_prompt);
    double n_left = remaining_at(e, curve, n_output), n_max = (double)(n_output_max - n_output);
    if (n_output_max < e->n_output_limit) {
        double reaches = survival_at(e, curve, n_output_max) / survival_at(e, curve, n_output);
        n_left -= reaches * remaining_at(e, curve, n_output_max);
    }
    if (n_left < 1) return 1; /* by rounding only, as is the next */
    return n_left < n_max ? n_left : n_max;
}

double length_estimate_ends_within(const length_estimate *e, uint32_t n_prompt,
                                   uint32_t n_output, uint32_t n_more) {
    assert(n_output < e->n_output_limit);
    const length_curve *curve = curve_of(e, n_prompt);
    uint64_t until = (uint64_t)n_output + n_more;
    return 1 - survival_at(e, curve, until) / survival_at(e, curve, n_output);
}

/* Mean of 1 / (solo_start + L) over the lengths of a piece behind n_output: that of the two
 * points with the same mean and variance, exact for one and two lengths. */
static double mean_weight(piece p, double n_output, double solo_start) {
    double middle = solo_start + n_output + (p.n_tokens + 1) / 2;
    return middle / (middle * middle - (p.n_tokens * p.n_tokens - 1) / 12);
}

double length_estimate_index(const length_estimate *e, uint32_t n_prompt, uint32_t n_output,
                             double solo_start, double setup) {
    assert(n_output < e->n_output_limit);
    const length_curve *curve = curve_of(e, n_prompt);
    uint32_t bucket = length_bucket(n_output), from = n_output;
    double left = 1, won = 0, work = setup, best = 0; /* left: of those with n_output tokens */
    piece p = piece_from(e, curve, bucket, n_output);
    for (;;) {
        won += left * p.hazard * mean_weight(p, from, solo_start);
        work += left * tokens_in(p);
        left *= 1 - p.hazard;
        if (++bucket == e->n_buckets) break;
        if (won > best * work) best = won / work;
        from = e->starts[bucket];
        p = (piece){n_tokens_of(e, bucket), curve->hazard[bucket]};
    }
    won += left / (solo_start + e->n_output_limit); /* cut at the limit */
    return won > best * work ? won / work : best;
}
