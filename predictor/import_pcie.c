/* import_pcie.c - a table of copy rates between host and device (npho/cse554), in GB/s of 10^9
 * bytes.
 *
 * The time is bytes / rate. Pinned memory only: a serving system's host pool is pinned. One
 * copy at a time, the other direction and the device idle. */
#include "import_table.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { BYTES, TO_DEVICE, TO_HOST };

static const import_column columns[] = {
    {"bytes", false}, {"h2d_pinned_gbps", false}, {"d2h_pinned_gbps", false}};

static status add_copy(import_row *row, operation op, size_t column, errbuf *err) {
    uint32_t n_bytes;
    double per_s;
    TRY(import_whole(&n_bytes, row, BYTES, 1, UINT32_MAX, err));
    TRY(import_real(&per_s, row, column, err));
    per_s *= 1e9;
    /* Below a byte in a year, or no number of seconds at all. */
    if (!(per_s > 1e-7 && per_s < 1e18))
        return import_bad_value(row, column, "a rate above 0", err);
    sample *s = import_add(row, op, "");
    s->tp = 1;
    s->bytes = n_bytes;
    s->n_segments = 1;
    s->seconds = n_bytes / per_s;
    return ST_OK;
}

static status read_copies(import_row *row, errbuf *err) {
    TRY(add_copy(row, OP_SWAP_IN, TO_DEVICE, err));
    return add_copy(row, OP_SWAP_OUT, TO_HOST, err);
}

static const import_table copies = {
    "table of copies", "copy",     IMPORT_PATH_DEVICE_IN_FILE, false, columns,
    N_OF(columns),     read_copies};

static const import_table *const tables[] = {&copies};

const import_source import_pcie = {
    "pcie", "copies between pinned host memory and the device (bytes / rate)", tables,
    N_OF(tables)};
