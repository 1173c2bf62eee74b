#include "thinned_rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 1024 };

static uint64_t number_of(const void *row) {
    uint64_t number;
    memcpy(&number, row, sizeof(number));
    return number;
}

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

void thinned_rows_init(thinned_rows *t, size_t row_size, size_t limit) {
    assert(row_size >= sizeof(uint64_t));
    *t = (thinned_rows){.row_size = row_size, .limit = limit, .stride = limit > 0};
}

void thinned_rows_finish(thinned_rows *t) {
    free(t->rows);
    t->rows = NULL;
}

/* Doubles the stride and drops the rows that it no longer meets. */
static void thin(thinned_rows *t) {
    assert(t->stride <= UINT64_MAX / 2); /* else two rows have one number */
    t->stride *= 2;
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        const char *row = t->rows + i * t->row_size;
        if (number_of(row) % t->stride != 0) continue;
        char *to = t->rows + n++ * t->row_size;
        if (to != row) memcpy(to, row, t->row_size);
    }
    t->n = n;
}

static status grow(thinned_rows *t) {
    size_t wanted = t->capacity ? t->capacity * 2 : FIRST_CAPACITY;
    size_t capacity = min_size(wanted, t->limit);
    char *rows = realloc(t->rows, capacity * t->row_size);
    if (!rows) return ST_NO_MEMORY;
    t->rows = rows;
    t->capacity = capacity;
    return ST_OK;
}

status thinned_rows_add(thinned_rows *t, const void *row) {
    uint64_t number = number_of(row);
    if (t->limit == 0 || number % t->stride != 0) {
        t->n_offered++;
        return ST_OK;
    }
    if (t->n == t->capacity && t->capacity < t->limit) {
        status st = grow(t);
        if (st) return st;
    }
    t->n_offered++;
    /* One doubling may drop nothing, if all numbers so far are multiples of the new stride. */
    while (t->n == t->limit && number % t->stride == 0) thin(t);
    if (number % t->stride != 0) return ST_OK;
    memcpy(t->rows + t->n++ * t->row_size, row, t->row_size);
    return ST_OK;
}

static int by_number(const void *a, const void *b) {
    uint64_t x = number_of(a), y = number_of(b);
    return (x > y) - (x < y);
}

void thinned_rows_sort(thinned_rows *t) {
    if (t->n > 1) qsort(t->rows, t->n, t->row_size, by_number);
}
