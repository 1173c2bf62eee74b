/* step_log.c - the writing half of step_times.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step_times.h"

struct step_log {
    FILE *file;
    char *path;
    executor_usage usage; /* as last asked for */
};

/* What stands between. */
typedef struct watched {
    executor inner;
    step_log *log;
    uint32_t n_tokens; /* of the plan at hand */
} watched;

status step_log_open(step_log **out, const char *path, errbuf *err) {
    step_log *l = calloc(1, sizeof(*l));
    char *copy = strdup(path);
    FILE *file = l && copy ? fopen(path, "w") : NULL;
    if (!file) {
        free(l);
        free(copy);
        return fail(err, ST_IO, "open %s: %s", path, strerror(errno));
    }
    *l = (step_log){.file = file, .path = copy};
    fputs("# adaptivellm step times 1\n", file);
    *out = l;
    return ST_OK;
}

static void write_completion(step_log *l, const completion *c, uint32_t n_tokens) {
    if (c->kind == COMPLETION_COPY)
        fprintf(l->file, "c %" PRIu64 " %" PRId64 " %.17g\n", c->copy_id, c->now_ns, c->copy_s);
    if (c->kind != COMPLETION_COMPUTE) return;
    for (uint32_t i = 0; i < c->n_iterations; i++)
        fprintf(l->file, "i %" PRId64 " %" PRIu32 " %.17g %.17g\n", c->end_ns[i], n_tokens,
                i == 0 ? c->ordered_copy_s : 0.0, i == 0 ? c->recompute_s : 0.0);
}

static status admit(void *context, const sequence_table *seqs, uint32_t seq,
                    uint32_t n_output) {
    watched *w = context;
    return w->inner.admit(w->inner.context, seqs, seq, n_output);
}

static status submit(void *context, const plan *p, errbuf *err) {
    watched *w = context;
    if (plan_occupies_compute(p)) w->n_tokens = p->n_tokens;
    return w->inner.submit(w->inner.context, p, err);
}

static status next(void *context, int64_t until_ns, completion *out, errbuf *err) {
    watched *w = context;
    TRY(w->inner.next(w->inner.context, until_ns, out, err));
    write_completion(w->log, out, w->n_tokens);
    return ST_OK;
}

static int64_t now_ns(void *context) {
    watched *w = context;
    return w->inner.now_ns(w->inner.context);
}

static void usage(void *context, executor_usage *out) {
    watched *w = context;
    w->inner.usage(w->inner.context, out);
    w->log->usage = *out;
}

static void destroy(void *context) {
    watched *w = context;
    w->inner.destroy(w->inner.context);
    free(w);
}

status step_log_watch(step_log *l, executor *e, errbuf *err) {
    watched *w = malloc(sizeof(*w));
    if (!w) return fail(err, ST_NO_MEMORY, "out of memory for the step times");
    *w = (watched){.inner = *e, .log = l};
    e->admit = admit;
    e->submit = submit;
    e->next = next;
    e->now_ns = now_ns;
    e->usage = usage;
    e->destroy = destroy;
    e->context = w;
    return ST_OK;
}

void step_log_ended(step_log *l, uint64_t request_id, uint32_t n_output) {
    fprintf(l->file, "o %" PRIu64 " %" PRIu32 "\n", request_id, n_output);
}

status step_log_close(step_log *l, errbuf *err) {
    if (!l) return ST_OK;
    fprintf(l->file, "u %.17g %.17g\n", l->usage.compute_s, l->usage.link_s);
    bool failed = ferror(l->file) != 0;
    failed |= fclose(l->file) != 0;
    status st = failed ? fail(err, ST_IO, "write %s: %s", l->path, strerror(errno)) : ST_OK;
    free(l->path);
    free(l);
    return st;
}
