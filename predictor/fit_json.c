#include "fit_json.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sample_set.h"

/* JSON has no infinity and no NaN: null stands for a number that is not known. */
static json_t *number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *numbers(const double *x, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, number(x[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *term_json(const term *t, double coefficient) {
    return json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:f}", "form", term_form_name(t->form),
                     "a", variable_name(t->a), "b", variable_name(t->b), "c",
                     variable_name(t->c), "p", t->p, "g", t->g, "seconds", coefficient);
}

static json_t *axis_json(const table_axis *a) {
    return json_pack("{s:s, s:f, s:f, s:o, s:o}", "variable", variable_name(a->v), "walk",
                     a->walk, "offset", a->offset, "jumps", numbers(a->jumps, TABLE_TILES),
                     "values", numbers(a->values, a->n));
}

static json_t *errors_json(const fit_errors *e) {
    return json_pack("{s:I, s:f, s:f, s:f}", "n", (json_int_t)e->n, "mape", e->mape, "p95",
                     e->p95, "max", e->max);
}

/* Appends to a member that is a list; true on success. */
static bool append(json_t *root, const char *list, json_t *value) {
    return json_array_append_new(json_object_get(root, list), value) == 0;
}

static json_t *fit_json(const fit *f) {
    json_t *root = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:[], s:[], s:f, s:f, s:o, s:o, "
        "s:o, s:o, s:o, s:f, s:o, s:o}",
        "operation", operation_name(f->op), "part", f->part, "tp", (json_int_t)f->tp, "gemm_n",
        (json_int_t)f->gemm_n, "gemm_k", (json_int_t)f->gemm_k, "n_heads",
        (json_int_t)f->n_heads, "n_kv_heads", (json_int_t)f->n_kv_heads, "head_dim",
        (json_int_t)f->head_dim, "spread", f->spread, "bytes_per_block", f->bytes_per_block,
        "terms", "axes", "stiffness", f->table.stiffness, "pull", f->table.pull, "nodes",
        numbers(f->table.nodes, f->table.n_nodes), "low", numbers(f->low, N_VARIABLES), "high",
        numbers(f->high, N_VARIABLES), "fitted", errors_json(&f->quality.fitted), "held_out",
        errors_json(&f->quality.held_out), "coverage", f->quality.coverage, "noise",
        number(f->quality.noise), "covariance",
        numbers(f->regression.covariance, f->regression.n_terms * f->regression.n_terms));
    bool ok = root != NULL;
    for (size_t i = 0; ok && i < f->regression.n_terms; i++)
        ok = append(root, "terms",
                    term_json(&f->regression.terms[i], f->regression.coefficients[i]));
    for (size_t d = 0; ok && d < f->table.n_axes; d++)
        ok = append(root, "axes", axis_json(&f->table.axes[d]));
    if (ok) return root;
    json_decref(root);
    return NULL;
}

status fit_to_json(char **text, const fit *f, errbuf *err) {
    json_t *root = fit_json(f);
    char *dumped = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(root);
    if (!dumped) return fail(err, ST_NO_MEMORY, "out of memory for a fit");
    *text = dumped;
    return ST_OK;
}

static status bad(errbuf *err, const char *what) {
    return fail(err, ST_FORMAT, "the stored fit is damaged at '%s': fit again", what);
}

/* Reads n numbers; null becomes `unknown`. */
static bool read_numbers(double *x, size_t n, const json_t *list, double unknown) {
    if (!json_is_array(list) || json_array_size(list) != n) return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_number(value) && !json_is_null(value)) return false;
        x[i] = json_is_null(value) ? unknown : json_number_value(value);
    }
    return true;
}

/* A fit of before the last variables were there does not depend on them. */
static bool read_bounds(double *x, const json_t *list, double unknown) {
    size_t n = json_array_size(list);
    if (n < VAR_FIRST_LATER || n > N_VARIABLES) return false;
    for (size_t i = n; i < N_VARIABLES; i++) x[i] = unknown;
    return read_numbers(x, n, list, unknown);
}

static bool read_term(trend *t, json_t *from) {
    const char *form, *a, *b, *c;
    term *to = &t->terms[t->n_terms];
    if (json_unpack(from, "{s:s, s:s, s:s, s:s, s:F, s:F, s:F}", "form", &form, "a", &a, "b",
                    &b, "c", &c, "p", &to->p, "g", &to->g, "seconds",
                    &t->coefficients[t->n_terms]) != 0)
        return false;
    to->form = term_form_find(form);
    to->a = variable_find(a);
    to->b = variable_find(b);
    to->c = variable_find(c);
    if (to->form == N_TERM_FORMS || to->a == N_VARIABLES || to->b == N_VARIABLES ||
        to->c == N_VARIABLES || !(to->p > 0) || !(to->g > 0))
        return false;
    to->inverse = 1 / to->p;
    t->n_terms++;
    return true;
}

