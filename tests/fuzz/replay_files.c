/* replay_files.c - stands in for libFuzzer: gives each file of the folders named in argv to the
 * target once, so that every build reads the seeds. */
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED_BYTES_MAX = 1 << 20 };

static int fail_on(const char *path, const char *why) {
    fprintf(stderr, "%s: %s\n", path, why);
    return EXIT_FAILURE;
}

/* The target gets a copy of just the right size, so that a sanitizer sees it read beyond. */
static void run_target(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact) abort();
    if (size) memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static int replay_file(const char *path) {
    static uint8_t data[SEED_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    if (!file) return fail_on(path, "cannot be opened");
    size_t size = fread(data, 1, sizeof(data), file);
    bool whole = !ferror(file) && size < sizeof(data);
    fclose(file);
    if (!whole) return fail_on(path, "cannot be read, or is over 1 MiB: keep seeds small");
    run_target(data, size);
    return EXIT_SUCCESS;
}

static int replay_folder(const char *folder, size_t *n_files) {
    DIR *dir = opendir(folder);
    if (!dir) return fail_on(folder, "cannot be opened");
    int result = EXIT_SUCCESS;
    for (struct dirent *entry; result == EXIT_SUCCESS && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        char path[4096];
        int n = snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (n < 0 || (size_t)n >= sizeof(path))
            result = fail_on(folder, "path too long");
        else
            result = replay_file(path);
        ++*n_files;
    }
    closedir(dir);
    return result;
}

int main(int argc, char **argv) {
    size_t n_files = 0;
    for (int i = 1; i < argc; i++)
        if (replay_folder(argv[i], &n_files) != EXIT_SUCCESS) return EXIT_FAILURE;
    if (n_files == 0) return fail_on(argc > 1 ? argv[1] : "no folder", "holds no seeds");
    printf("%zu seeds\n", n_files);
    return EXIT_SUCCESS;
}
