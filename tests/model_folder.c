#include "model_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "model_folder: %s\n", what);
    abort();
}

/* ------------------------------------------------------------ directories and files */

model_folder model_folder_make(void) {
    model_folder f = {.root = "/tmp/adaptivellm_model.XXXXXX"};
    require(mkdtemp(f.root) != NULL, f.root);
    snprintf(f.model, sizeof(f.model), "%s/m", f.root);
    return f;
}

const char *model_folder_path(char path[MODEL_FOLDER_PATH_SIZE], const model_folder *f,
                              const char *name) {
    snprintf(path, MODEL_FOLDER_PATH_SIZE, "%s/%s", f->model, name);
    return path;
}

void model_folder_remove(const model_folder *f) {
    DIR *dir = opendir(f->model);
    char path[MODEL_FOLDER_PATH_SIZE];
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') remove(model_folder_path(path, f, entry->d_name));
    if (dir) closedir(dir);
    remove(f->model);
    remove(f->root);
}

void model_folder_delete(const model_folder *f, const char *name) {
    char path[MODEL_FOLDER_PATH_SIZE];
    require(remove(model_folder_path(path, f, name)) == 0, path);
}

file_content model_folder_read(const model_folder *f, const char *name) {
    char path[MODEL_FOLDER_PATH_SIZE];
    FILE *file = fopen(model_folder_path(path, f, name), "rb");
    require(file && fseek(file, 0, SEEK_END) == 0, path);
    file_content c = {.n = (size_t)ftell(file)};
    c.bytes = malloc(c.n + 1);
    rewind(file);
    require(c.bytes && fread(c.bytes, 1, c.n, file) == c.n, path);
    fclose(file);
    return c;
}

void model_folder_write(const model_folder *f, const char *name, const void *bytes, size_t n) {
    char path[MODEL_FOLDER_PATH_SIZE];
    FILE *file = fopen(model_folder_path(path, f, name), "wb");
    require(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0, path);
}

void model_folder_write_text(const model_folder *f, const char *name, const char *text) {
    model_folder_write(f, name, text, strlen(text));
}

void model_folder_write_json(const model_folder *f, const char *name, const json_t *json) {
    char *text = json_dumps(json, 0);
    require(text != NULL, name);
    model_folder_write_text(f, name, text);
    free(text);
}

/* ------------------------------------------------------------ models */

void model_folder_init(const model_folder *f, model_arch arch, const model_init_options *o) {
    const model_init_options defaults = model_init_defaults(arch);
    errbuf err = {0};
    require(model_init_random(f->model, o ? o : &defaults, &err) == ST_OK, err.text);
}

model *model_folder_open(const model_folder *f) {
    model *m = NULL;
    errbuf err = {0};
    require(model_open(&m, f->model, true, &err) == ST_OK, err.text);
    return m;
}

/* ------------------------------------------------------------ weights */

weights_file weights_file_read(const model_folder *f, const char *name) {
    weights_file w = {.all = model_folder_read(f, name)};
    uint64_t n = 0;
    for (int i = 8; i-- > 0;) n = n << 8 | w.all.bytes[i];
    w.header = json_loadb((char *)w.all.bytes + 8, n, 0, NULL);
    require(w.header != NULL, name);
    w.data = w.all.bytes + 8 + n;
    w.n_data = w.all.n - 8 - n;
    return w;
}

void weights_file_drop(weights_file *w) {
    json_decref(w->header);
    free(w->all.bytes);
}

void weights_file_write(const model_folder *f, const char *name, const json_t *header,
                        unsigned spaces, const void *data, size_t n_data) {
    char *text = json_dumps(header, JSON_COMPACT), path[MODEL_FOLDER_PATH_SIZE];
    require(text != NULL, name);
    uint64_t n = strlen(text) + spaces;
    FILE *file = fopen(model_folder_path(path, f, name), "wb");
    require(file != NULL, path);
    for (int i = 0; i < 8; i++) putc((int)(n >> 8 * i & 0xff), file);
    fprintf(file, "%s%*s", text, (int)spaces, "");
    require(fwrite(data, 1, n_data, file) == n_data && fclose(file) == 0, path);
    free(text);
}

/* One shard: its data, gathered. */
typedef struct gathered {
    json_t *header;
    uint8_t *data; /* [n] */
    size_t n;
} gathered;

static void gather(gathered *g, const weights_file *w, const char *name, const json_t *entry) {
    const json_t *offsets = json_object_get(entry, "data_offsets");
    json_int_t begin = json_integer_value(json_array_get(offsets, 0));
    json_int_t end = json_integer_value(json_array_get(offsets, 1)), at = (json_int_t)g->n;
    memcpy(g->data + g->n, w->data + begin, (size_t)(end - begin));
    g->n += (size_t)(end - begin);
    json_t *moved = json_deep_copy(entry);
    json_object_set_new(moved, "data_offsets", json_pack("[I, I]", at, at + end - begin));
    json_object_set_new(g->header, name, moved);
}

void model_folder_split(const model_folder *f, int n) {
    weights_file w = weights_file_read(f, "model.safetensors");
    json_t *map = json_object();
    for (int i = 0; i < n; i++) {
        gathered g = {json_object(), malloc(w.n_data), 0};
        require(g.header && g.data, "out of memory");
        char file[64];
        snprintf(file, sizeof(file), "model-%05d-of-%05d.safetensors", i + 1, n);
        const char *name;
        json_t *entry;
        int turn = 0;
        json_object_foreach(w.header, name, entry) {
            if (strcmp(name, "__metadata__") == 0 || turn++ % n != i) continue;
            gather(&g, &w, name, entry);
            json_object_set_new(map, name, json_string(file));
        }
        weights_file_write(f, file, g.header, 0, g.data, g.n);
        free(g.data);
        json_decref(g.header);
    }
    json_t *index = json_pack("{s:{}, s:o}", "metadata", "weight_map", map);
    model_folder_write_json(f, "model.safetensors.index.json", index);
    json_decref(index);
    model_folder_delete(f, "model.safetensors");
    weights_file_drop(&w);
}
