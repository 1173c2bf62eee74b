/* compare_json.c - the comparison as JSON. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "compare.h"
#include "json_text.h"

/* A text of the store that is JSON itself; as a plain string if it is not. */
static json_t *embedded(const char *text) {
    json_t *json = text ? json_loads(text, JSON_DECODE_ANY, NULL) : json_null();
    return json ? json : json_text(text);
}

/* {name: number or null}: the figures of run, or their ratios to base when it is not NULL. */
static json_t *figures_json(const stored_run *run, const stored_run *base) {
    json_t *json = json_object();
    for (int i = 0; i < N_FIGURES && json; i++) {
        figure_id id = (figure_id)i;
        double value = run->figures.value[i];
        bool known = base ? compare_ratio(&value, base, run, id) : run->figures.known[i];
        /* JSON has no infinity. */
        json_t *number = !known || !isfinite(value)     ? json_null()
                         : !base && figure_is_whole(id) ? json_integer((json_int_t)value)
                                                        : json_real(value);
        if (json_object_set_new(json, figure_name(id), number) == 0) continue;
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *run_json(const stored_run *r) {
    /* `o` takes the reference, and fails without one. */
    return json_pack(
        "{s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o}",
        "id", (json_int_t)r->id, "created_utc", json_text(r->created_utc), "commit_hash",
        json_text(r->commit_hash), "machine", embedded(r->machine), "seed", (json_int_t)r->seed,
        "label", json_text(r->label), "trace", json_text(r->trace), "backend",
        json_text(r->backend), "device", json_text(r->device), "model", json_text(r->model),
        "policy", json_text(r->policy), "settings", embedded(r->settings), "outcome",
        json_text(r->outcome), "message", json_text(r->message), "request_stride",
        (json_int_t)r->request_stride, "figures", figures_json(r, NULL));
}

static json_t *ratio_json(const stored_run *base, const stored_run *run) {
    return json_pack("{s:I, s:I, s:o}", "run", (json_int_t)run->id, "base",
                     (json_int_t)base->id, "figures", figures_json(run, base));
}

static json_t *comparison_json(const stored_run *runs, size_t n) {
    json_t *list = json_array(), *ratios = json_array();
    int failed = 0;
    for (size_t i = 0; i < n; i++) failed |= json_array_append_new(list, run_json(&runs[i]));
    for (size_t i = 1; i < n; i++)
        failed |= json_array_append_new(ratios, ratio_json(&runs[0], &runs[i]));
    json_t *json = json_pack("{s:o, s:o}", "runs", list, "ratios", ratios);
    if (!failed) return json;
    json_decref(json);
    return NULL;
}

status compare_write_json(FILE *out, const stored_run *runs, size_t n) {
    json_t *json = comparison_json(runs, n);
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    if (!text) return ST_NO_MEMORY;
    errno = 0;
    bool written = fputs(text, out) >= 0 && fputc('\n', out) != EOF && fflush(out) == 0;
    free(text);
    return written ? ST_OK : ST_IO;
}
