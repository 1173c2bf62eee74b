/* model_files.h - the tensors of all safetensors files of a directory, by name.
 *
 * One file model.safetensors, else those that model.safetensors.index.json names; then index
 * and files say the same about which tensor is where. Must not know: which tensors a model has.
 */
#ifndef MODEL_FILES_H
#define MODEL_FILES_H

#include "mapped_file.h"
#include "safetensors.h"

typedef struct model_shard {
    char *path;
    mapped_file file;
    safetensors header;
} model_shard;

typedef struct stored_tensor {
    const safetensor *tensor;
    const model_shard *shard;
    bool used; /* for the caller */
} stored_tensor;

typedef struct model_files {
    model_shard *shards; /* [n_shards] */
    size_t n_shards;
    stored_tensor *tensors; /* [n_tensors] by name */
    size_t n_tensors;
} model_files;

/* dir/name in new memory, or NULL. */
char *model_path(const char *dir, const char *name);

/* On error *out is not written. ST_IO: a file cannot be read. ST_FORMAT, ST_NO_MEMORY. */
MUST_USE status model_files_init(model_files *out, const char *dir, errbuf *err);

/* *f may be all zeros. */
void model_files_finish(model_files *f);

/* NULL when there is none of that name. */
stored_tensor *model_files_find(const model_files *f, const char *name);

#endif
