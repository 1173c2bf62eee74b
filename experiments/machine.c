#include "machine.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "json_text.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* The text after the colon in the first "model name" line of /proc/cpuinfo; false if none. */
static bool read_cpu_name(char *name, size_t size) {
    FILE *in = fopen("/proc/cpuinfo", "r");
    if (!in) return false;
    char line[512];
    bool found = false;
    while (!found && fgets(line, sizeof(line), in)) {
        const char *value = strchr(line, ':');
        if (!value || strncmp(line, "model name", strlen("model name")) != 0) continue;
        value += 1 + strspn(value + 1, " \t");
        snprintf(name, size, "%.*s", (int)strcspn(value, "\n"), value);
        found = true;
    }
    fclose(in);
    return found;
}

char *machine_describe(void) {
    char cpu[256], kernel[256];
    bool has_cpu = read_cpu_name(cpu, sizeof(cpu));
    struct utsname system;
    bool has_kernel = uname(&system) == 0;
    if (has_kernel)
        snprintf(kernel, sizeof(kernel), "%.100s %.100s", system.sysname, system.release);
    json_t *json = json_pack("{s:o, s:I, s:o, s:s}", "cpu", json_text(has_cpu ? cpu : NULL),
                             "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "kernel",
                             json_text(has_kernel ? kernel : NULL), "compiler", COMPILER);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}
