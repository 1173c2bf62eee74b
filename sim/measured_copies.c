#include "measured_copies.h"

#include <math.h>
#include <stdlib.h>

#include "sample_grid.h"

typedef struct one_direction {
    sample_grid *alone;  /* seconds over bytes in one piece, nothing else going on; or NULL */
    double piece_s;      /* of each further piece; NAN: not known */
    double beside_share; /* time beside compute over time alone */
} one_direction;

struct measured_copies {
    const latency_source *analytic;
    one_direction directions[N_LINK_DIRECTIONS];
    double slowdown; /* by the other direction */
};

/* ------------------------------------------------------------ reading */

static double analytic_s(const measured_copies *m, link_direction d, double n_bytes,
                         uint32_t n_segments) {
    return m->analytic->copy_s(m->analytic->context, d, n_bytes, n_segments, false);
}

static double pieces_s(const measured_copies *m, link_direction d, double n_bytes,
                       uint32_t n_segments) {
    if (n_segments <= 1) return 0;
    if (!isnan(m->directions[d].piece_s)) return m->directions[d].piece_s * (n_segments - 1);
    return analytic_s(m, d, n_bytes, n_segments) - analytic_s(m, d, n_bytes, 1);
}

static double alone_s(const measured_copies *m, link_direction d, double n_bytes,
                      uint32_t n_segments) {
    const sample_grid *grid = m->directions[d].alone;
    if (!grid) return analytic_s(m, d, n_bytes, n_segments);
    return sample_grid_at(grid, &n_bytes) + pieces_s(m, d, n_bytes, n_segments);
}

double measured_copies_s(const measured_copies *m, link_direction direction, double n_bytes,
                         uint32_t n_segments, bool beside_compute) {
    double s = alone_s(m, direction, n_bytes, n_segments);
    return beside_compute ? s * m->directions[direction].beside_share : s;
}

double measured_copies_slowdown(const measured_copies *m) {
    return m->slowdown;
}

/* ------------------------------------------------------------ making */

/* Figures of which the median is wanted. */
typedef struct figures {
    double *values; /* [n] */
    size_t n;
} figures;

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(figures *f, double otherwise) {
    if (f->n == 0) return otherwise;
    qsort(f->values, f->n, sizeof(*f->values), compare_doubles);
    return (f->values[(f->n - 1) / 2] + f->values[f->n / 2]) / 2;
}

static operation operation_of(link_direction d) {
    return d == LINK_TO_HOST ? OP_SWAP_OUT : OP_SWAP_IN;
}

static bool is_of(const sample *s, link_direction d, bool other_busy, bool beside_compute) {
    return s->op == operation_of(d) && s->bytes > 0 && s->other_direction_busy == other_busy &&
           s->compute_busy == beside_compute;
}

static status make_grid(one_direction *out, link_direction d, sample_list list) {
    grid_point *points = malloc((list.n + 1) * sizeof(*points));
    if (!points) return ST_NO_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < list.n; i++) {
        const sample *s = &list.samples[i];
        if (is_of(s, d, false, false) && s->n_segments <= 1)
            points[n++] = (grid_point){{s->bytes}, s->seconds};
    }
    status st = n ? sample_grid_create(&out->alone, 1, points, n) : ST_OK;
    free(points);
    return st;
}

static void find_piece(measured_copies *m, link_direction d, sample_list list, figures *f) {
    one_direction *out = &m->directions[d];
    f->n = 0;
    for (size_t i = 0; i < list.n && out->alone; i++) {
        const sample *s = &list.samples[i];
        if (is_of(s, d, false, false) && s->n_segments > 1)
            f->values[f->n++] =
                (s->seconds - sample_grid_at(out->alone, &s->bytes)) / (s->n_segments - 1);
    }
    out->piece_s = f->n > 0 ? fmax(median(f, 0), 0) : NAN;
}

/* Adds how much longer than alone the copies of a direction took under a load. */
static void add_shares(const measured_copies *m, link_direction d, bool other_busy,
                       bool beside_compute, sample_list list, figures *f) {
    for (size_t i = 0; i < list.n && m->directions[d].alone; i++) {
        const sample *s = &list.samples[i];
        if (is_of(s, d, other_busy, beside_compute))
            f->values[f->n++] = s->seconds / alone_s(m, d, s->bytes, s->n_segments);
    }
}

static status fill(measured_copies *m, sample_list list) {
    figures f = {malloc((list.n + 1) * sizeof(double)), 0};
    if (!f.values) return ST_NO_MEMORY;
    status st = ST_OK;
    for (int d = 0; d < N_LINK_DIRECTIONS && st == ST_OK; d++) {
        st = make_grid(&m->directions[d], (link_direction)d, list);
        find_piece(m, (link_direction)d, list, &f);
        f.n = 0;
        add_shares(m, (link_direction)d, false, true, list, &f);
        m->directions[d].beside_share = median(&f, 1);
    }
    f.n = 0;
    for (int d = 0; d < N_LINK_DIRECTIONS && st == ST_OK; d++)
        add_shares(m, (link_direction)d, true, false, list, &f);
    m->slowdown = fmax(median(&f, m->analytic->copy_slowdown(m->analytic->context)), 1);
    free(f.values);
    return st;
}

status measured_copies_create(measured_copies **out, const latency_source *analytic,
                              sample_list samples) {
    measured_copies *m = calloc(1, sizeof(*m));
    if (!m) return ST_NO_MEMORY;
    m->analytic = analytic;
    status st = fill(m, samples);
    if (st == ST_OK)
        *out = m;
    else
        measured_copies_destroy(m);
    return st;
}

void measured_copies_destroy(measured_copies *m) {
    if (!m) return;
    for (int d = 0; d < N_LINK_DIRECTIONS; d++) sample_grid_destroy(m->directions[d].alone);
    free(m);
}
