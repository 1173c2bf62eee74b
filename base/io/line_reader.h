/* line_reader.h - the lines of a text file, one at a time, plain or gzip-compressed.
 *
 * Lines end in LF or CRLF; the last may have no end. Memory is constant: one buffer that holds
 * the longest line allowed. The reader knows where it is, so that its caller can say so.
 * Must not know: what the lines mean.
 * Threads: none; one owner. */
#ifndef LINE_READER_H
#define LINE_READER_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

enum { LINE_READER_MAX_BYTES = 1 << 20 }; /* of one line, without its end */

typedef struct line_reader line_reader;

/* Opens a file; "-" is standard input. On error *out is not written.
 * ST_IO: cannot be opened. ST_NO_MEMORY. */
MUST_USE status line_reader_open(line_reader **out, const char *path, errbuf *err);

/* Reads from bytes[0..n) instead, which must outlive the reader; name stands in messages.
 * ST_NO_MEMORY. */
MUST_USE status line_reader_open_memory(line_reader **out, const void *bytes, size_t n,
                                        const char *name, errbuf *err);

/* r may be NULL. */
void line_reader_close(line_reader *r);

/* The next line, without its end, terminated by NUL; the caller may write into it, and it is
 * valid until the next call. *n is its length.
 * ST_END: no more lines.
 * ST_FORMAT: this line is too long or holds a NUL byte; the next call goes on behind it.
 * ST_IO: unreadable, or a gzip file that is cut or corrupt; every further call says so again.
 */
MUST_USE status line_reader_next(line_reader *r, char **line, size_t *n, errbuf *err);

/* As given to open. */
const char *line_reader_name(const line_reader *r);

/* Number of the line handed out last, from 1; 0 before the first. */
uint64_t line_reader_line(const line_reader *r);

#endif
