/* model_folder.h - directories of models for tests: made, taken apart, spoilt, removed.
 *
 * What fails here ends the test program: these are no tests. */
#ifndef MODEL_FOLDER_H
#define MODEL_FOLDER_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "model_init.h"

typedef struct model_folder {
    char root[64];  /* a new temporary directory */
    char model[80]; /* root/m; not made yet */
} model_folder;

enum { MODEL_FOLDER_PATH_SIZE = 512 };

model_folder model_folder_make(void);

/* Removes both directories and the files in them. */
void model_folder_remove(const model_folder *f);

/* Writes the path of a file of the model; returns path. */
const char *model_folder_path(char path[MODEL_FOLDER_PATH_SIZE], const model_folder *f,
                              const char *name);

/* Removes one file, or an empty directory, of the model. */
void model_folder_delete(const model_folder *f, const char *name);

/* Writes a random model, of the default shape when o is NULL. */
void model_folder_init(const model_folder *f, model_arch arch, const model_init_options *o);

/* Opens it, all values checked. */
model *model_folder_open(const model_folder *f);

typedef struct file_content {
    uint8_t *bytes; /* [n], to be freed */
    size_t n;
} file_content;

file_content model_folder_read(const model_folder *f, const char *name);
void model_folder_write(const model_folder *f, const char *name, const void *bytes, size_t n);
void model_folder_write_json(const model_folder *f, const char *name, const json_t *json);
void model_folder_write_text(const model_folder *f, const char *name, const char *text);

/* A file of weights taken apart. */
typedef struct weights_file {
    file_content all;
    json_t *header;
    uint8_t *data; /* [n_data] */
    size_t n_data;
} weights_file;

weights_file weights_file_read(const model_folder *f, const char *name);
void weights_file_drop(weights_file *w);

/* Writes length, header and data, with `spaces` behind the header. */
void weights_file_write(const model_folder *f, const char *name, const json_t *header,
                        unsigned spaces, const void *data, size_t n_data);

/* Moves the tensors of model.safetensors to n files, in turn, and writes the index. */
void model_folder_split(const model_folder *f, int n);

#endif
