/* step_times.c - the reading half of step_times.h. */
#include "step_times.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "line_reader.h"

/* Room for one more element of `size` bytes in *array. */
static status reserve(const void **array, size_t n, size_t *capacity, size_t size) {
    if (n < *capacity) return ST_OK;
    size_t wanted = *capacity ? 2 * *capacity : 1024;
    void *grown = realloc((void *)*array, wanted * size);
    if (!grown) return ST_NO_MEMORY;
    *array = grown;
    *capacity = wanted;
    return ST_OK;
}

/* Appends to a list of times; the arrays are this file's own. */
#define APPEND(t, list, type, value)                                                           \
    do {                                                                                       \
        const void *array = (t)->times.list;                                                   \
        TRY(reserve(&array, (t)->times.n_##list, &(t)->list##_capacity, sizeof(type)));        \
        (t)->times.list = array;                                                               \
        ((type *)(t)->times.list)[(t)->times.n_##list++] = (value);                            \
    } while (0)

static status add_iteration(step_times *t, const char *line) {
    recorded_iteration i;
    char rest;
    size_t n = t->times.n_iterations;
    if (sscanf(line, "i %" SCNd64 " %" SCNu32 " %lf %lf %c", &i.end_ns, &i.n_tokens,
               &i.ordered_copy_s, &i.recompute_s, &rest) != 4 ||
        i.end_ns <= (n ? t->times.iterations[n - 1].end_ns : 0) || !(i.ordered_copy_s >= 0) ||
        !(i.recompute_s >= 0))
        return ST_FORMAT;
    APPEND(t, iterations, recorded_iteration, i);
    return ST_OK;
}

static status add_copy(step_times *t, const char *line) {
    recorded_copy c;
    char rest;
    size_t n = t->times.n_copies;
    if (sscanf(line, "c %" SCNu64 " %" SCNd64 " %lf %c", &c.id, &c.end_ns, &c.copy_s, &rest) !=
            3 ||
        c.end_ns <= (n ? t->times.copies[n - 1].end_ns : 0) || !(c.copy_s >= 0))
        return ST_FORMAT;
    APPEND(t, copies, recorded_copy, c);
    return ST_OK;
}

static status add_output(step_times *t, const char *line) {
    recorded_output o;
    char rest;
    if (sscanf(line, "o %" SCNu64 " %" SCNu32 " %c", &o.request_id, &o.n_output, &rest) != 2 ||
        o.n_output == 0)
        return ST_FORMAT;
    APPEND(t, outputs, recorded_output, o);
    return ST_OK;
}

static status set_usage(step_times *t, const char *line) {
    char rest;
    if (sscanf(line, "u %lf %lf %c", &t->times.compute_s, &t->times.link_s, &rest) != 2 ||
        !isfinite(t->times.compute_s) || !isfinite(t->times.link_s))
        return ST_FORMAT;
    return ST_OK;
}

static status add_line(step_times *t, const char *line) {
    switch (line[0]) {
    case 'i':
        return add_iteration(t, line);
    case 'c':
        return add_copy(t, line);
    case 'o':
        return add_output(t, line);
    case 'u':
        return set_usage(t, line);
    case '#':
        return ST_OK;
    default:
        return ST_FORMAT;
    }
}

static int by_request(const void *a, const void *b) {
    const recorded_output *x = a, *y = b;
    return (x->request_id > y->request_id) - (x->request_id < y->request_id);
}

static status read_all(step_times *t, line_reader *r, errbuf *err) {
    char *line;
    size_t n;
    for (status st; (st = line_reader_next(r, &line, &n, err)) != ST_END;) {
        TRY(st);
        st = add_line(t, line);
        if (st == ST_NO_MEMORY) return fail(err, st, "out of memory for the step times");
        if (st != ST_OK)
            return fail(err, st,
                        "%s:%" PRIu64 ": no line of step times, or out of order: %.40s",
                        line_reader_name(r), line_reader_line(r), line);
    }
    return ST_OK;
}

status step_times_read(step_times *out, const char *path, errbuf *err) {
    step_times t = {0};
    line_reader *r;
    TRY(line_reader_open(&r, path, err));
    status st = read_all(&t, r, err);
    line_reader_close(r);
    if (st != ST_OK) {
        step_times_finish(&t);
        return st;
    }
    if (t.times.n_outputs > 0)
        qsort((void *)t.times.outputs, t.times.n_outputs, sizeof(*t.times.outputs), by_request);
    *out = t;
    return ST_OK;
}

void step_times_finish(step_times *t) {
    free((void *)t->times.iterations);
    free((void *)t->times.copies);
    free((void *)t->times.outputs);
    *t = (step_times){0};
}
