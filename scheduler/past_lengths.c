#include "past_lengths.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void past_lengths_add(past_lengths *p, uint32_t n_output) {
    if (p->n < PAST_LENGTHS_MAX) {
        p->at[p->n++] = n_output;
    } else {
        p->at[p->oldest] = n_output;
        p->oldest = (p->oldest + 1) % PAST_LENGTHS_MAX;
    }
}

static int shortest_first(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void past_lengths_sort(past_lengths *p) {
    memcpy(p->sorted, p->at, p->n * sizeof(*p->at));
    qsort(p->sorted, p->n, sizeof(*p->sorted), shortest_first);
}

/* Index of the first sorted length that is larger, n if there is none. */
static uint32_t first_beyond(const past_lengths *p, uint32_t n_output) {
    uint32_t low = 0, high = p->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (p->sorted[middle] <= n_output)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The points are n_output, sorted[first..n) and perhaps n_output_max: two at least. */
uint32_t past_lengths_beyond(const past_lengths *p, uint32_t n_output, uint32_t n_output_max,
                             double u) {
    uint32_t first = first_beyond(p, n_output), n_longer = p->n - first;
    bool has_limit = n_longer == 0 || p->sorted[p->n - 1] < n_output_max;
    double at = u * (n_longer + has_limit);
    uint32_t below = (uint32_t)at;
    double low = below == 0 ? n_output : p->sorted[first + below - 1];
    double high = below < n_longer ? p->sorted[first + below] : n_output_max;
    return (uint32_t)(low + (high - low) * (at - below) + 0.5);
}

uint32_t past_lengths_any(const past_lengths *p, double u) {
    return p->at[(uint32_t)(u * p->n)];
}
