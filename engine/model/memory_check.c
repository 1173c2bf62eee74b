#include "memory_check.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The number behind a key in a file of "KEY NUMBER ..." lines; with an empty key the number
 * that is the whole file. False: no such file, key or number. */
static bool read_number(unsigned long long *out, const char *path, const char *key) {
    FILE *file = fopen(path, "r");
    if (!file) return false;
    char line[256], word[64];
    bool found = false;
    while (!found && fgets(line, sizeof(line), file))
        found = *key ? sscanf(line, "%63s %llu", word, out) == 2 && strcmp(word, key) == 0
                     : sscanf(line, "%llu", out) == 1;
    fclose(file);
    return found;
}

/* What a container's limit leaves; cached files make room. */
static uint64_t group_available_bytes(void) {
    unsigned long long most, used, cached = 0;
    if (!read_number(&most, "/sys/fs/cgroup/memory.max", "") || /* "max": there is no limit */
        !read_number(&used, "/sys/fs/cgroup/memory.current", ""))
        return UINT64_MAX;
    if (!read_number(&cached, "/sys/fs/cgroup/memory.stat", "file")) cached = 0;
    used -= cached < used ? cached : used;
    return used < most ? most - used : 0;
}

uint64_t memory_available_bytes(void) {
    unsigned long long kib;
    uint64_t group = group_available_bytes();
    if (!read_number(&kib, "/proc/meminfo", "MemAvailable:")) return group;
    return kib * 1024 < group ? kib * 1024 : group;
}

status memory_check(uint64_t needed, const char *what, errbuf *err) {
    uint64_t available = memory_available_bytes();
    if (needed <= available) return ST_OK;
    return fail(err, ST_NO_MEMORY, "%s: needs %.2f GiB of memory, %.2f GiB are available", what,
                (double)needed / (1 << 30), (double)available / (1 << 30));
}
