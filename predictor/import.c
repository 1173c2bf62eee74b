#include "import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import_table.h"
#include "line_reader.h"
#include "model_spec.h"

static const import_source *const sources[] = {
    &import_vidur,     &import_aiconfigurator, &import_llmservingsim, &import_infersim,
    &import_splitwise, &import_pcie,           &import_cuda_probe,
};
enum { N_SOURCES = sizeof(sources) / sizeof(sources[0]) };

/* One file on its way into an `imported`. */
typedef struct reading {
    imported *all;
    const import_options *options;
    const char *path;
    size_t first_group, last_group; /* of this file, in all->groups */
    import_names from_path, options_names;
    import_layout layout;
} reading;

const char *import_format(size_t i, const char **text) {
    if (i >= N_SOURCES) return NULL;
    *text = sources[i]->text;
    return sources[i]->name;
}

static status find_source(const import_source **out, const char *name, errbuf *err) {
    char known[160] = "";
    for (size_t i = 0; i < N_SOURCES; i++) {
        if (strcmp(sources[i]->name, name) == 0) {
            *out = sources[i];
            return ST_OK;
        }
        strcat(strcat(known, i ? ", " : ""), sources[i]->name);
    }
    return fail(err, ST_INVALID, "there is no format '%.40s'; there are %s", name, known);
}

/* ------------------------------------------------------------ what a row is of */

static status missing_name(const reading *r, const char *what, errbuf *err) {
    return fail(err, ST_INVALID,
                "%s: neither the %s nor its path says of what %s it is: name it with --%s",
                r->path, r->layout.table->name, what, what);
}

/* The device of a row: its own word for it, else the option's, else the path's. *taken is false
 * for a row of another device than the option's. */
static status choose_device(import_group *out, bool *taken, const reading *r, const char *named,
                            errbuf *err) {
    const char *wanted = r->options_names.device;
    const char *other = *wanted ? wanted : r->from_path.device;
    *taken = true;
    if (!named) {
        if (!*other) return missing_name(r, "device", err);
        strcpy(out->device, other);
        return ST_OK;
    }
    if (!import_device_name(out->device, named))
        return fail(err, ST_FORMAT,
                    "%s: the name of a device is empty or longer than %d letters", r->path,
                    IMPORT_NAME_MAX);
    *taken = !*wanted || strcmp(wanted, out->device) == 0;
    return ST_OK;
}

/* The same of the model; "" for tables that are of none. */
static status choose_model(import_group *out, bool *taken, const reading *r,
                           const import_row *row, errbuf *err) {
    const char *named = row->model, *wanted = r->options_names.model;
    const char *other = *wanted ? wanted : r->from_path.model;
    out->model[0] = '\0';
    if (!r->layout.table->has_model || row->no_model) return ST_OK;
    if (!named) {
        if (!*other) return missing_name(r, "model", err);
        strcpy(out->model, other);
        return ST_OK;
    }
    if (!import_model_name(out->model, named))
        return fail(err, ST_FORMAT,
                    "%s: the name of a model is empty or longer than %d letters", r->path,
                    IMPORT_NAME_MAX);
    *taken = *taken && (!*wanted || strcmp(wanted, out->model) == 0);
    return ST_OK;
}

static status choose_tp(uint32_t *tp, bool *taken, const reading *r, uint32_t named,
                        errbuf *err) {
    uint32_t wanted = r->options->tp;
    *tp = named ? named : wanted ? wanted : r->from_path.tp;
    if (*tp == 0) return missing_name(r, "tp", err);
    *taken = *taken && (!named || !wanted || named == wanted);
    return ST_OK;
}

/* ------------------------------------------------------------ groups */

static status add_group(reading *r, const import_group *of, errbuf *err) {
    imported *all = r->all;
    import_group *groups = realloc(all->groups, (all->n_groups + 1) * sizeof(*groups));
    if (groups) all->groups = groups;
    char *source = strdup(r->path);
    if (!groups || !source) {
        free(source);
        return fail(err, ST_NO_MEMORY, "%s: out of memory", r->path);
    }
    import_group *g = &groups[all->n_groups++];
    *g = *of;
    g->source = source;
    return ST_OK;
}

static bool is_group(const import_group *g, const import_group *of) {
    return g->tp == of->tp && strcmp(g->device, of->device) == 0 &&
           strcmp(g->model, of->model) == 0;
}

/* The group of this file's samples with the same names and tp. Rows of one group mostly follow
 * each other. */
static status find_group(import_group **out, reading *r, const import_group *of, errbuf *err) {
    imported *all = r->all;
    size_t i = r->last_group;
    if (i >= all->n_groups || !is_group(&all->groups[i], of))
        for (i = r->first_group; i < all->n_groups && !is_group(&all->groups[i], of);) i++;
    if (i == all->n_groups) TRY(add_group(r, of, err));
    r->last_group = i;
    *out = &all->groups[i];
    return ST_OK;
}

/* ------------------------------------------------------------ rows */

/* Kernels of a model whose table does not tell their heads. */
static void fill_heads(sample *s, const char *model_name) {
    bool attends = s->op == OP_PREFILL_ATTENTION || s->op == OP_DECODE_ATTENTION ||
                   s->op == OP_MIXED_ATTENTION;
    const model_spec *model = model_spec_find(model_name);
    if (!attends || s->n_heads || !model) return;
    s->n_heads = model->n_heads > s->tp ? model->n_heads / s->tp : 1;
    s->n_kv_heads = model->n_kv_heads > s->tp ? model->n_kv_heads / s->tp : 1;
    s->head_dim = model->head_dim;
}

