#include "iteration_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct iteration_log {
    FILE *file;
    char *path;
};

status iteration_log_open(iteration_log **out, const char *path, errbuf *err) {
    iteration_log *l = calloc(1, sizeof(*l));
    char *copy = strdup(path);
    FILE *file = l && copy ? fopen(path, "w") : NULL;
    if (!file) {
        free(l);
        free(copy);
        return fail(err, ST_IO, "open %s: %s", path, strerror(errno));
    }
    *l = (iteration_log){file, copy};
    fputs("# start_ns end_ns tokens prefills decodes preempted out_blocks in_blocks waiting "
          "running swapped free_device free_host\n",
          file);
    *out = l;
    return ST_OK;
}

static uint64_t blocks_moved(const plan *p, link_direction direction) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < p->n_copies; i++)
        if (p->copies[i].direction == direction) n += p->copies[i].n_pairs;
    return n;
}

void iteration_log_write(iteration_log *l, const iteration_span *span) {
    const plan *p = span->plan;
    const completion *c = span->completion;
    uint32_t n_single = 0; /* decodes outside of the cohort */
    for (uint32_t i = 0; i < p->n_chunks; i++) n_single += p->chunks[i].n_tokens == 1;
    uint32_t n_decodes = n_single + (p->runs_cohort ? p->decodes->n : 0);
    int64_t start_ns = c->start_ns;
    for (uint32_t i = 0; i < c->n_iterations; i++) {
        bool first = i == 0;
        fprintf(l->file,
                "%" PRId64 " %" PRId64 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32
                " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32
                " %" PRIu32 "\n",
                start_ns, c->end_ns[i], p->n_tokens, p->n_chunks - n_single, n_decodes,
                first ? p->n_preempted : 0, first ? blocks_moved(p, LINK_TO_HOST) : 0,
                first ? blocks_moved(p, LINK_TO_DEVICE) : 0, span->n_waiting, span->n_running,
                span->n_swapped, span->n_free_device[i], span->n_free_host[i]);
        start_ns = c->end_ns[i];
    }
}

status iteration_log_close(iteration_log *l, errbuf *err) {
    if (!l) return ST_OK;
    bool failed = ferror(l->file) != 0;
    failed |= fclose(l->file) != 0;
    status st = failed ? fail(err, ST_IO, "write %s: %s", l->path, strerror(errno)) : ST_OK;
    free(l->path);
    free(l);
    return st;
}
