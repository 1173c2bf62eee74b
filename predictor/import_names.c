#include "import_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "device_spec.h"
#include "model_spec.h"

typedef struct alias {
    const char *theirs, *ours;
} alias;

/* Devices without a spec of ours stand for themselves: the folder of a table is recognised by
 * this list. */
static const alias devices[] = {
    {"a100", "a100-80g"},
    {"a100_sxm", "a100-80g"},
    {"a100_dgx", "a100-80g"},
    {"a100-80gb", "a100-80g"},
    {"NVIDIA A100-SXM4-80GB", "a100-80g"},
    {"h100", "h100-80g"},
    {"h100_sxm", "h100-80g"},
    {"h100_dgx", "h100-80g"},
    {"h100-80gb", "h100-80g"},
    {"NVIDIA H100 80GB HBM3", "h100-80g"},
    {"h200_sxm", "h200"},
    {"NVIDIA H200", "h200"},
    {"RTXPRO6000", "rtx-pro-6000"},
    {"a30", "a30"},
    {"a40", "a40"},
    {"h20", "h20"},
    {"h800", "h800"},
};

/* Llama 3.1 has the shapes of Llama 3; it differs in its rotary frequencies, which cost
 * nothing.
 */
static const alias models[] = {
    {"llama2-70b", "llama-2-70b"},        {"Llama-3.1-8B", "llama-3-8b"},
    {"Llama-3.1-70B", "llama-3-70b"},     {"CodeLlama-34b-Instruct-hf", "codellama-34b"},
    {"Llama-2-7b-chat-hf", "llama-2-7b"},
};

static const char *find_alias(const alias *list, size_t n, const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(list[i].theirs, name) == 0) return list[i].ours;
    return NULL;
}

/* NULL: not one that we know. */
static const char *known_device(const char *name) {
    size_t n;
    const device_spec *specs = device_specs(&n);
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(specs[i].name, name) == 0) return specs[i].name;
    return find_alias(devices, sizeof(devices) / sizeof(devices[0]), name);
}

static const char *after_last_slash(const char *text) {
    const char *slash = strrchr(text, '/');
    return slash ? slash + 1 : text;
}

static const char *known_model(const char *name) {
    size_t n;
    const model_spec *specs = model_specs(&n);
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(specs[i].name, name) == 0 ||
            strcasecmp(after_last_slash(specs[i].hf_name), name) == 0)
            return specs[i].name;
    return find_alias(models, sizeof(models) / sizeof(models[0]), name);
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The known name, or the given one in small letters. */
static bool copy_name(char out[IMPORT_NAME_MAX + 1], const char *known, const char *name) {
    const char *text = known ? known : name;
    size_t n = strlen(text);
    if (n == 0 || n > IMPORT_NAME_MAX) return false;
    for (size_t i = 0; i <= n; i++) out[i] = lower(text[i]);
    return true;
}

bool import_device_name(char out[IMPORT_NAME_MAX + 1], const char *name) {
    return copy_name(out, known_device(name), name);
}

bool import_model_name(char out[IMPORT_NAME_MAX + 1], const char *name) {
    const char *last = after_last_slash(name);
    return copy_name(out, known_model(last), last);
}

/* ------------------------------------------------------------ paths */

/* "tp2" is 2; 0: not of that form. */
static uint32_t parse_tp(const char *text) {
    if (strncmp(text, "tp", 2) != 0 || text[2] < '1' || text[2] > '9') return 0;
    uint32_t value = 0;
    for (const char *p = text + 2; *p; p++) {
        if (*p < '0' || *p > '9' || value > 999) return 0;
        value = value * 10 + (uint32_t)(*p - '0');
    }
    return value;
}

/* Cuts ".gz", ".csv" and the table's word off the file's name; false: it does not end so. */
static bool cut_table(char *stem, const char *table) {
    static const char *const endings[] = {".gz", ".csv"};
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t n = strlen(stem), n_ending = strlen(endings[i]);
        if (n >= n_ending && strcmp(stem + n - n_ending, endings[i]) == 0)
            stem[n - n_ending] = '\0';
    }
    size_t n = strlen(stem), n_table = strlen(table);
    if (n < n_table || strcmp(stem + n - n_table, table) != 0) return false;
    if (n > n_table && stem[n - n_table - 1] != '_') return false;
    stem[n > n_table ? n - n_table - 1 : 0] = '\0';
    return true;
}

/* Cuts "_tpN" off. */
static uint32_t cut_tp(char *stem) {
    char *last = strrchr(stem, '_');
    uint32_t tp = last ? parse_tp(last + 1) : 0;
    if (tp) *last = '\0';
    return tp;
}

static bool is_number_format(const char *folder) {
    return strcmp(folder, "bf16") == 0 || strcmp(folder, "fp16") == 0;
}

/* Looks at the folders from the file up; text is cut to pieces. */
static void read_folders(import_names *out, char *text, bool wants_model) {
    for (char *slash; (slash = strrchr(text, '/')); *slash = '\0') {
        const char *folder = slash + 1;
        const char *device = known_device(folder);
        uint32_t tp = parse_tp(folder);
        if (device && !out->device[0]) copy_name(out->device, device, folder);
        if (device) return;
        if (tp && !out->tp) out->tp = tp;
        if (wants_model && !out->model[0] && !tp && !is_number_format(folder))
            import_model_name(out->model, folder);
    }
    if (!out->device[0] && known_device(text)) import_device_name(out->device, text);
}

void import_names_of_path(import_names *out, const char *path, const char *table,
                          import_path kind) {
    *out = (import_names){0};
    char *text = strdup(path);
    if (!text) return; /* the names are then asked for */
    char *slash = strrchr(text, '/');
    char *stem = slash ? slash + 1 : text;
    bool named = cut_table(stem, table);
    if (kind == IMPORT_PATH_DEVICE_IN_FILE) {
        if (named && *stem) import_device_name(out->device, stem);
    } else if (slash) {
        if (kind == IMPORT_PATH_MODEL) {
            out->tp = cut_tp(stem);
            if (named && *stem) import_model_name(out->model, stem);
        }
        *slash = '\0';
        read_folders(out, text, kind == IMPORT_PATH_MODEL && named);
    } else if (kind == IMPORT_PATH_MODEL) {
        out->tp = cut_tp(stem);
        if (named && *stem) import_model_name(out->model, stem);
    }
    free(text);
}
