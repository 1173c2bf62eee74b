/* probe_options.h - the command line of the probe. */
#ifndef PROBE_OPTIONS_H
#define PROBE_OPTIONS_H

#include <stdbool.h>

#include "status.h"

typedef struct probe_options {
    bool full, copies, gemms, help;
    int device;
    const char *out, *date, *cublaslt; /* of argv; out and cublaslt may be NULL */
} probe_options;

extern const char probe_usage[];

/* ST_INVALID: with what is wrong. Nothing is printed. */
MUST_USE status probe_options_parse(probe_options *out, int argc, char **argv, errbuf *err);

#endif
