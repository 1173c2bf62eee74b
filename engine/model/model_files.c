#include "model_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json_fields.h"

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";

char *model_path(const char *dir, const char *name) {
    size_t n = strlen(dir) + strlen(name) + 2;
    char *path = malloc(n);
    if (path) snprintf(path, n, "%s/%s", dir, name);
    return path;
}

/* ------------------------------------------------------------ files */

/* Takes path, which may be NULL: out of memory. */
static status open_shard(model_shard *out, char *path, errbuf *err) {
    out->path = path; /* on failure the caller frees what is there */
    if (!path) return fail(err, ST_NO_MEMORY, "out of memory");
    TRY(mapped_file_init(&out->file, path, err));
    return safetensors_parse(&out->header, out->file.bytes, out->file.n, path, err);
}

static status open_single(model_files *f, const char *dir, errbuf *err) {
    f->shards = calloc(1, sizeof(*f->shards));
    if (!f->shards) return fail(err, ST_NO_MEMORY, "out of memory");
    f->n_shards = 1;
    return open_shard(&f->shards[0], model_path(dir, single_name), err);
}

/* A name in the index must stay in the directory. */
static bool is_plain_name(const char *name) {
    return name && *name && !strchr(name, '/') && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

/* Fills names, a set, with the files of the map from tensor to file. */
static status collect_names(json_t *names, const json_fields *map, errbuf *err) {
    void *object = (void *)(uintptr_t)map->object; /* jansson's iterators take no const */
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        const char *name = json_string_value(json_object_iter_value(at));
        if (!is_plain_name(name))
            return fields_wrong(map, json_object_iter_key(at), "not the name of a file", err);
        if (json_object_set_new(names, name, json_true()) != 0)
            return fail(err, ST_NO_MEMORY, "%s: out of memory", map->file);
    }
    if (json_object_size(names) == 0)
        return fail(err, ST_FORMAT, "%s: weight_map names no file", map->file);
    return ST_OK;
}

static status open_shards(model_files *f, const char *dir, json_t *names, const char *index,
                          errbuf *err) {
    f->shards = calloc(json_object_size(names), sizeof(*f->shards));
    if (!f->shards) return fail(err, ST_NO_MEMORY, "%s: out of memory", index);
    for (void *at = json_object_iter(names); at; at = json_object_iter_next(names, at))
        TRY(open_shard(&f->shards[f->n_shards++], model_path(dir, json_object_iter_key(at)),
                       err));
    return ST_OK;
}

/* ------------------------------------------------------------ tensors by name */

static int by_name(const void *a, const void *b) {
    const stored_tensor *x = a, *y = b;
    return strcmp(x->tensor->name, y->tensor->name);
}

static status list_tensors(model_files *f, errbuf *err) {
    size_t n = 0;
    for (size_t i = 0; i < f->n_shards; i++) n += f->shards[i].header.n;
    f->tensors = calloc(n + 1, sizeof(*f->tensors));
    if (!f->tensors) return fail(err, ST_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < f->n_shards; i++)
        for (size_t j = 0; j < f->shards[i].header.n; j++)
            f->tensors[f->n_tensors++] = (stored_tensor){
                .tensor = &f->shards[i].header.tensors[j], .shard = &f->shards[i]};
    qsort(f->tensors, n, sizeof(*f->tensors), by_name);
    for (size_t i = 1; i < n; i++)
        if (by_name(&f->tensors[i - 1], &f->tensors[i]) == 0)
            return fail(err, ST_FORMAT, "%s: tensor %.150s is in %s too",
                        f->tensors[i].shard->path, f->tensors[i].tensor->name,
                        f->tensors[i - 1].shard->path);
    return ST_OK;
}

stored_tensor *model_files_find(const model_files *f, const char *name) {
    const safetensor wanted = {.name = name};
    const stored_tensor key = {.tensor = &wanted};
    return bsearch(&key, f->tensors, f->n_tensors, sizeof(*f->tensors), by_name);
}

static const char *file_name(const char *path) {
    return strrchr(path, '/') + 1;
}

/* Index and files must agree on each tensor. Names are distinct on both sides. */
static status check_index(const model_files *f, const json_fields *map, errbuf *err) {
    void *object = (void *)(uintptr_t)map->object;
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        const char *name = json_object_iter_key(at);
        const char *file = json_string_value(json_object_iter_value(at));
        const stored_tensor *t = model_files_find(f, name);
        if (!t || strcmp(file_name(t->shard->path), file) != 0)
            return fail(err, ST_FORMAT, "%s: tensor %.150s is not in %.150s", map->file, name,
                        file);
    }
    for (size_t i = 0; i < f->n_tensors; i++)
        if (!json_object_get(object, f->tensors[i].tensor->name))
            return fail(err, ST_FORMAT, "%s: tensor %.200s is not in the index",
                        f->tensors[i].shard->path, f->tensors[i].tensor->name);
    return ST_OK;
}

/* ------------------------------------------------------------ both layouts */

static status open_indexed(model_files *f, const char *dir, json_t *index, json_t *names,
                           const char *path, errbuf *err) {
    const json_fields map = {json_object_get(index, "weight_map"), path, "weight_map."};
    if (!json_is_object(map.object))
        return fail(err, ST_FORMAT, "%s: weight_map is no object or missing", path);
    TRY(collect_names(names, &map, err));
    TRY(open_shards(f, dir, names, path, err));
    TRY(list_tensors(f, err));
    return check_index(f, &map, err);
}

static status read_index(json_t **out, const char *path, errbuf *err) {
    mapped_file file = {0};
    TRY(mapped_file_init(&file, path, err));
    status st = fields_parse(out, (const char *)file.bytes, file.n, path, err);
    mapped_file_finish(&file);
    return st;
}

static status open_by_index(model_files *f, const char *dir, const char *path, errbuf *err) {
    json_t *index = NULL, *names = json_object();
    status st = names ? read_index(&index, path, err)
                      : fail(err, ST_NO_MEMORY, "%s: out of memory", path);
    if (st == ST_OK) st = open_indexed(f, dir, index, names, path, err);
    json_decref(index);
    json_decref(names);
    return st;
}

static bool there_is(const char *path) {
    return access(path, F_OK) == 0;
}

static status open_all(model_files *f, const char *dir, const char *single, const char *index,
                       errbuf *err) {
    if (!single || !index) return fail(err, ST_NO_MEMORY, "out of memory");
    if (there_is(single)) { /* as transformers chooses */
        TRY(open_single(f, dir, err));
        return list_tensors(f, err);
    }
    if (there_is(index)) return open_by_index(f, dir, index, err);
    return fail(err, ST_IO, "%s: holds neither %s nor %s", dir, single_name, index_name);
}

status model_files_init(model_files *out, const char *dir, errbuf *err) {
    model_files f = {0};
    char *single = model_path(dir, single_name), *index = model_path(dir, index_name);
    status st = open_all(&f, dir, single, index, err);
    free(single);
    free(index);
    if (st == ST_OK)
        *out = f;
    else
        model_files_finish(&f);
    return st;
}

void model_files_finish(model_files *f) {
    for (size_t i = 0; i < f->n_shards; i++) {
        safetensors_finish(&f->shards[i].header);
        mapped_file_finish(&f->shards[i].file);
        free(f->shards[i].path);
    }
    free(f->shards);
    free(f->tensors);
    *f = (model_files){0};
}
