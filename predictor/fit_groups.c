#include "fit_groups.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const roles[] = {"qkv", "o", "up", "down", "head"};
enum { N_ROLES = sizeof(roles) / sizeof(roles[0]) };

bool model_gemm_shape(uint32_t *n, uint32_t *k, const model_spec *m, uint32_t tp,
                      const char *part) {
    uint32_t heads = m->n_heads / tp, kv_heads = m->n_kv_heads > tp ? m->n_kv_heads / tp : 1;
    const uint32_t shapes[N_ROLES][2] = {
        {(heads + 2 * kv_heads) * m->head_dim, m->hidden},
        {m->hidden, heads * m->head_dim},
        {(m->gated_mlp ? 2 : 1) * m->ffn / tp, m->hidden},
        {m->hidden, m->ffn / tp},
        {m->vocab / tp, m->hidden},
    };
    for (size_t i = 0; i < N_ROLES; i++) {
        if (strcmp(part, roles[i]) != 0) continue;
        *n = shapes[i][0];
        *k = shapes[i][1];
        return true;
    }
    return false;
}

static int compare_u32(uint32_t a, uint32_t b) {
    return (a > b) - (a < b);
}

/* Order by what makes one fit. */
static int compare_kind(const sample *a, const sample *b) {
    int order = compare_u32(a->op, b->op);
    if (order == 0) order = strcmp(a->part, b->part);
    if (order == 0) order = compare_u32(a->gemm_n, b->gemm_n);
    if (order == 0) order = compare_u32(a->gemm_k, b->gemm_k);
    if (order == 0) order = compare_u32(a->n_heads, b->n_heads);
    if (order == 0) order = compare_u32(a->n_kv_heads, b->n_kv_heads);
    return order == 0 ? compare_u32(a->head_dim, b->head_dim) : order;
}

static bool group_has(const fit_group *group, const sample *s, const char *part) {
    return compare_kind(&group->samples[0], s) == 0 && strcmp(group->part, part) == 0;
}

/* Appends a group of samples of one kind, in their order: those for which kind compares equal.
 */
static status add_group(fit_groups *g, const sample *samples, const int64_t *ids, size_t n,
                        const sample *kind, const char *part) {
    if (g->n == g->capacity) {
        size_t capacity = g->capacity ? 2 * g->capacity : 16;
        fit_group *groups = realloc(g->groups, capacity * sizeof(*groups));
        if (!groups) return ST_NO_MEMORY;
        g->groups = groups;
        g->capacity = capacity;
    }
    fit_group group = {0};
    for (size_t i = 0; i < n; i++) group.n += compare_kind(&samples[i], kind) == 0;
    group.samples = calloc(group.n, sizeof(*group.samples));
    group.ids = calloc(group.n, sizeof(*group.ids));
    if (!group.samples || !group.ids) {
        free(group.samples);
        free(group.ids);
        return ST_NO_MEMORY;
    }
    group.n = 0;
    for (size_t i = 0; i < n; i++) {
        if (compare_kind(&samples[i], kind) != 0) continue;
        group.ids[group.n] = ids ? ids[i] : 0;
        group.samples[group.n++] = samples[i];
    }
    memcpy(group.part, part, strlen(part) + 1);
    g->groups[g->n++] = group;
    return ST_OK;
}

status fit_groups_add(fit_groups *g, const sample *samples, const int64_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        for (size_t j = 0; j < g->n && !known; j++)
            known = group_has(&g->groups[j], &samples[i], samples[i].part);
        if (!known) TRY(add_group(g, samples, ids, n, &samples[i], samples[i].part));
    }
    return ST_OK;
}

static double log_ratio(double a, double b) {
    return fabs(log(a / b));
}

/* How far a kernel's shape is from the one wanted; INFINITY: another thing. */
static double distance(const sample *s, const sample *wanted) {
    if (s->op != wanted->op) return INFINITY;
    if (s->op == OP_GEMM)
        return log_ratio(s->gemm_n, wanted->gemm_n) + log_ratio(s->gemm_k, wanted->gemm_k);
    if (s->head_dim != wanted->head_dim || s->n_heads == 0 || s->n_kv_heads == 0)
        return INFINITY;
    return log_ratio(s->n_heads, wanted->n_heads) +
           log_ratio(s->n_kv_heads, wanted->n_kv_heads);
}

static status add_nearest(fit_groups *g, const sample *samples, const int64_t *ids, size_t n,
                          const sample *wanted) {
    for (size_t j = 0; j < g->n; j++)
        if (g->groups[j].samples[0].op == wanted->op &&
            strcmp(g->groups[j].part, wanted->part) == 0)
            return ST_OK;
    const sample *best = NULL;
    double nearest = INFINITY;
    for (size_t i = 0; i < n; i++) {
        double d = distance(&samples[i], wanted);
        if (d >= nearest) continue;
        nearest = d;
        best = &samples[i];
    }
    return best ? add_group(g, samples, ids, n, best, wanted->part) : ST_OK;
}

status fit_groups_add_kernels(fit_groups *g, const sample *samples, const int64_t *ids,
                              size_t n, const model_spec *model, uint32_t tp) {
    static const operation attention[] = {OP_PREFILL_ATTENTION, OP_DECODE_ATTENTION,
                                          OP_MIXED_ATTENTION};
    for (size_t i = 0; i < N_ROLES; i++) {
        sample wanted = {.op = OP_GEMM};
        memcpy(wanted.part, roles[i], strlen(roles[i]) + 1);
        if (model_gemm_shape(&wanted.gemm_n, &wanted.gemm_k, model, tp, roles[i]))
            TRY(add_nearest(g, samples, ids, n, &wanted));
    }
    for (size_t i = 0; i < sizeof(attention) / sizeof(attention[0]); i++) {
        sample wanted = {.op = attention[i], .head_dim = model->head_dim};
        wanted.n_heads = model->n_heads / tp;
        wanted.n_kv_heads = model->n_kv_heads > tp ? model->n_kv_heads / tp : 1;
        TRY(add_nearest(g, samples, ids, n, &wanted));
    }
    return ST_OK;
}

void fit_groups_finish(fit_groups *g) {
    for (size_t i = 0; i < g->n; i++) {
        free(g->groups[i].samples);
        free(g->groups[i].ids);
    }
    free(g->groups);
    *g = (fit_groups){0};
}
