#include "mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t nothing[1];

static status map(mapped_file *out, int fd, const char *path, errbuf *err) {
    struct stat about;
    if (fstat(fd, &about) != 0) return fail(err, ST_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode)) return fail(err, ST_IO, "%s: is no regular file", path);
    size_t n = (size_t)about.st_size;
    if (n == 0) {
        *out = (mapped_file){nothing, 0};
        return ST_OK;
    }
    void *bytes = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) return fail(err, ST_IO, "map %s: %s", path, strerror(errno));
    *out = (mapped_file){bytes, n};
    return ST_OK;
}

status mapped_file_init(mapped_file *out, const char *path, errbuf *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not block */
    if (fd < 0) return fail(err, ST_IO, "open %s: %s", path, strerror(errno));
    status st = map(out, fd, path, err);
    close(fd);
    return st;
}

void mapped_file_finish(mapped_file *f) {
    if (f->n > 0) munmap((void *)(uintptr_t)f->bytes, f->n);
    *f = (mapped_file){0};
}
