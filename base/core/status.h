/* status.h - how a function says that it failed, and why.
 *
 * A fallible function returns a status and is MUST_USE. Whoever knows the detail (file, line,
 * value) writes it once into the caller's errbuf; callers above pass it on untouched, and only
 * main prints it. A bug is an assert, not a status. */
#ifndef STATUS_H
#define STATUS_H

#define MUST_USE __attribute__((warn_unused_result))

/* code, text */
#define STATUS_LIST(X)                                                                         \
    X(ST_OK, "ok")                                                                             \
    X(ST_INVALID, "invalid argument")                                                          \
    X(ST_NO_MEMORY, "out of memory")                                                           \
    X(ST_NO_BLOCKS, "out of KV blocks")                                                        \
    X(ST_END, "end of stream")                                                                 \
    X(ST_IO, "input or output failed")                                                         \
    X(ST_FORMAT, "malformed input")                                                            \
    X(ST_NOT_FOUND, "not found")                                                               \
    X(ST_BUSY, "in use by another process")                                                    \
    X(ST_VERSION, "made by another version")                                                   \
    X(ST_ABORTED, "aborted as the modelled system does")                                       \
    X(ST_STUCK, "no progress is possible")                                                     \
    X(ST_INTERRUPTED, "interrupted")

/* Returns from the calling function with what f gave, unless that is ST_OK. */
#define TRY(f)                                                                                 \
    do {                                                                                       \
        status try_status = (f);                                                               \
        if (try_status != ST_OK) return try_status;                                            \
    } while (0)

typedef enum status {
#define X(code, text) code,
    STATUS_LIST(X)
#undef X
} status;

/* Room for one message. Start from {0}; text is always terminated. */
typedef struct errbuf {
    char text[512];
} errbuf;

/* The text of a code; never NULL. */
const char *status_text(status st);

/* Writes the message into err (which may be NULL), cut to fit, and returns st. */
status fail(errbuf *err, status st, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
