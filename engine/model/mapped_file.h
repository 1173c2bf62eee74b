/* mapped_file.h - a whole file as read-only memory. */
#ifndef MAPPED_FILE_H
#define MAPPED_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

typedef struct mapped_file {
    const uint8_t *bytes; /* [n]; not NULL, even of an empty file */
    size_t n;
} mapped_file;

/* On error *out is not written. ST_IO: cannot be opened or mapped, or is no regular file. */
MUST_USE status mapped_file_init(mapped_file *out, const char *path, errbuf *err);

/* *f may be all zeros. */
void mapped_file_finish(mapped_file *f);

#endif
