#include "sample_grid.h"

#include <stdlib.h>
#include <string.h>

struct sample_grid {
    uint32_t n_axes;
    size_t n;
    grid_point *points; /* [n] sorted by coordinates, no two alike */
};

static int compare(const void *left, const void *right) {
    const grid_point *a = left, *b = right;
    for (uint32_t i = 0; i < GRID_AXES_MAX; i++)
        if (a->x[i] != b->x[i]) return a->x[i] < b->x[i] ? -1 : 1;
    return 0;
}

/* Joins neighbours of equal coordinates to their mean. */
static size_t join_equal(grid_point *p, size_t n) {
    size_t n_kept = 0;
    for (size_t i = 0; i < n;) {
        size_t first = i;
        double sum = 0;
        for (; i < n && compare(&p[first], &p[i]) == 0; i++) sum += p[i].value;
        p[n_kept] = p[first];
        p[n_kept++].value = sum / (double)(i - first);
    }
    return n_kept;
}

status sample_grid_create(sample_grid **out, uint32_t n_axes, const grid_point *points,
                          size_t n) {
    if (n == 0 || n_axes == 0 || n_axes > GRID_AXES_MAX) return ST_INVALID;
    sample_grid *g = calloc(1, sizeof(*g));
    if (!g) return ST_NO_MEMORY;
    g->points = calloc(n, sizeof(*g->points));
    if (!g->points) {
        sample_grid_destroy(g);
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < n; i++) { /* unused axes stay 0: they neither sort nor differ */
        memcpy(g->points[i].x, points[i].x, n_axes * sizeof(*points[i].x));
        g->points[i].value = points[i].value;
    }
    qsort(g->points, n, sizeof(*g->points), compare);
    g->n_axes = n_axes;
    g->n = join_equal(g->points, n);
    *out = g;
    return ST_OK;
}

void sample_grid_destroy(sample_grid *g) {
    if (!g) return;
    free(g->points);
    free(g);
}

/* Points of one slice: all coordinates before the axis at hand are equal. */
typedef struct slice {
    const grid_point *first, *end;
} slice;

/* First point of the slice whose coordinate is at least x, or above it. */
static const grid_point *bound(slice s, uint32_t axis, double x, int above) {
    while (s.first < s.end) {
        const grid_point *middle = s.first + (s.end - s.first) / 2;
        if (middle->x[axis] < x || (above && middle->x[axis] == x))
            s.first = middle + 1;
        else
            s.end = middle;
    }
    return s.first;
}

/* The part of the slice that has the coordinate of p. */
static slice layer_of(slice s, uint32_t axis, const grid_point *p) {
    return (slice){bound(s, axis, p->x[axis], 0), bound(s, axis, p->x[axis], 1)};
}

static double value_at(const sample_grid *g, slice s, uint32_t axis, const double *x);

static double layer_value(const sample_grid *g, slice s, uint32_t axis, const grid_point *p,
                          const double *x) {
    if (axis + 1 == g->n_axes) return p->value;
    return value_at(g, layer_of(s, axis, p), axis + 1, x);
}

/* x[axis] is within the slice. */
static double value_inside(const sample_grid *g, slice s, uint32_t axis, double at,
                           const double *x) {
    const grid_point *high = bound(s, axis, at, 0);
    double high_value = layer_value(g, s, axis, high, x);
    if (high->x[axis] == at) return high_value;
    const grid_point *low = high - 1;
    double low_value = layer_value(g, s, axis, low, x);
    double share = (at - low->x[axis]) / (high->x[axis] - low->x[axis]);
    return low_value + share * (high_value - low_value);
}

static double value_at(const sample_grid *g, slice s, uint32_t axis, const double *x) {
    double low = s.first->x[axis], high = s.end[-1].x[axis], at = x[axis];
    if (at >= low && at <= high) return value_inside(g, s, axis, at, x);
    const grid_point *end = at < low ? s.first : s.end - 1;
    double end_value = layer_value(g, s, axis, end, x);
    if (low == high) return end_value;
    /* Whole lengths of the slice beyond its end, then the mirror image of what is left. */
    double other_value = layer_value(g, s, axis, at < low ? s.end - 1 : s.first, x);
    double beyond = at < low ? low - at : at - high, length = high - low, n_lengths = 0;
    while (beyond > length) {
        beyond -= length;
        n_lengths++;
    }
    double mirrored = value_inside(g, s, axis, at < low ? low + beyond : high - beyond, x);
    double value = end_value + n_lengths * (end_value - other_value) + end_value - mirrored;
    return value > 0 ? value : 0;
}

double sample_grid_at(const sample_grid *g, const double *x) {
    return value_at(g, (slice){g->points, g->points + g->n}, 0, x);
}
