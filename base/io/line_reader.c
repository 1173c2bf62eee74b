#include "line_reader.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* Twice the longest line: what is left of one line never keeps a long read from fitting in. */
enum { BUFFER_BYTES = 2 * LINE_READER_MAX_BYTES, READ_BYTES = 1 << 18 };

struct line_reader {
    char *name;
    gzFile file; /* NULL when reading from memory */
    const char *memory;
    size_t memory_left;

    uint64_t line;
    bool at_end; /* of the input; the buffer may hold lines still */
    bool broken; /* an unreadable input stays so */
    int reason;  /* errno of the failed read */

    /* [0, start) handed out  [start, end) unread  [end, BUFFER_BYTES] free, 1 for the NUL */
    size_t start, end;
    char buffer[BUFFER_BYTES + 1];
};

static status reader_create(line_reader **out, const char *name, errbuf *err) {
    line_reader *r = malloc(sizeof(*r));
    size_t n = strlen(name) + 1;
    char *copy = malloc(n);
    if (!r || !copy) {
        free(r);
        free(copy);
        return fail(err, ST_NO_MEMORY, "%s: out of memory", name);
    }
    memcpy(copy, name, n);
    /* All but the buffer, which needs no clearing. */
    memset(r, 0, offsetof(line_reader, buffer));
    r->name = copy;
    *out = r;
    return ST_OK;
}

/* gzopen() reads plain files as they are. */
static gzFile open_file(const char *path) {
    if (strcmp(path, "-") != 0) return gzopen(path, "rb");
    int fd = dup(STDIN_FILENO);
    if (fd < 0) return NULL;
    gzFile file = gzdopen(fd, "rb");
    if (!file) close(fd);
    return file;
}

status line_reader_open(line_reader **out, const char *path, errbuf *err) {
    line_reader *r = NULL;
    status st = reader_create(&r, path, err);
    if (st != ST_OK) return st;
    errno = 0; /* zlib leaves it alone when memory is what it lacks */
    r->file = open_file(path);
    if (!r->file) {
        int reason = errno;
        line_reader_close(r);
        if (reason == 0) return fail(err, ST_NO_MEMORY, "%s: out of memory", path);
        return fail(err, ST_IO, "%s: cannot be opened: %s", path, strerror(reason));
    }
    gzbuffer(r->file, 1 << 16); /* the default of 8 KiB is slow */
    *out = r;
    return ST_OK;
}

status line_reader_open_memory(line_reader **out, const void *bytes, size_t n, const char *name,
                               errbuf *err) {
    line_reader *r = NULL;
    status st = reader_create(&r, name, err);
    if (st != ST_OK) return st;
    r->memory = bytes;
    r->memory_left = n;
    *out = r;
    return ST_OK;
}

void line_reader_close(line_reader *r) {
    if (!r) return;
    if (r->file) gzclose_r(r->file); /* what it could report, next() has reported */
    free(r->name);
    free(r);
}

/* Why the file cannot be read on; called when it gave an error or ended. ST_OK: a true end. */
static status file_state(line_reader *r, errbuf *err) {
    int code;
    const char *text = gzerror(r->file, &code);
    if (code == Z_OK || code == Z_STREAM_END) return ST_OK;
    if (!r->broken) r->reason = errno;
    r->broken = true;
    if (code == Z_BUF_ERROR)
        return fail(err, ST_IO, "%s: the gzip file is cut off behind line %llu; fetch it again",
                    r->name, (unsigned long long)r->line);
    if (code == Z_ERRNO)
        return fail(err, ST_IO, "%s: cannot be read behind line %llu: %s", r->name,
                    (unsigned long long)r->line, strerror(errno));
    return fail(err, ST_IO,
                "%s: the gzip file is corrupt behind line %llu (%s); fetch it again", r->name,
                (unsigned long long)r->line, text);
}

/* Moves the unread bytes to the front and reads more behind them. */
static status fill(line_reader *r, errbuf *err) {
    memmove(r->buffer, r->buffer + r->start, r->end - r->start);
    r->end -= r->start;
    r->start = 0;
    size_t room = BUFFER_BYTES - r->end;
    if (room > READ_BYTES) room = READ_BYTES;
    if (r->file) {
        int got = gzread(r->file, r->buffer + r->end, (unsigned)room);
        if (got > 0)
            r->end += (size_t)got;
        else {
            r->at_end = true;
            return file_state(r, err);
        }
    } else {
        size_t n = r->memory_left < room ? r->memory_left : room;
        if (n == 0)
            r->at_end = true;
        else
            memcpy(r->buffer + r->end, r->memory, n);
        r->memory += n;
        r->memory_left -= n;
        r->end += n;
    }
    return ST_OK;
}

/* Drops bytes up to and including the next line end. */
static status skip_rest_of_line(line_reader *r, errbuf *err) {
    for (;;) {
        char *end = memchr(r->buffer + r->start, '\n', r->end - r->start);
        if (end) {
            r->start = (size_t)(end - r->buffer) + 1;
            return ST_OK;
        }
        r->start = r->end;
        if (r->at_end) return ST_OK;
        status st = fill(r, err);
        if (st != ST_OK) return st;
    }
}

static status too_long(line_reader *r, errbuf *err) {
    r->line++;
    status st = skip_rest_of_line(r, err);
    if (st != ST_OK) return st;
    return fail(err, ST_FORMAT,
                "%s:%llu: the line is longer than %d bytes; is this a text file?", r->name,
                (unsigned long long)r->line, LINE_READER_MAX_BYTES);
}

/* Finds where the line that starts at r->start ends; *n is its length with the line end, of
 * *end_bytes bytes. */
static status find_end(line_reader *r, size_t *n, size_t *end_bytes, errbuf *err) {
    size_t searched = 0;
    for (;;) {
        const char *from = r->buffer + r->start + searched;
        const char *end = memchr(from, '\n', r->end - r->start - searched);
        searched = r->end - r->start;
        if (end) {
            *n = (size_t)(end - (r->buffer + r->start)) + 1;
            *end_bytes = *n >= 2 && end[-1] == '\r' ? 2 : 1;
            return ST_OK;
        }
        if (searched > LINE_READER_MAX_BYTES + 1) return too_long(r, err);
        if (r->at_end) {
            *n = searched;
            *end_bytes = 0;
            return searched ? ST_OK : ST_END;
        }
        status st = fill(r, err);
        if (st != ST_OK) return st;
    }
}

status line_reader_next(line_reader *r, char **line, size_t *n, errbuf *err) {
    if (r->broken) return file_state(r, err);
    size_t length = 0, end_bytes = 0;
    status st = find_end(r, &length, &end_bytes, err);
    if (st != ST_OK) return st;
    if (length - end_bytes > LINE_READER_MAX_BYTES) return too_long(r, err);
    r->line++;
    char *text = r->buffer + r->start;
    r->start += length;
    length -= end_bytes;
    text[length] = '\0';
    const char *nul = memchr(text, '\0', length);
    if (nul)
        return fail(err, ST_FORMAT,
                    "%s:%llu: byte %zu of the line is NUL; is this a text file?", r->name,
                    (unsigned long long)r->line, (size_t)(nul - text) + 1);
    *line = text;
    *n = length;
    return ST_OK;
}

const char *line_reader_name(const line_reader *r) {
    return r->name;
}

uint64_t line_reader_line(const line_reader *r) {
    return r->line;
}
