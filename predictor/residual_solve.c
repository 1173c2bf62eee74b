#include "residual_solve.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SWEEPS_MAX = 30,
    TUNED_NODES_MAX = 8192, /* larger tables keep the weights they start with */
    HUBER_ROUNDS = 2,
};
static const double tolerance = 1e-4; /* of a sweep, in log(measured / trend) */
static const double huber_width = 3;  /* standard deviations that count in full */
static const double gain = 0.005;     /* by which a weight must better the error to be taken */
static const double jump_choices[] = {0, 0.3, 1, 3, 10};
static const double stiffness_choices[] = {1e-3, 1e-2, 0.1, 1, 10};
static const double pull_choices[] = {1e-4, 1e-3, 1e-2, 1e-1};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

typedef struct solver {
    residual_table *t;
    const fit_rows *rows;
    const double *ratio;          /* [rows->n] log(measured / trend) */
    size_t *node;                 /* [rows->n] of each row */
    double *row_weight;           /* [rows->n] Huber's */
    double *sorted;               /* [rows->n] scratch */
    double *weight;               /* [n_nodes] measurements at each node */
    double *target;               /* [n_nodes] their sum */
    double *ties[TABLE_AXES_MAX]; /* [n of the axis] how strongly node i is tied to i + 1 */
    double *diagonal;             /* [longest axis] scratch of one line */
    double *right;                /* [longest axis] */
} solver;

static void solver_finish(solver *s) {
    for (size_t d = 0; d < TABLE_AXES_MAX; d++) free(s->ties[d]);
    free(s->node);
    free(s->row_weight);
    free(s->sorted);
    free(s->weight);
    free(s->target);
    free(s->diagonal);
    free(s->right);
}

