/* safetensors.h - the header of a safetensors file: names, types, shapes and places of its
 * tensors.
 *
 * The file is the length of the header (8 bytes, little-endian), the header (a JSON object),
 * and the data. Once read, every byte of the data belongs to exactly one tensor, and each
 * tensor has as many bytes as its shape says. Must not know: what the tensors are for. Source:
 * huggingface/safetensors, README (format) and safetensors/src/tensor.rs (checks). */
#ifndef SAFETENSORS_H
#define SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"
#include "tensor_view.h"

enum { SAFETENSOR_DIMS_MAX = 8, SAFETENSORS_HEADER_MAX = 100000000 };

typedef struct safetensor {
    const char *name;       /* the header's */
    const char *dtype_name; /* the header's */
    bool has_dtype;         /* dtype is one that a view can have */
    tensor_dtype dtype;
    uint32_t n_dims;
    uint64_t shape[SAFETENSOR_DIMS_MAX];
    uint64_t begin, end; /* bytes of the file */
} safetensor;

typedef struct safetensors {
    safetensor *tensors; /* [n] in the order of their data */
    size_t n;
    void *header; /* owns the names */
} safetensors;

/* Reads the header of bytes[0..n), a whole file. file stands in messages. On error *out is not
 * written. ST_FORMAT: the header is none, or does not describe these bytes. ST_NO_MEMORY. */
MUST_USE status safetensors_parse(safetensors *out, const uint8_t *bytes, size_t n,
                                  const char *file, errbuf *err);

/* *s may be all zeros. */
void safetensors_finish(safetensors *s);

#endif
