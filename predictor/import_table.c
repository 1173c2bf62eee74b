#include "import_table.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 256 };

/* ------------------------------------------------------------ header and lines */

/* Cuts the line at its commas; *n counts all fields, also those beyond FIELDS_MAX. */
static void split(char *fields[FIELDS_MAX], size_t *n, char *line) {
    *n = 0;
    for (char *p = line;;) {
        if (*n < FIELDS_MAX) fields[*n] = p;
        ++*n;
        p = strchr(p, ',');
        if (!p) return;
        *p++ = '\0';
    }
}

/* Fills layout->place; returns how many required columns are there, *missing is one that is
 * not. */
static size_t match(import_layout *layout, const char **missing, const import_table *table,
                    char *const *names, size_t n) {
    size_t n_found = 0;
    *missing = NULL;
    *layout = (import_layout){.table = table, .n_fields = n};
    for (size_t c = 0; c < table->n_columns; c++) {
        layout->place[c] = SIZE_MAX;
        for (size_t i = n; i-- > 0;)
            if (strcmp(names[i], table->columns[c].name) == 0) layout->place[c] = i;
        if (table->columns[c].optional) continue;
        if (layout->place[c] != SIZE_MAX)
            n_found++;
        else if (!*missing)
            *missing = table->columns[c].name;
    }
    return n_found;
}

static status check_twice(const import_layout *layout, char *const *names, const char *where,
                          errbuf *err) {
    for (size_t c = 0; c < layout->table->n_columns; c++) {
        size_t first = layout->place[c];
        for (size_t i = first == SIZE_MAX ? layout->n_fields : first + 1; i < layout->n_fields;
             i++)
            if (strcmp(names[i], names[first]) == 0)
                return fail(err, ST_FORMAT, "%s: the column '%s' is there twice", where,
                            names[i]);
    }
    return ST_OK;
}

static status unknown_header(const import_source *source, char *const *names,
                             const import_table *nearest, const char *missing,
                             const char *where, errbuf *err) {
    if (nearest)
        return fail(err, ST_FORMAT, "%s: the column '%s' of %s's %s is missing", where, missing,
                    source->name, nearest->name);
    char known[256] = "";
    for (size_t i = 0, n = 0; i < source->n_tables && n < sizeof(known); i++)
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "",
                              source->tables[i]->name);
    return fail(err, ST_FORMAT,
                "%s: '%.60s' starts no table that is taken from %s; these are: %s", where,
                names[0], source->name, known);
}

status import_bind(import_layout *out, const import_source *source, char *header,
                   const char *where, errbuf *err) {
    char *names[FIELDS_MAX];
    size_t n, most_found = 0;
    const import_table *nearest = NULL;
    const char *nearest_missing = NULL;
    bool found = false;
    split(names, &n, header);
    if (n > FIELDS_MAX)
        return fail(err, ST_FORMAT, "%s: %zu columns, more than %d", where, n, FIELDS_MAX);
    for (size_t i = 0; i < source->n_tables; i++) {
        import_layout layout;
        const char *missing;
        size_t n_found = match(&layout, &missing, source->tables[i], names, n);
        /* A table that is complete goes before a larger one that is not. */
        if (n_found == 0 || (found && missing)) continue;
        if (n_found <= most_found && !(!found && !missing)) continue;
        most_found = n_found;
        nearest = source->tables[i];
        nearest_missing = missing;
        found = !missing;
        if (found) *out = layout;
    }
    if (!found) return unknown_header(source, names, nearest, nearest_missing, where, err);
    return check_twice(out, names, where, err);
}

status import_split(import_row *row, const import_layout *layout, char *line, errbuf *err) {
    char *fields[FIELDS_MAX];
    size_t n;
    split(fields, &n, line);
    row->table = layout->table;
    row->n = 0;
    row->n_left_out = 0;
    row->device = row->model = NULL;
    row->no_model = false;
    if (n != layout->n_fields)
        return fail(err, ST_FORMAT, "%s:%llu: '%.60s': fields: %zu, but the header has %zu",
                    row->file, (unsigned long long)row->line, fields[0], n, layout->n_fields);
    for (size_t c = 0; c < layout->table->n_columns; c++)
        row->fields[c] = layout->place[c] == SIZE_MAX ? NULL : fields[layout->place[c]];
    return ST_OK;
}

