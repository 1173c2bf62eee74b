/* run_json.h - the figures of one run as JSON: those of figures.h, and how it ended. */
#ifndef RUN_JSON_H
#define RUN_JSON_H

#include "belief.h"
#include "cut_outputs.h"
#include "metrics.h"

typedef struct run_json {
    const run_figures *figures;
    const cut_outputs *cut;
    const belief *belief; /* NULL: nothing was predicted */
    uint64_t n_skipped_lines;
    double host_step_s;   /* NAN: not known */
    const char *settings; /* JSON */
    status result;
    const char *message; /* NULL: none */
} run_json;

/* Writes to a file, or to standard output: "-". ST_IO, ST_NO_MEMORY. */
MUST_USE status run_json_write(const run_json *j, const char *path, errbuf *err);

#endif
