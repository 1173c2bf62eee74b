#include "residual_table.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "residual_solve.h"

const double table_tiles[TABLE_TILES] = {8, 16, 32, 64, 128, 256};

static double position(const table_axis *a, double v) {
    double at = a->walk * log(a->offset + v);
    for (size_t i = 0; i < TABLE_TILES; i++)
        if (a->jumps[i] > 0 && v > table_tiles[i])
            at += a->jumps[i] * log(ceil(v / table_tiles[i]));
    return at;
}

status residual_table_place(residual_table *t, errbuf *err) {
    for (size_t d = 0; d < t->n_axes; d++) {
        table_axis *a = &t->axes[d];
        for (size_t i = 0; i < a->n; i++) {
            a->positions[i] = position(a, a->values[i]);
            if (!isfinite(a->positions[i]) || (i > 0 && a->values[i] <= a->values[i - 1]))
                return fail(err, ST_INVALID, "the table of a fit is not in order at '%s' %g",
                            variable_name(a->v), a->values[i]);
        }
    }
    return ST_OK;
}

/* Which variables tell the measurements of an operation apart, beyond the trend. */
static size_t choose_axes(table_axis *axes, operation op) {
    /* Attention kernels work in tiles of 64 queries or so; along contexts nothing jumps. */
    static const table_axis sizes = {.walk = 1},
                            queries = {.walk = 0.03, .offset = 16, .jumps = {[3] = 1}};
    static const table_axis contexts = {.walk = 1, .offset = 64},
                            counts = {.walk = 1, .offset = 1};
    size_t n = 0;
#define AXIS(kind, variable)                                                                   \
    do {                                                                                       \
        axes[n] = kind;                                                                        \
        axes[n++].v = variable;                                                                \
    } while (0)
    switch (op) {
    case OP_ITERATION:
    case OP_GEMM:
    case OP_LAYER:
        AXIS(sizes, VAR_TOKENS);
        break;
    case OP_PER_SEQUENCE:
        AXIS(sizes, VAR_SAMPLED);
        break;
    case OP_HOST:
        AXIS(counts, VAR_DECODES);
        break;
    case OP_PREFILL_ATTENTION:
        AXIS(counts, VAR_CHUNKS);
        AXIS(queries, VAR_QUERY);
        AXIS(contexts, VAR_CACHED);
        break;
    case OP_MIXED_ATTENTION:
        AXIS(queries, VAR_QUERY);
        AXIS(contexts, VAR_CACHED);
        AXIS(counts, VAR_DECODES);
        AXIS(contexts, VAR_CONTEXT);
        break;
    case OP_DECODE_ATTENTION:
        AXIS(counts, VAR_DECODES);
        AXIS(contexts, VAR_CONTEXT);
        break;
    case OP_SWAP_OUT:
    case OP_SWAP_IN:
    case OP_ALL_REDUCE:
        AXIS(counts, VAR_BYTES);
        break;
    case N_OPERATIONS:
        break;
    }
#undef AXIS
    return n;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The different values of a variable among the rows. */
static status read_values(table_axis *a, const fit_rows *rows) {
    a->values = calloc(rows->n, sizeof(*a->values));
    a->positions = calloc(rows->n, sizeof(*a->positions));
    if (!a->values || !a->positions) return ST_NO_MEMORY;
    for (size_t i = 0; i < rows->n; i++) a->values[i] = rows->v[i * N_VARIABLES + a->v];
    qsort(a->values, rows->n, sizeof(*a->values), compare_doubles);
    a->n = 0;
    for (size_t i = 0; i < rows->n; i++)
        if (a->n == 0 || a->values[i] > a->values[a->n - 1]) a->values[a->n++] = a->values[i];
    return ST_OK;
}

/* Keeps every other value of the longest axis, and the last. */
static void thin_longest(residual_table *t) {
    table_axis *a = &t->axes[0];
    for (size_t d = 1; d < t->n_axes; d++)
        if (t->axes[d].n > a->n) a = &t->axes[d];
    size_t kept = 0, last = a->n - 1;
    for (size_t i = 0; i < last; i += 2) a->values[kept++] = a->values[i];
    a->values[kept++] = a->values[last];
    a->n = kept;
}

static size_t count_nodes(const residual_table *t) {
    double n = 1;
    for (size_t d = 0; d < t->n_axes; d++) n *= (double)t->axes[d].n;
    return n > 1e15 ? (size_t)1e15 : (size_t)n;
}

status residual_table_make(residual_table *out, operation op, const fit_rows *rows,
                           const double *log_ratio, errbuf *err) {
    residual_table t = {.stiffness = 1e-3, .pull = 1e-4};
    table_axis wanted[TABLE_AXES_MAX];
    size_t n_wanted = choose_axes(wanted, op);
    status st = ST_OK;
    for (size_t d = 0; d < n_wanted && st == ST_OK; d++) {
        t.axes[t.n_axes] = wanted[d];
        st = read_values(&t.axes[t.n_axes], rows);
        if (st == ST_OK && t.axes[t.n_axes].n > 1) {
            t.n_axes++;
        } else if (st == ST_OK) { /* the same everywhere */
            free(t.axes[t.n_axes].values);
            free(t.axes[t.n_axes].positions);
        } else {
            t.n_axes++;
        }
    }
    while (st == ST_OK && count_nodes(&t) > TABLE_NODES_MAX) thin_longest(&t);
    t.n_nodes = t.n_axes ? count_nodes(&t) : 0;
    if (st == ST_OK && t.n_nodes > 0) {
        t.nodes = calloc(t.n_nodes, sizeof(*t.nodes));
        st = t.nodes ? residual_solve(&t, rows, log_ratio, err) : ST_NO_MEMORY;
        if (st == ST_OK) st = residual_table_index(&t);
    }
    if (st != ST_OK) {
        residual_table_finish(&t);
        return st == ST_NO_MEMORY ? fail(err, st, "out of memory for a fit") : st;
    }
    *out = t;
    return ST_OK;
}

void residual_table_finish(residual_table *t) {
    if (!t) return;
    for (size_t d = 0; d < t->n_axes; d++) {
        free(t->axes[d].values);
        free(t->axes[d].positions);
    }
    free(t->nodes);
    free(t->by_size);
    *t = (residual_table){0};
}

/* The node below v, and how far v is on the way to the next, in distance. */
static size_t find_cell(const table_axis *a, double v, double *share) {
    *share = 0;
    if (v <= a->values[0]) return 0;
    if (v >= a->values[a->n - 1]) return a->n - 1;
    size_t low = 0, high = a->n - 1; /* values[low] <= v < values[high] */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (a->values[middle] <= v)
            low = middle;
        else
            high = middle;
    }
    if (a->values[low] == v) return low;
    double length = a->positions[high] - a->positions[low];
    *share = length > 0 ? (position(a, v) - a->positions[low]) / length : 0.5;
    return low;
}

