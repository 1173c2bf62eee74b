/* import.h - measured tables of other projects as samples.
 *
 * A format is a family of tables of one source; which of its tables a file is, its header says.
 * Columns are found by name and units converted once, here. A file is read line by line, plain
 * or gzip-compressed. Device, model and tp come from columns where the table has them,
 * otherwise from the path (import_names.h) or the options.
 *
 * Must not know: databases. A new format is a row in import.c and a file of its own. */
#ifndef IMPORT_H
#define IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "import_names.h"
#include "sample.h"
#include "status.h"

typedef struct import_options {
    /* NULL, 0: as the table or its path says. What a table's columns name otherwise is left
     * out; what its path says gives way. */
    const char *device, *model;
    uint32_t tp;
    bool skip_bad; /* count wrong rows and go on */
} import_options;

/* Samples of one file, device, model and tp. */
typedef struct import_group {
    char device[IMPORT_NAME_MAX + 1];
    char model[IMPORT_NAME_MAX + 1]; /* "": of no model */
    uint32_t tp;
    char *source;    /* path of the file */
    sample *samples; /* [n] in the order of the file */
    size_t n, capacity;
} import_group;

typedef struct imported {
    import_group *groups; /* [n_groups] */
    size_t n_groups;
    uint64_t n_rows;     /* read, bad ones included */
    uint64_t n_left_out; /* values that the format's text below says to leave out */
    uint64_t n_bad;      /* rows skipped */
    errbuf first_bad;    /* what was wrong with the first of them */
} imported;

/* Name of the i-th format, and one line of what is taken from it; NULL behind the last. */
const char *import_format(size_t i, const char **text);

/* Reads all samples of the files. On error *out is not written.
 * ST_INVALID: no such format, or a device, model or tp that neither the table nor the options
 * say. ST_FORMAT: a bad header or row, or no sample at all in a file; ST_IO; ST_NO_MEMORY. */
MUST_USE status profile_read_format(imported *out, const char *format, char *const *files,
                                    size_t n_files, const import_options *options, errbuf *err);

/* The same of one file in memory, with its path for the names. */
MUST_USE status profile_read_memory(imported *out, const char *format, const void *bytes,
                                    size_t n, const char *path, const import_options *options,
                                    errbuf *err);

void imported_finish(imported *all);

#endif
