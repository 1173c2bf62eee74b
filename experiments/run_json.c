#include "run_json.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build_commit.h"
#include "json_text.h"

static json_t *figures_json(const run_figures *f) {
    json_t *all = json_object();
    for (int id = 0; id < N_FIGURES; id++) {
        json_t *value = !f->known[id]         ? json_null()
                        : figure_is_whole(id) ? json_integer((json_int_t)f->value[id])
                                              : json_real(f->value[id]);
        json_object_set_new(all, figure_name(id), value);
    }
    return all;
}

static const char *outcome_text(status result) {
    switch (result) {
    case ST_OK:
        return "finished";
    case ST_ABORTED:
        return "aborted";
    case ST_STUCK:
        return "stuck";
    case ST_INTERRUPTED:
        return "interrupted";
    default:
        return "failed";
    }
}

/* null without a predictor. */
static json_t *drifts_json(const belief *b) {
    if (!b) return json_null();
    uint32_t n;
    uint64_t n_all;
    const noticed_drift *drifts = belief_drifts(b, &n, &n_all);
    json_t *list = json_array();
    for (uint32_t i = 0; i < n; i++)
        json_array_append_new(list,
                              json_pack("{s:f, s:I, s:s, s:f}", "t_s", drifts[i].t_s,
                                        "iteration", (json_int_t)drifts[i].iteration, "of",
                                        drifts[i].of_copies ? "copies" : "iterations", "factor",
                                        drifts[i].factor));
    return list;
}

static json_t *make_json(const run_json *j) {
    json_t *all = figures_json(j->figures);
    json_object_set_new(all, "outcome", json_string(outcome_text(j->result)));
    json_object_set_new(all, "message", json_text(j->message));
    json_object_set_new(all, "n_skipped_lines", json_integer((json_int_t)j->n_skipped_lines));
    json_object_set_new(all, "n_cut_outputs", json_integer((json_int_t)j->cut->n_requests));
    json_object_set_new(all, "n_cut_tokens", json_integer((json_int_t)j->cut->n_tokens));
    json_object_set_new(all, "host_step_s",
                        isnan(j->host_step_s) ? json_null() : json_real(j->host_step_s));
    json_object_set_new(all, "commit",
                        json_text(strcmp(BUILD_COMMIT, "unknown") ? BUILD_COMMIT : NULL));
    json_object_set_new(all, "drifts", drifts_json(j->belief));
    json_object_set_new(all, "settings", json_loads(j->settings, 0, NULL));
    return all;
}

status run_json_write(const run_json *j, const char *path, errbuf *err) {
    json_t *all = make_json(j);
    char *text = json_dumps(all, JSON_INDENT(2));
    json_decref(all);
    if (!text) return fail(err, ST_NO_MEMORY, "out of memory for the JSON figures");
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *file = to_stdout ? stdout : fopen(path, "w");
    bool written = file && fprintf(file, "%s\n", text) > 0 && fflush(file) == 0;
    if (file && !to_stdout && fclose(file) != 0) written = false;
    free(text);
    return written ? ST_OK : fail(err, ST_IO, "write %s: %s", path, strerror(errno));
}