/* The value between nodes. */
static double interpolate(const residual_table *t, const double *v) {
    double share[TABLE_AXES_MAX];
    size_t step[TABLE_AXES_MAX], base = 0, stride = 1;
    for (size_t d = t->n_axes; d-- > 0;) {
        const table_axis *a = &t->axes[d];
        base += find_cell(a, v[a->v], &share[d]) * stride;
        step[d] = stride;
        stride *= a->n;
    }
    double sum = 0;
    for (unsigned corner = 0; corner < 1u << t->n_axes; corner++) {
        double weight = 1;
        size_t at = base;
        for (size_t d = 0; d < t->n_axes; d++) {
            bool upper = corner >> d & 1;
            weight *= upper ? share[d] : 1 - share[d];
            if (upper && share[d] > 0) at += step[d];
        }
        if (weight > 0) sum += weight * t->nodes[at];
    }
    return sum;
}

static bool is_count(variable v) {
    return v == VAR_TOKENS || v == VAR_SAMPLED || v == VAR_DECODES;
}

status residual_table_index(residual_table *t) {
    const table_axis *a = &t->axes[0];
    if (t->n_axes != 1 || !is_count(a->v) || a->values[a->n - 1] >= TABLE_NODES_MAX)
        return ST_OK;
    size_t n = (size_t)a->values[a->n - 1] + 1;
    t->by_size = calloc(n, sizeof(*t->by_size));
    if (!t->by_size) return ST_NO_MEMORY;
    double v[N_VARIABLES];
    for (size_t i = 0; i < n; i++) {
        v[a->v] = (double)i;
        t->by_size[i] = interpolate(t, v);
    }
    t->n_sizes = n;
    return ST_OK;
}

double residual_table_value(const residual_table *t, const double *v) {
    if (t->n_axes == 0) return 0;
    if (t->n_sizes == 0) return interpolate(t, v);
    size_t size = (size_t)v[t->axes[0].v];
    return t->by_size[size < t->n_sizes ? size : t->n_sizes - 1];
}
