#include "probe_options.h"

#include <stdlib.h>
#include <string.h>

const char probe_usage[] =
    "usage: cuda_probe [OPTION...]\n"
    "\n"
    "Measures copies between pinned host memory and a CUDA device, and bf16 matrix\n"
    "products on it, and prints a table for `adaptivellm profile import cuda-probe`.\n"
    "\n"
    "  --quick          under 60 s on an H200 (the default)\n"
    "  --full           all sizes, all token counts: some minutes\n"
    "  --only WHAT      copies or gemms; both without it\n"
    "  --out FILE       the table goes there instead of stdout\n"
    "  --date TEXT      is written down with the table; the probe reads no calendar\n"
    "  --device N       number of the device (0)\n"
    "  --cublaslt FILE  the library; without it libcublasLt.so.13 or .12 is looked for by\n"
    "                   the linker's rules (LD_LIBRARY_PATH), then where CUDA mostly lies\n"
    "  --help           prints this\n"
    "\n"
    "Progress is on stderr. Exit 1 where it cannot measure, 2 for a wrong option.\n";

/* The value of option NAME at argv[*i], moving on; false: there is none. */
static bool take_value(const char **value, int *i, int argc, char **argv) {
    if (*i + 1 >= argc) return false;
    *value = argv[++*i];
    return true;
}

static status parse_device(int *device, const char *text, errbuf *err) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value > 1023)
        return fail(err, ST_INVALID, "--device '%.40s' is no number from 0 to 1023", text);
    *device = (int)value;
    return ST_OK;
}

static status parse_only(probe_options *o, const char *text, errbuf *err) {
    o->copies = strcmp(text, "copies") == 0;
    o->gemms = strcmp(text, "gemms") == 0;
    if (o->copies || o->gemms) return ST_OK;
    return fail(err, ST_INVALID, "--only takes copies or gemms, not '%.40s'", text);
}

status probe_options_parse(probe_options *out, int argc, char **argv, errbuf *err) {
    probe_options o = {.copies = true, .gemms = true, .date = ""};
    const char *device = "0", *only = NULL;
    const struct {
        const char *name, **value;
    } with_value[] = {{"--only", &only},
                      {"--out", &o.out},
                      {"--date", &o.date},
                      {"--device", &device},
                      {"--cublaslt", &o.cublaslt}};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        size_t v = 0, n = sizeof(with_value) / sizeof(with_value[0]);
        while (v < n && strcmp(name, with_value[v].name) != 0) v++;
        if (v < n && !take_value(with_value[v].value, &i, argc, argv))
            return fail(err, ST_INVALID, "%s takes a value", name);
        if (v < n) continue;
        if (strcmp(name, "--full") == 0 || strcmp(name, "--quick") == 0)
            o.full = name[2] == 'f';
        else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
            o.help = true;
        else
            return fail(err, ST_INVALID, "'%.60s' is no option", name);
    }
    TRY(parse_device(&o.device, device, err));
    if (only) TRY(parse_only(&o, only, err));
    *out = o;
    return ST_OK;
}