static status append(import_group *g, const sample *s, const char *path, errbuf *err) {
    if (g->n == g->capacity) {
        size_t capacity = g->capacity ? 2 * g->capacity : 256;
        sample *samples = realloc(g->samples, capacity * sizeof(*samples));
        if (!samples)
            return fail(err, ST_NO_MEMORY, "%s: out of memory for %zu samples", path, capacity);
        g->samples = samples;
        g->capacity = capacity;
    }
    g->samples[g->n++] = *s;
    return ST_OK;
}

/* All samples of a row have one device, model and tp. */
static status keep_row(reading *r, const import_row *row, errbuf *err) {
    r->all->n_left_out += row->n_left_out;
    if (row->n == 0) return ST_OK;
    import_group of = {0};
    bool taken = true;
    TRY(choose_device(&of, &taken, r, row->device, err));
    TRY(choose_model(&of, &taken, r, row, err));
    TRY(choose_tp(&of.tp, &taken, r, row->samples[0].tp, err));
    if (!taken) {
        r->all->n_left_out += row->n;
        return ST_OK;
    }
    import_group *g = NULL;
    TRY(find_group(&g, r, &of, err));
    for (size_t i = 0; i < row->n; i++) {
        sample s = row->samples[i];
        s.tp = of.tp;
        if (r->layout.table->has_model) fill_heads(&s, of.model);
        TRY(append(g, &s, r->path, err));
    }
    return ST_OK;
}

static status read_line(reading *r, import_row *row, char *line, errbuf *err) {
    TRY(import_split(row, &r->layout, line, err));
    return r->layout.table->read(row, err);
}

static status read_rows(reading *r, line_reader *lines, errbuf *err) {
    imported *all = r->all;
    import_row row = {.file = r->path};
    for (;;) {
        char *line;
        size_t n;
        errbuf wrong = {0};
        status st = line_reader_next(lines, &line, &n, &wrong);
        if (st == ST_END) return ST_OK;
        row.line = line_reader_line(lines);
        if (st == ST_OK && n == 0) continue;
        all->n_rows++;
        if (st == ST_OK) st = read_line(r, &row, line, &wrong);
        if (st == ST_OK)
            TRY(keep_row(r, &row, err));
        else if (st != ST_FORMAT || !r->options->skip_bad)
            return fail(err, st, "%s", wrong.text);
        else if (all->n_bad++ == 0)
            all->first_bad = wrong;
    }
}

/* ------------------------------------------------------------ files */

static status name_options(reading *r, errbuf *err) {
    const import_options *o = r->options;
    if (o->device && !import_device_name(r->options_names.device, o->device))
        return fail(err, ST_INVALID, "the device '%.40s' needs a name of 1 to %d letters",
                    o->device, IMPORT_NAME_MAX);
    if (o->model && !import_model_name(r->options_names.model, o->model))
        return fail(err, ST_INVALID, "the model '%.40s' needs a name of 1 to %d letters",
                    o->model, IMPORT_NAME_MAX);
    return ST_OK;
}

static size_t n_samples_from(const imported *all, size_t first_group) {
    size_t n = 0;
    for (size_t i = first_group; i < all->n_groups; i++) n += all->groups[i].n;
    return n;
}

static status read_file(imported *all, const import_source *source, line_reader *lines,
                        const char *path, const import_options *options, errbuf *err) {
    reading r = {.all = all, .options = options, .path = path, .first_group = all->n_groups};
    r.last_group = r.first_group;
    TRY(name_options(&r, err));
    char *header;
    size_t n;
    status st;
    do st = line_reader_next(lines, &header, &n, err);
    while (st == ST_OK && *header == '#'); /* what a table says of itself */
    if (st == ST_END) return fail(err, ST_FORMAT, "%s: the file is empty", path);
    if (st != ST_OK) return st;
    char where[512];
    snprintf(where, sizeof(where), "%s:%llu", path,
             (unsigned long long)line_reader_line(lines));
    TRY(import_bind(&r.layout, source, header, where, err));
    const import_table *table = r.layout.table;
    import_names_of_path(&r.from_path, path, table->word, table->path);
    TRY(read_rows(&r, lines, err));
    if (n_samples_from(all, r.first_group) == 0)
        return fail(err, ST_FORMAT,
                    "%s: the %s has no row that can be used (format %s, device %s, model %s)",
                    path, table->name, source->name, options->device ? options->device : "any",
                    options->model ? options->model : "any");
    return ST_OK;
}

void imported_finish(imported *all) {
    for (size_t i = 0; i < all->n_groups; i++) {
        free(all->groups[i].source);
        free(all->groups[i].samples);
    }
    free(all->groups);
    *all = (imported){0};
}

status profile_read_format(imported *out, const char *format, char *const *files,
                           size_t n_files, const import_options *options, errbuf *err) {
    const import_source *source = NULL;
    TRY(find_source(&source, format, err));
    imported all = {0};
    status st = ST_OK;
    for (size_t i = 0; i < n_files && st == ST_OK; i++) {
        line_reader *lines = NULL;
        st = line_reader_open(&lines, files[i], err);
        if (st == ST_OK) st = read_file(&all, source, lines, files[i], options, err);
        line_reader_close(lines);
    }
    if (st != ST_OK) {
        imported_finish(&all);
        return st;
    }
    *out = all;
    return ST_OK;
}

status profile_read_memory(imported *out, const char *format, const void *bytes, size_t n,
                           const char *path, const import_options *options, errbuf *err) {
    const import_source *source = NULL;
    TRY(find_source(&source, format, err));
    imported all = {0};
    line_reader *lines = NULL;
    TRY(line_reader_open_memory(&lines, bytes, n, path, err));
    status st = read_file(&all, source, lines, path, options, err);
    line_reader_close(lines);
    if (st != ST_OK) {
        imported_finish(&all);
        return st;
    }
    *out = all;
    return ST_OK;
}
