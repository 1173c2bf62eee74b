/* fuzz_profile_file.c - any bytes as a whole table in each format, under any path. The first
 * line is the path, from which the names are read; the rest is the file. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    const uint8_t *end = n ? memchr(data, '\n', n) : NULL;
    size_t n_path = end ? (size_t)(end - data) : 0;
    char *path = malloc(n_path + 1);
    if (!path) return 0;
    if (n_path) memcpy(path, data, n_path);
    path[n_path] = '\0';
    const uint8_t *text = end ? end + 1 : data;
    size_t n_text = end ? n - n_path - 1 : n;
    const import_options options = {0};
    const char *ignored, *format;
    for (size_t i = 0; (format = import_format(i, &ignored)); i++) {
        imported all = {0};
        errbuf err = {0};
        status st = profile_read_memory(&all, format, text, n_text, path, &options, &err);
        if (st == ST_OK ? all.n_groups == 0 : err.text[0] == '\0') abort();
        imported_finish(&all);
    }
    free(path);
    return 0;
}