/* ------------------------------------------------------------ fields */

status import_bad_value(const import_row *row, size_t column, const char *wanted, errbuf *err) {
    const char *text = row->fields[column];
    return fail(err, ST_FORMAT, "%s:%llu: column '%s': '%.60s' is not %s", row->file,
                (unsigned long long)row->line, row->table->columns[column].name,
                text ? text : "", wanted);
}

bool import_equals(const import_row *row, size_t column, const char *text) {
    return row->fields[column] && strcmp(row->fields[column], text) == 0;
}

bool import_is_empty(const import_row *row, size_t column) {
    return !row->fields[column] || !*row->fields[column];
}

static bool parse_whole(uint32_t *out, const char *text) {
    uint64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && value <= UINT32_MAX; p++)
        value = value * 10 + (uint64_t)(*p - '0');
    if (p == text || *p || value > UINT32_MAX) return false;
    *out = (uint32_t)value;
    return true;
}

status import_whole(uint32_t *out, const import_row *row, size_t column, uint32_t min,
                    uint32_t max, errbuf *err) {
    uint32_t value;
    const char *text = row->fields[column];
    if (text && parse_whole(&value, text) && value >= min && value <= max) {
        *out = value;
        return ST_OK;
    }
    char wanted[64];
    snprintf(wanted, sizeof(wanted), "a whole number from %lu to %lu", (unsigned long)min,
             (unsigned long)max);
    return import_bad_value(row, column, wanted, err);
}

/* strtod without what it takes besides decimal numbers: spaces, signs, inf, nan, hexadecimal.
 * The program never sets a locale. */
static bool parse_real(double *out, const char *text) {
    if (!*text || strspn(text, "0123456789.eE+-") != strlen(text)) return false;
    if (!(*text >= '0' && *text <= '9') && *text != '.') return false;
    char *end;
    double value = strtod(text, &end);
    if (*end || !isfinite(value)) return false;
    *out = value;
    return true;
}

status import_real(double *out, const import_row *row, size_t column, errbuf *err) {
    const char *text = row->fields[column];
    if (text && parse_real(out, text)) return ST_OK;
    return import_bad_value(row, column, "a decimal number from 0 up", err);
}

status import_part(const char **out, const import_row *row, size_t column, errbuf *err) {
    const char *text = row->fields[column];
    if (import_is_empty(row, column) || strlen(text) > SAMPLE_PART_MAX)
        return import_bad_value(row, column, "the name of an operator, of at most 47 letters",
                                err);
    *out = text;
    return ST_OK;
}

status import_time(double *seconds, const import_row *row, size_t column, double unit_s,
                   errbuf *err) {
    double value;
    const char *text = row->fields[column];
    if (!text || !parse_real(&value, text) || !(value * unit_s > 0))
        return import_bad_value(row, column, "a time above 0", err);
    *seconds = value * unit_s;
    return ST_OK;
}

/* ------------------------------------------------------------ samples */

sample *import_add(import_row *row, operation op, const char *part) {
    assert(row->n < IMPORT_ROW_SAMPLES_MAX);
    sample *s = &row->samples[row->n++];
    *s = (sample){.op = op, .n_repeats = 1};
    snprintf(s->part, sizeof(s->part), "%s", part);
    return s;
}

status import_leave_out(import_row *row) {
    row->n_left_out++;
    return ST_OK;
}

void import_set_prefill(batch_shape *b, uint32_t n_seqs, uint32_t n_before, uint32_t n_new) {
    *b = (batch_shape){0};
    if (n_new == 1) {
        import_set_decode(b, n_seqs, n_before + 1);
        return;
    }
    batch_shape_add_chunk(b, n_before, n_new, false);
    b->n_tokens *= n_seqs;
    b->n_prefill *= n_seqs;
    b->n_prefill_tokens *= n_seqs;
    b->prefill_pairs *= n_seqs;
    b->prefill_kv_tokens *= n_seqs;
}

void import_set_decode(batch_shape *b, uint32_t n_seqs, uint32_t context) {
    *b = (batch_shape){.n_tokens = n_seqs,
                       .n_decode = n_seqs,
                       .decode_kv_tokens = (uint64_t)n_seqs * context,
                       .decode_kv_max = context};
}
