#include "timeline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRACK_COMPUTE = 1, TRACK_ORDERED, TRACK_TO_HOST, TRACK_TO_DEVICE };

struct timeline {
    FILE *file;
    char *path;
};

static void name_track(FILE *f, int track, const char *name) {
    fprintf(f,
            "{\"ph\":\"M\",\"pid\":1,\"tid\":%d,\"name\":\"thread_name\",\"args\":{\"name\":\"%"
            "s\"}},\n",
            track, name);
}

status timeline_open(timeline **out, const char *path, errbuf *err) {
    timeline *t = calloc(1, sizeof(*t));
    char *copy = strdup(path);
    FILE *file = t && copy ? fopen(path, "w") : NULL;
    if (!file) {
        free(t);
        free(copy);
        return fail(err, ST_IO, "open %s: %s", path, strerror(errno));
    }
    *t = (timeline){file, copy};
    fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n", file);
    name_track(file, TRACK_COMPUTE, "compute");
    name_track(file, TRACK_ORDERED, "ordered copies");
    name_track(file, TRACK_TO_HOST, "copies to the host");
    name_track(file, TRACK_TO_DEVICE, "copies to the device");
    *out = t;
    return ST_OK;
}

static double us(int64_t ns) {
    return (double)ns * 1e-3;
}

static void counter(timeline *t, const char *name, int64_t ns, uint64_t value) {
    fprintf(t->file,
            "{\"ph\":\"C\",\"pid\":1,\"name\":\"%s\",\"ts\":%.3f,\"args\":{\"n\":%" PRIu64
            "}},\n",
            name, us(ns), value);
}

static void slice(timeline *t, int track, const char *name, double start_us, double length_us) {
    fprintf(
        t->file,
        "{\"ph\":\"X\",\"pid\":1,\"tid\":%d,\"name\":\"%s\",\"ts\":%.3f,\"dur\":%.3f,\"args\":",
        track, name, start_us, length_us);
}

void timeline_iterated(timeline *t, const iteration_span *span) {
    const plan *p = span->plan;
    const completion *c = span->completion;
    double start_us = us(c->start_ns), copies_us = c->ordered_copy_s * 1e6;
    uint64_t n_out = 0, n_in = 0;
    for (uint32_t i = 0; i < p->n_copies; i++)
        if (p->copies[i].ordered)
            *(p->copies[i].direction == LINK_TO_HOST ? &n_out : &n_in) += p->copies[i].n_pairs;
    if (n_out + n_in > 0) {
        slice(t, TRACK_ORDERED, n_out ? "swap out" : "swap in", start_us, copies_us);
        fprintf(t->file, "{\"out_blocks\":%" PRIu64 ",\"in_blocks\":%" PRIu64 "}},\n", n_out,
                n_in);
    }
    if (p->n_tokens > 0) {
        const char *name = p->n_chunks == 0 ? "decode" : p->runs_cohort ? "mixed" : "prefill";
        slice(t, TRACK_COMPUTE, name, start_us + copies_us,
              us(c->end_ns[c->n_iterations - 1]) - start_us - copies_us);
        fprintf(t->file,
                "{\"iterations\":%" PRIu32 ",\"tokens\":%" PRIu32 ",\"chunks\":%" PRIu32
                ",\"preempted\":%" PRIu32 "}},\n",
                c->n_iterations, p->n_tokens, p->n_chunks, p->n_preempted);
    }
    counter(t, "running", c->start_ns, span->n_running);
    counter(t, "waiting", c->start_ns, span->n_waiting);
    counter(t, "swapped", c->start_ns, span->n_swapped);
    counter(t, "free device blocks", c->start_ns, span->n_free_device[0]);
}

void timeline_copied(timeline *t, const copy_in_flight *copy, const completion *c) {
    bool out = copy->direction == LINK_TO_HOST;
    const char *name = !out ? "swap in" : copy->write_back ? "write back" : "swap out";
    slice(t, out ? TRACK_TO_HOST : TRACK_TO_DEVICE, name, us(c->now_ns) - c->copy_s * 1e6,
          c->copy_s * 1e6);
    fprintf(t->file, "{\"id\":%" PRIu64 ",\"blocks\":%" PRIu32 ",\"pieces\":%" PRIu32 "}},\n",
            c->copy_id, copy->n_blocks, copy->n_segments);
}

status timeline_close(timeline *t, errbuf *err) {
    if (!t) return ST_OK;
    /* The list needs an entry without a comma behind it. */
    fputs("{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"device\"}}\n]"
          "}\n",
          t->file);
    bool failed = ferror(t->file) != 0;
    failed |= fclose(t->file) != 0;
    status st = failed ? fail(err, ST_IO, "write %s: %s", t->path, strerror(errno)) : ST_OK;
    free(t->path);
    free(t);
    return st;
}
