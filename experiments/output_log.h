/* output_log.h - the token ids that a real run generated, one line per finished request.
 *
 * Lines are in the order of request ids, whatever the order of finishing: "ID: TOKEN TOKEN
 * ...". All is kept until the log is closed. */
#ifndef OUTPUT_LOG_H
#define OUTPUT_LOG_H

#include <stdint.h>

#include "status.h"

typedef struct output_log output_log;

/* Creates or overwrites path. ST_IO with a message, ST_NO_MEMORY. */
MUST_USE status output_log_open(output_log **out, const char *path, errbuf *err);

/* Keeps tokens[0..n) of a request; context is the log, as an executor calls it. That there is
 * no memory is told by close. */
void output_log_add(void *context, uint64_t request_id, const uint32_t *tokens, uint32_t n);

/* Writes the lines. ST_IO, ST_NO_MEMORY. l may be NULL. */
MUST_USE status output_log_close(output_log *l, errbuf *err);

#endif
