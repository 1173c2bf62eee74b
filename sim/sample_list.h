/* sample_list.h - samples that somebody else owns. */
#ifndef SAMPLE_LIST_H
#define SAMPLE_LIST_H

#include <stddef.h>

#include "sample.h"

typedef struct sample_list {
    const sample *samples; /* [n] borrowed */
    size_t n;
} sample_list;

#endif
