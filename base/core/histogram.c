#include "histogram.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUB_BITS = 9, /* 512 buckets per power of two */
    EXP_MIN = -40,
    EXP_MAX = 40,
    N_BUCKETS = (EXP_MAX - EXP_MIN) << SUB_BITS,
};

struct histogram {
    uint64_t n;
    double sum, max;
    uint32_t lowest, highest; /* buckets in use: [lowest, highest], for short scans */
    uint64_t counts[N_BUCKETS];
};

status histogram_create(histogram **out) {
    histogram *h = calloc(1, sizeof(*h));
    if (!h) return ST_NO_MEMORY;
    h->lowest = N_BUCKETS - 1;
    *out = h;
    return ST_OK;
}

void histogram_destroy(histogram *h) {
    free(h);
}

/* The exponent and the top bits of the mantissa are the bucket's number already. */
static uint32_t bucket_of(double value) {
    if (!(value >= 0x1p-40)) return 0;
    if (value >= 0x1p40) return N_BUCKETS - 1;
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return (uint32_t)(bits >> (52 - SUB_BITS)) - ((uint32_t)(1023 + EXP_MIN) << SUB_BITS);
}

static double middle_of(uint32_t bucket) {
    uint64_t number = bucket + ((uint64_t)(1023 + EXP_MIN) << SUB_BITS);
    uint64_t bits = number << (52 - SUB_BITS) | UINT64_C(1) << (51 - SUB_BITS);
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

void histogram_add(histogram *h, double value, uint64_t weight) {
    assert(value == value);
    if (weight == 0) return;
    uint32_t b = bucket_of(value);
    h->counts[b] += weight;
    if (b < h->lowest) h->lowest = b;
    if (b > h->highest) h->highest = b;
    if (h->n == 0 || value > h->max) h->max = value;
    h->n += weight;
    h->sum += value * (double)weight;
}

uint64_t histogram_count(const histogram *h) {
    return h->n;
}

double histogram_sum(const histogram *h) {
    return h->sum;
}

double histogram_mean(const histogram *h) {
    return h->n ? h->sum / (double)h->n : 0;
}

double histogram_max(const histogram *h) {
    return h->n ? h->max : 0;
}

double histogram_quantile(const histogram *h, double q) {
    assert(q >= 0 && q <= 1);
    if (h->n == 0) return 0;
    double wanted = q * (double)h->n;
    uint64_t seen = 0;
    for (uint32_t b = h->lowest; b <= h->highest; b++) {
        seen += h->counts[b];
        if (h->counts[b] && (double)seen >= wanted) {
            double value = b == 0 ? 0 : middle_of(b);
            return value < h->max ? value : h->max;
        }
    }
    return h->max;
}
