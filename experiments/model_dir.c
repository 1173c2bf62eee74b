#include "model_dir.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool is_model_dir(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* The last part of a path; to be freed. */
static char *last_part(const char *path) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    size_t first = n;
    while (first > 0 && path[first - 1] != '/') first--;
    return strndup(path + first, n - first);
}

static status read_folder(model_dir *f, const char *path, uint32_t bytes_per_value,
                          errbuf *err) {
    f->path = strdup(path);
    f->name = last_part(path);
    if (!f->path || !f->name) return fail(err, ST_NO_MEMORY, "out of memory");
    TRY(model_config_read(&f->config, path, err));
    model_config_spec(&f->spec, &f->config, f->name, bytes_per_value);
    return ST_OK;
}

status model_dir_open(model_dir **out, const char *path, uint32_t bytes_per_value,
                      errbuf *err) {
    model_dir *f = calloc(1, sizeof(*f));
    if (!f) return fail(err, ST_NO_MEMORY, "out of memory");
    status st = read_folder(f, path, bytes_per_value, err);
    if (st == ST_OK)
        *out = f;
    else
        model_dir_close(f);
    return st;
}

void model_dir_close(model_dir *f) {
    if (!f) return;
    free(f->path);
    free(f->name);
    free(f);
}
