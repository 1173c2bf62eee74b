#include "sample_choice.h"

#include <stdlib.h>
#include <string.h>

status sample_choice_grid(sample_grid **out, const sample_choice *c, sample_list list) {
    grid_point *points = malloc((list.n + 1) * sizeof(*points));
    if (!points) return ST_NO_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < list.n; i++) {
        const sample *s = &list.samples[i];
        grid_point p = {.value = s->seconds};
        if (s->op == c->op && strcmp(s->part, c->part) == 0 && c->at(c->context, s, p.x))
            points[n++] = p;
    }
    *out = NULL;
    status st = n ? sample_grid_create(out, c->n_axes, points, n) : ST_OK;
    free(points);
    return st;
}

bool sample_at_tokens(const void *context, const sample *s, double x[GRID_AXES_MAX]) {
    (void)context;
    x[0] = s->batch.n_tokens;
    return true;
}

bool sample_at_sampled(const void *context, const sample *s, double x[GRID_AXES_MAX]) {
    (void)context;
    x[0] = s->batch.n_sampled;
    return true;
}

bool sample_at_decodes(const void *context, const sample *s, double x[GRID_AXES_MAX]) {
    (void)context;
    x[0] = s->batch.n_decode;
    return true;
}

bool sample_at_gemm(const void *context, const sample *s, double x[GRID_AXES_MAX]) {
    (void)context;
    x[0] = s->gemm_k;
    x[1] = s->gemm_n;
    x[2] = s->batch.n_tokens;
    return true;
}
