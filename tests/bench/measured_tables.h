/* measured_tables.h - which measured operator tables analytic_error compares with, and how they
 * are written. */
#ifndef MEASURED_TABLES_H
#define MEASURED_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef enum kernel { GEMM, CONTEXT, GENERATION } kernel;

/* How a source writes its tables: columns of a row, and what else a row must say. */
typedef struct layout {
    const char *source, *latency;
    double seconds;       /* per unit of the latency column */
    const char *size[2];  /* GEMM: m; attention: sequences, length */
    uint32_t more_length; /* decode: the new token, where length leaves it out */
    const char *shape[3]; /* GEMM: n, k; attention: heads, KV heads, head_dim */
    struct {
        const char *column, *value;
    } wanted[2];
} layout;

/* A shape of a model, compared in one table. */
typedef struct comparison {
    const char *op, *model;
    kernel kernel;
    const layout *layout;
    uint32_t shape[3]; /* n, k, or heads, KV heads, head_dim */
} comparison;

/* Which table each kernel of a list is in; NULL: none. */
typedef struct device_tables {
    const char *device;
    const comparison *comparisons;
    size_t n;
    const char *file[3]; /* by kernel, under profiles/ */
} device_tables;

/* All comparisons, in the order in which they are printed; *n is set. */
const device_tables *measured_tables(size_t *n);

#endif
