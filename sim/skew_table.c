#include "skew_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sample_grid.h"

enum { KERNEL_DECODE, KERNEL_MIXED, N_KERNELS };

struct skew_table {
    sample_grid *alpha[N_KERNELS]; /* over decodes and mean / longest; or NULL */
};

/* Sums of a least-squares fit of (skew - mean) = alpha (longest - mean), each batch weighted by
 * its time, for all batches of as many decodes and as much skew. */
typedef struct cell {
    double n_decode, lever, products, squares;
} cell;

/* mean / longest, in steps that join what differs by rounding to whole tokens. */
static double lever_of(const batch_shape *b) {
    double lever = (double)b->decode_kv_tokens / b->n_decode / (double)b->decode_kv_max;
    return (double)(long)(lever * 64 + 0.5) / 64;
}

static void add_batch(cell *cells, size_t *n_cells, const sample *mean, const sample *longest,
                      const sample *skewed) {
    double n_decode = skewed->batch.n_decode, lever = lever_of(&skewed->batch);
    double gap = longest->seconds - mean->seconds;
    if (gap <= 0) return; /* nothing can be told from it */
    size_t i = 0;
    while (i < *n_cells && (cells[i].n_decode != n_decode || cells[i].lever != lever)) i++;
    if (i == *n_cells) cells[(*n_cells)++] = (cell){.n_decode = n_decode, .lever = lever};
    double weight = 1 / (skewed->seconds * skewed->seconds);
    cells[i].products += weight * gap * (skewed->seconds - mean->seconds);
    cells[i].squares += weight * gap * gap;
}

static bool is_part(const sample *s, operation op, const char *part) {
    return s->op == op && strcmp(s->part, part) == 0;
}

/* Noise and the cells where the longest is near the mean leave [0, 1]. */
static double clipped(double alpha) {
    return alpha < 0 ? 0 : alpha > 1 ? 1 : alpha;
}

static status make_alpha(sample_grid **out, operation op, sample_list list) {
    const sample *samples = list.samples;
    size_t n = list.n;
    cell *cells = malloc((n + 1) * sizeof(*cells));
    grid_point *points = malloc((n + 1) * sizeof(*points));
    size_t n_cells = 0;
    for (size_t i = 2; cells && points && i < n; i++)
        if (is_part(&samples[i], op, "skew") && is_part(&samples[i - 1], op, "skew_longest") &&
            is_part(&samples[i - 2], op, "skew_mean"))
            add_batch(cells, &n_cells, &samples[i - 2], &samples[i - 1], &samples[i]);
    for (size_t i = 0; i < n_cells; i++)
        points[i] = (grid_point){{cells[i].n_decode, cells[i].lever},
                                 clipped(cells[i].products / cells[i].squares)};
    status st = cells && points ? ST_OK : ST_NO_MEMORY;
    if (n_cells) st = sample_grid_create(out, 2, points, n_cells);
    free(cells);
    free(points);
    return st;
}

static status make_kernel(sample_grid **out, operation op, sample_list list,
                          sample_list other) {
    TRY(make_alpha(out, op, list));
    return *out ? ST_OK : make_alpha(out, op, other);
}

status skew_table_create(skew_table **out, sample_list list, sample_list other) {
    skew_table *t = calloc(1, sizeof(*t));
    if (!t) return ST_NO_MEMORY;
    if (make_kernel(&t->alpha[KERNEL_DECODE], OP_DECODE_ATTENTION, list, other) != ST_OK ||
        make_kernel(&t->alpha[KERNEL_MIXED], OP_MIXED_ATTENTION, list, other) != ST_OK) {
        skew_table_destroy(t);
        return ST_NO_MEMORY;
    }
    *out = t;
    return ST_OK;
}

void skew_table_destroy(skew_table *t) {
    if (!t) return;
    for (int i = 0; i < N_KERNELS; i++) sample_grid_destroy(t->alpha[i]);
    free(t);
}

double skew_table_alpha(const skew_table *t, const batch_shape *b) {
    const sample_grid *alpha = t->alpha[b->n_prefill ? KERNEL_MIXED : KERNEL_DECODE];
    if (!alpha) return 0;
    double mean = (double)b->decode_kv_tokens / b->n_decode;
    const double x[] = {b->n_decode, mean / (double)b->decode_kv_max};
    return clipped(sample_grid_at(alpha, x));
}
