/* sample_choice.h - a grid of those samples that measured one thing. */
#ifndef SAMPLE_CHOICE_H
#define SAMPLE_CHOICE_H

#include <stdbool.h>

#include "sample_grid.h"
#include "sample_list.h"

typedef struct sample_choice {
    operation op;
    const char *part;
    uint32_t n_axes;
    /* The coordinates of a sample; false leaves it out. */
    bool (*at)(const void *context, const sample *s, double x[GRID_AXES_MAX]);
    const void *context;
} sample_choice;

/* *out is NULL when no sample is chosen. ST_NO_MEMORY. */
MUST_USE status sample_choice_grid(sample_grid **out, const sample_choice *choice,
                                   sample_list list);

/* One axis: new tokens, sampled sequences, decodes. */
bool sample_at_tokens(const void *context, const sample *s, double x[GRID_AXES_MAX]);
bool sample_at_sampled(const void *context, const sample *s, double x[GRID_AXES_MAX]);
bool sample_at_decodes(const void *context, const sample *s, double x[GRID_AXES_MAX]);

/* Three: depth and width of the weights, new tokens. */
bool sample_at_gemm(const void *context, const sample *s, double x[GRID_AXES_MAX]);

#endif
