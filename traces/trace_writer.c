#include "trace_writer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "trace_json.h"

struct trace_writer {
    trace_output_format format;
    char *path;
    char *part_path; /* NULL: written directly */
    gzFile file;     /* NULL once closed */
};

static bool is_regular_or_new(const char *path) {
    struct stat info;
    return strcmp(path, "-") != 0 && (stat(path, &info) != 0 || S_ISREG(info.st_mode));
}

static char *joined(const char *a, const char *b) {
    size_t n = strlen(a) + strlen(b) + 1;
    char *text = malloc(n);
    if (text) snprintf(text, n, "%s%s", a, b);
    return text;
}

/* zlib writes plain bytes in mode T, so that one way of writing serves both. */
static gzFile open_output(const char *path, bool compressed) {
    const char *mode = compressed ? "wb" : "wbT";
    if (strcmp(path, "-") != 0) return gzopen(path, mode);
    int fd = dup(STDOUT_FILENO);
    gzFile file = fd < 0 ? NULL : gzdopen(fd, mode);
    if (!file && fd >= 0) close(fd);
    return file;
}

static status write_failed(trace_writer *w, errbuf *err) {
    return fail(err, ST_IO, "%s: cannot be written: %s", w->path,
                errno ? strerror(errno) : "the stream failed");
}

/* n bytes; n is never 0. */
static status put(trace_writer *w, const char *text, size_t n, errbuf *err) {
    errno = 0;
    return gzwrite(w->file, text, (unsigned)n) == (int)n ? ST_OK : write_failed(w, err);
}

static status put_header(trace_writer *w, errbuf *err) {
    static const char header[] = "arrival_s,n_prompt,n_output,priority,client\n";
    return w->format == TRACE_OUTPUT_CSV ? put(w, header, sizeof(header) - 1, err) : ST_OK;
}

static status writer_start(trace_writer *w, errbuf *err) {
    size_t n = strlen(w->path);
    bool compressed = n > 3 && strcmp(w->path + n - 3, ".gz") == 0;
    if (is_regular_or_new(w->path)) {
        w->part_path = joined(w->path, ".part");
        if (!w->part_path) return fail(err, ST_NO_MEMORY, "%s: out of memory", w->path);
    }
    errno = 0;
    w->file = open_output(w->part_path ? w->part_path : w->path, compressed);
    return w->file ? put_header(w, err) : write_failed(w, err);
}

status trace_writer_open(trace_writer **out, const char *path, trace_output_format format,
                         errbuf *err) {
    trace_writer *w = calloc(1, sizeof(*w));
    char *copy = joined(path, "");
    if (!w || !copy) {
        free(w);
        free(copy);
        return fail(err, ST_NO_MEMORY, "%s: out of memory", path);
    }
    w->format = format;
    w->path = copy;
    status st = writer_start(w, err);
    if (st != ST_OK) {
        trace_writer_close(w);
        return st;
    }
    *out = w;
    return ST_OK;
}

static status add_csv(trace_writer *w, const request *r, uint32_t n_output, errbuf *err) {
    if (r->prefix_ids)
        return fail(err, ST_INVALID,
                    "%s: request %llu has prefix ids, which CSV has no column for; write JSONL",
                    w->path, (unsigned long long)r->id);
    char line[128];
    int n = snprintf(line, sizeof(line), "%lld.%09lld,%u,%u,%d,%u\n",
                     (long long)(r->arrival_ns / 1000000000),
                     (long long)(r->arrival_ns % 1000000000), r->n_prompt, n_output,
                     r->priority, r->client);
    return put(w, line, (size_t)n, err);
}

static status add_prefix(trace_writer *w, const request *r, errbuf *err) {
    char text[64];
    int n = snprintf(text, sizeof(text), ",\"prefix_tokens\":%u,\"prefix_ids\":[",
                     r->prefix_tokens);
    status st = put(w, text, (size_t)n, err);
    for (uint32_t i = 0; i < r->n_prefix_ids && st == ST_OK; i++) {
        if (r->prefix_ids[i] > INT64_MAX)
            return fail(err, ST_INVALID, "%s: the prefix id %llu is too large for JSON",
                        w->path, (unsigned long long)r->prefix_ids[i]);
        n = snprintf(text, sizeof(text), "%s%llu", i ? "," : "",
                     (unsigned long long)r->prefix_ids[i]);
        st = put(w, text, (size_t)n, err);
    }
    return st == ST_OK ? put(w, "]", 1, err) : st;
}

static status add_jsonl(trace_writer *w, const request *r, uint32_t n_output, errbuf *err) {
    if (r->arrival_ns > TRACE_JSON_MAX_NS)
        return fail(
            err, ST_INVALID,
            "%s: request %llu arrives after more than 26 days, which a JSON number cannot "
            "say to the nanosecond; write CSV",
            w->path, (unsigned long long)r->id);
    char text[192];
    int n = snprintf(
        text, sizeof(text),
        "{\"arrival_s\":%lld.%09lld,\"n_prompt\":%u,\"n_output\":%u,\"priority\":%d,"
        "\"client\":%u",
        (long long)(r->arrival_ns / 1000000000), (long long)(r->arrival_ns % 1000000000),
        r->n_prompt, n_output, r->priority, r->client);
    status st = put(w, text, (size_t)n, err);
    if (st == ST_OK && r->prefix_ids) st = add_prefix(w, r, err);
    return st == ST_OK ? put(w, "}\n", 2, err) : st;
}

status trace_writer_add(trace_writer *w, const request *r, uint32_t n_output, errbuf *err) {
    return w->format == TRACE_OUTPUT_CSV ? add_csv(w, r, n_output, err)
                                         : add_jsonl(w, r, n_output, err);
}

status trace_writer_commit(trace_writer *w, errbuf *err) {
    errno = 0;
    int code = gzclose(w->file);
    w->file = NULL;
    if (code != Z_OK) return write_failed(w, err);
    if (!w->part_path) return ST_OK;
    if (rename(w->part_path, w->path) != 0) return write_failed(w, err);
    free(w->part_path); /* nothing is left to remove */
    w->part_path = NULL;
    return ST_OK;
}

void trace_writer_close(trace_writer *w) {
    if (!w) return;
    if (w->file) gzclose(w->file);
    if (w->part_path) remove(w->part_path);
    free(w->part_path);
    free(w->path);
    free(w);
}
