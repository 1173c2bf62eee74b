/* import_table.h - a CSV table with named columns, and what a format makes of its rows.
 *
 * For the files of the formats (import_*.c). Columns may stand in any order; fields are not
 * quoted: none of the sources needs it. */
#ifndef IMPORT_TABLE_H
#define IMPORT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "import_names.h"
#include "sample.h"
#include "status.h"

enum { IMPORT_COLUMNS_MAX = 32, IMPORT_ROW_SAMPLES_MAX = 12 };

/* What is beyond is a mistake, and would overflow the sums of a batch. */
enum { IMPORT_TOKENS_MAX = 1 << 20, IMPORT_SEQUENCES_MAX = 4095, IMPORT_TP_MAX = 1024 };

typedef struct import_table import_table;

/* One row, and the samples that are made of it. */
typedef struct import_row {
    const import_table *table;
    const char *file;
    uint64_t line;
    const char *fields[IMPORT_COLUMNS_MAX]; /* by column of the table; NULL: not there */

    sample samples[IMPORT_ROW_SAMPLES_MAX];
    size_t n;
    uint32_t n_left_out;
    const char *device, *model; /* as the row names them, borrowed; NULL: it does not */
    bool no_model;              /* of none, although the table has models */
} import_row;

typedef struct import_column {
    const char *name;
    bool optional;
} import_column;

struct import_table {
    const char *name; /* "MLP table" */
    const char *word; /* that ends the file's name, for import_names_of_path */
    import_path path;
    bool has_model;               /* its samples are of a model */
    const import_column *columns; /* [n_columns] */
    size_t n_columns;
    /* Adds samples, whole rows or nothing. ST_FORMAT: the row is wrong. */
    status (*read)(import_row *row, errbuf *err);
};

typedef struct import_source {
    const char *name, *text;
    const import_table *const *tables; /* [n_tables] */
    size_t n_tables;
} import_source;

/* The formats. */
extern const import_source import_vidur, import_aiconfigurator, import_llmservingsim,
    import_infersim, import_splitwise, import_pcie, import_cuda_probe;

/* A table of Vidur's profiler, which LLMServingSim used too. */
extern const import_table import_vidur_attention;

/* Where the columns of a table stand in a file. */
typedef struct import_layout {
    const import_table *table;
    size_t n_fields;
    size_t place[IMPORT_COLUMNS_MAX]; /* SIZE_MAX: an optional column that is not there */
} import_layout;

/* Finds the table whose columns the header has; the header is cut up.
 * where: its file and line. ST_FORMAT. */
MUST_USE status import_bind(import_layout *out, const import_source *source, char *header,
                            const char *where, errbuf *err);

/* Cuts a line into the fields of *row, whose file and line are set. ST_FORMAT. */
MUST_USE status import_split(import_row *row, const import_layout *layout, char *line,
                             errbuf *err);

/* ------------------------------------------------------------ fields of a row */

/* ST_FORMAT with file, line, column and value. */
status import_bad_value(const import_row *row, size_t column, const char *wanted, errbuf *err);

/* True if the field is there and holds that text. */
bool import_equals(const import_row *row, size_t column, const char *text);

/* True if the field is not there or empty. */
bool import_is_empty(const import_row *row, size_t column);

/* A whole number of min..max. */
MUST_USE status import_whole(uint32_t *out, const import_row *row, size_t column, uint32_t min,
                             uint32_t max, errbuf *err);

/* A finite decimal number, not negative. */
MUST_USE status import_real(double *out, const import_row *row, size_t column, errbuf *err);

/* The name of an operator. */
MUST_USE status import_part(const char **out, const import_row *row, size_t column,
                            errbuf *err);

/* A time above 0 in units of unit_s seconds. */
MUST_USE status import_time(double *seconds, const import_row *row, size_t column,
                            double unit_s, errbuf *err);

/* ------------------------------------------------------------ samples of a row */

/* Adds a sample of that operation with 1 repeat and tp 0 (as the path says); to be filled in.
 */
sample *import_add(import_row *row, operation op, const char *part);

/* The row cannot be used, and is not wrong. */
status import_leave_out(import_row *row);

/* n_seqs prompts of n_new tokens behind n_before cached ones each, one kernel: sampled tokens
 * are not its concern. A prompt of one token is a decode, as the kernels have it. */
void import_set_prefill(batch_shape *b, uint32_t n_seqs, uint32_t n_before, uint32_t n_new);

/* n_seqs decodes of context tokens each, the new one included. */
void import_set_decode(batch_shape *b, uint32_t n_seqs, uint32_t context);

#endif