static bool read_axis(residual_table *t, json_t *from) {
    const char *name;
    json_t *jumps, *values;
    table_axis *a = &t->axes[t->n_axes];
    if (json_unpack(from, "{s:s, s:F, s:F, s:o, s:o}", "variable", &name, "walk", &a->walk,
                    "offset", &a->offset, "jumps", &jumps, "values", &values) != 0)
        return false;
    a->v = variable_find(name);
    a->n = json_array_size(values);
    if (a->v == N_VARIABLES || a->n == 0 || a->n > TABLE_NODES_MAX) return false;
    a->values = calloc(a->n, sizeof(*a->values));
    a->positions = calloc(a->n, sizeof(*a->positions));
    t->n_axes++; /* from here on residual_table_finish() frees it */
    return a->values && a->positions && read_numbers(a->jumps, TABLE_TILES, jumps, 0) &&
           read_numbers(a->values, a->n, values, 0);
}

static status read_table(residual_table *t, const json_t *axes, const json_t *nodes,
                         errbuf *err) {
    if (!json_is_array(axes) || json_array_size(axes) > TABLE_AXES_MAX) return bad(err, "axes");
    size_t expected = json_array_size(axes) > 0;
    for (size_t d = 0; d < json_array_size(axes); d++) {
        if (!read_axis(t, json_array_get(axes, d))) return bad(err, "axes");
        expected *= t->axes[d].n;
        if (expected > TABLE_NODES_MAX) return bad(err, "axes");
    }
    t->n_nodes = expected;
    t->nodes = calloc(expected + 1, sizeof(*t->nodes));
    if (!t->nodes) return fail(err, ST_NO_MEMORY, "out of memory for a fit");
    if (!read_numbers(t->nodes, expected, nodes, 0)) return bad(err, "nodes");
    if (expected == 0) return ST_OK;
    if (residual_table_place(t, err) != ST_OK) return bad(err, "values");
    return residual_table_index(t) == ST_OK
               ? ST_OK
               : fail(err, ST_NO_MEMORY, "out of memory for a fit");
}

static bool read_errors(fit_errors *e, json_t *from) {
    json_int_t n;
    if (json_unpack(from, "{s:I, s:F, s:F, s:F}", "n", &n, "mape", &e->mape, "p95", &e->p95,
                    "max", &e->max) != 0)
        return false;
    e->n = (size_t)n;
    return true;
}

static bool read_shape(fit *f, json_t *root) {
    const char *op, *part;
    json_int_t tp, n, k, heads, kv_heads, dim;
    if (json_unpack(root, "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "operation", &op, "part",
                    &part, "tp", &tp, "gemm_n", &n, "gemm_k", &k, "n_heads", &heads,
                    "n_kv_heads", &kv_heads, "head_dim", &dim) != 0)
        return false;
    f->op = operation_find(op);
    if (f->op == N_OPERATIONS || strlen(part) > SAMPLE_PART_MAX) return false;
    memcpy(f->part, part, strlen(part) + 1);
    f->tp = (uint32_t)tp;
    f->gemm_n = (uint32_t)n;
    f->gemm_k = (uint32_t)k;
    f->n_heads = (uint32_t)heads;
    f->n_kv_heads = (uint32_t)kv_heads;
    f->head_dim = (uint32_t)dim;
    return true;
}

static status read_fit(fit *f, json_t *root, errbuf *err) {
    const json_t *terms = json_object_get(root, "terms"),
                 *noise = json_object_get(root, "noise");
    if (!read_shape(f, root)) return bad(err, "operation");
    if (!json_is_array(terms) || json_array_size(terms) > TREND_TERMS_MAX)
        return bad(err, "terms");
    for (size_t i = 0; i < json_array_size(terms); i++)
        if (!read_term(&f->regression, json_array_get(terms, i))) return bad(err, "terms");
    if (json_unpack(root, "{s:F, s:F, s:F, s:F, s:F}", "spread", &f->spread, "bytes_per_block",
                    &f->bytes_per_block, "stiffness", &f->table.stiffness, "pull",
                    &f->table.pull, "coverage", &f->quality.coverage) != 0)
        return bad(err, "spread");
    fit_set_spread(f, f->spread);
    f->quality.noise = json_is_number(noise) ? json_number_value(noise) : NAN;
    if (!read_bounds(f->low, json_object_get(root, "low"), -INFINITY) ||
        !read_bounds(f->high, json_object_get(root, "high"), INFINITY))
        return bad(err, "low");
    if (!read_errors(&f->quality.fitted, json_object_get(root, "fitted")) ||
        !read_errors(&f->quality.held_out, json_object_get(root, "held_out")))
        return bad(err, "held_out");
    return read_table(&f->table, json_object_get(root, "axes"), json_object_get(root, "nodes"),
                      err);
}

status fit_from_json(fit *out, const char *text, errbuf *err) {
    json_error_t where;
    json_t *root = json_loads(text, 0, &where);
    if (!root) return bad(err, where.text);
    fit f = {0};
    status st = read_fit(&f, root, err);
    json_decref(root);
    if (st != ST_OK)
        fit_finish(&f);
    else
        *out = f;
    return st;
}
