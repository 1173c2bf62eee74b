/* model_dir.h - a model's directory in the place of a model's name: the shape that its
 * config.json says, as a simulation takes it and as an engine does. */
#ifndef MODEL_DIR_H
#define MODEL_DIR_H

#include "model_config.h"

typedef struct model_dir {
    char *path, *name; /* name: the last part of path */
    model_config config;
    model_spec spec; /* of that name */
} model_dir;

/* A directory is there. */
bool is_model_dir(const char *path);

/* Reads path/config.json, nothing else; bytes_per_value is of the spec. Errors of
 * model_config_read(). */
MUST_USE status model_dir_open(model_dir **out, const char *path, uint32_t bytes_per_value,
                               errbuf *err);

/* f may be NULL. */
void model_dir_close(model_dir *f);

#endif