static size_t nearest_node(const table_axis *a, double v) {
    size_t low = 0, high = a->n - 1;
    while (low < high) { /* the first value that is not below v */
        size_t middle = low + (high - low) / 2;
        if (a->values[middle] < v)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && v - a->values[low - 1] < a->values[low] - v ? low - 1 : low;
}

static status solver_init(solver *s, residual_table *t, const fit_rows *rows,
                          const double *ratio) {
    size_t longest = 0;
    for (size_t d = 0; d < t->n_axes; d++)
        if (t->axes[d].n > longest) longest = t->axes[d].n;
    *s = (solver){.t = t, .rows = rows, .ratio = ratio};
    s->node = calloc(rows->n, sizeof(*s->node));
    s->row_weight = calloc(rows->n, sizeof(double));
    s->sorted = calloc(rows->n, sizeof(double));
    s->weight = calloc(t->n_nodes, sizeof(double));
    s->target = calloc(t->n_nodes, sizeof(double));
    s->diagonal = calloc(longest, sizeof(double));
    s->right = calloc(longest, sizeof(double));
    if (!s->node || !s->row_weight || !s->sorted || !s->weight || !s->target || !s->diagonal ||
        !s->right)
        return ST_NO_MEMORY;
    for (size_t d = 0; d < t->n_axes; d++) {
        s->ties[d] = calloc(t->axes[d].n, sizeof(double));
        if (!s->ties[d]) return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < rows->n; i++) {
        s->row_weight[i] = 1;
        for (size_t d = 0; d < t->n_axes; d++) {
            const table_axis *a = &t->axes[d];
            s->node[i] = s->node[i] * a->n + nearest_node(a, rows->v[i * N_VARIABLES + a->v]);
        }
    }
    return ST_OK;
}

/* Sums the rows at their nodes, those of the fold `without` (n_folds: none) left out. */
static void gather(solver *s, unsigned without) {
    memset(s->weight, 0, s->t->n_nodes * sizeof(double));
    memset(s->target, 0, s->t->n_nodes * sizeof(double));
    for (size_t i = 0; i < s->rows->n; i++) {
        if (s->rows->fold[i] == without) continue;
        s->weight[s->node[i]] += s->row_weight[i];
        s->target[s->node[i]] += s->row_weight[i] * s->ratio[i];
    }
}

/* Positions and ties for the weights as they are now. */
static status place(solver *s, errbuf *err) {
    TRY(residual_table_place(s->t, err));
    for (size_t d = 0; d < s->t->n_axes; d++) {
        const double *at = s->t->axes[d].positions;
        for (size_t i = 0; i + 1 < s->t->axes[d].n; i++)
            s->ties[d][i] = s->t->stiffness / fmax(at[i + 1] - at[i], 1e-6);
    }
    return ST_OK;
}

/* Solves one line of nodes along axis d exactly, its neighbours on other axes as they are.
 *   first: its first node   strides [n_axes]   at [n_axes]: indices of the first node
 * Returns the largest change. */
static double solve_line(solver *s, size_t d, size_t first, const size_t *strides,
                         const size_t *at) {
    residual_table *t = s->t;
    const table_axis *line = &t->axes[d];
    double *f = t->nodes;
    for (size_t i = 0; i < line->n; i++) {
        size_t node = first + i * strides[d];
        double diagonal = s->weight[node] + t->pull, right = s->target[node];
        for (size_t e = 0; e < t->n_axes; e++) {
            if (e == d) continue;
            if (at[e] > 0) {
                double tie = s->ties[e][at[e] - 1];
                diagonal += tie;
                right += tie * f[node - strides[e]];
            }
            if (at[e] + 1 < t->axes[e].n) {
                double tie = s->ties[e][at[e]];
                diagonal += tie;
                right += tie * f[node + strides[e]];
            }
        }
        double down = i > 0 ? s->ties[d][i - 1] : 0;
        double up = s->ties[d][i]; /* 0 for the last */
        diagonal += down + up;
        if (i > 0) { /* eliminate the node before, Thomas' algorithm */
            diagonal -= down * down / s->diagonal[i - 1];
            right += down * s->right[i - 1] / s->diagonal[i - 1];
        }
        s->diagonal[i] = diagonal;
        s->right[i] = right;
    }
    double change = 0, next = 0;
    for (size_t i = line->n; i-- > 0;) {
        size_t node = first + i * strides[d];
        next = (s->right[i] + s->ties[d][i] * next) / s->diagonal[i];
        double moved = fabs(next - f[node]);
        if (moved > change) change = moved;
        f[node] = next;
    }
    return change;
}

/* Solves all lines along axis d. */
static double sweep(solver *s, size_t d, const size_t *strides) {
    const residual_table *t = s->t;
    double change = 0;
    size_t at[TABLE_AXES_MAX] = {0}, n_lines = t->n_nodes / t->axes[d].n;
    for (size_t line = 0; line < n_lines; line++) {
        size_t first = 0;
        for (size_t e = 0; e < t->n_axes; e++) first += at[e] * strides[e];
        change = fmax(change, solve_line(s, d, first, strides, at));
        for (size_t e = t->n_axes; e-- > 0;) { /* the next line: an odometer without wheel d */
            if (e == d) continue;
            if (++at[e] < t->axes[e].n) break;
            at[e] = 0;
        }
    }
    return change;
}

static void solve(solver *s) {
    const residual_table *t = s->t;
    size_t strides[TABLE_AXES_MAX], stride = 1;
    for (size_t d = t->n_axes; d-- > 0;) {
        strides[d] = stride;
        stride *= t->axes[d].n;
    }
    size_t n_sweeps = t->n_axes == 1 ? 1 : SWEEPS_MAX;
    for (size_t i = 0; i < n_sweeps; i++) {
        double change = 0;
        for (size_t d = 0; d < t->n_axes; d++) change = fmax(change, sweep(s, d, strides));
        if (change < tolerance) break;
    }
}

/* Mean absolute relative error of the nodes whose rows were left out. */
static status cross_validate(solver *s, double *out, errbuf *err) {
    TRY(place(s, err));
    double sum = 0;
    for (unsigned f = 0; f < s->rows->n_folds; f++) {
        gather(s, f);
        solve(s);
        for (size_t i = 0; i < s->rows->n; i++)
            if (s->rows->fold[i] == f)
                sum += fabs(expm1(s->t->nodes[s->node[i]] - s->ratio[i]));
    }
    *out = sum / (double)s->rows->n;
    return ST_OK;
}

/* Tries values for one weight and leaves the best in it. */
static status choose(solver *s, double *weight, const double *choices, size_t n, double *best,
                     errbuf *err) {
    double taken = *weight;
    for (size_t i = 0; i < n; i++) {
        if (choices[i] == taken) continue;
        double error;
        *weight = choices[i];
        TRY(cross_validate(s, &error, err));
        if (error < *best * (1 - gain)) {
            *best = error;
            taken = choices[i];
        }
    }
    *weight = taken;
    return ST_OK;
}

/* Sets stiffness, pull and, on a table of one axis of tokens, the jumps at tile edges. */
static status tune(solver *s, errbuf *err) {
    residual_table *t = s->t;
    double best;
    TRY(cross_validate(s, &best, err));
    bool has_tiles = t->n_axes == 1 && t->axes[0].offset == 0;
    TRY(choose(s, &t->stiffness, stiffness_choices, COUNT(stiffness_choices), &best, err));
    for (size_t i = TABLE_TILES; has_tiles && i-- > 0;)
        TRY(choose(s, &t->axes[0].jumps[i], jump_choices, COUNT(jump_choices), &best, err));
    TRY(choose(s, &t->stiffness, stiffness_choices, COUNT(stiffness_choices), &best, err));
    return choose(s, &t->pull, pull_choices, COUNT(pull_choices), &best, err);
}

static void reweight(solver *s) {
    size_t n = s->rows->n;
    for (size_t i = 0; i < n; i++) s->sorted[i] = fabs(s->t->nodes[s->node[i]] - s->ratio[i]);
    for (size_t i = 0; i < n; i++) s->row_weight[i] = s->sorted[i];
    gsl_sort(s->sorted, 1, n);
    double width =
        huber_width * 1.4826 * gsl_stats_median_from_sorted_data(s->sorted, 1, n) + 1e-6;
    for (size_t i = 0; i < n; i++)
        s->row_weight[i] = s->row_weight[i] > width ? width / s->row_weight[i] : 1;
}

status residual_solve(residual_table *t, const fit_rows *rows, const double *log_ratio,
                      errbuf *err) {
    solver s;
    status st = solver_init(&s, t, rows, log_ratio);
    if (st == ST_OK && t->n_nodes <= TUNED_NODES_MAX) st = tune(&s, err);
    if (st == ST_OK) st = place(&s, err);
    for (int round = 0; st == ST_OK && round < HUBER_ROUNDS; round++) {
        if (round > 0) reweight(&s);
        gather(&s, rows->n_folds);
        solve(&s);
    }
    solver_finish(&s);
    return st;
}
