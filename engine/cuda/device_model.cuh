/* device_model.cuh - the weights of a model on the device, in 16 bit.
 *
 * The views are those of model.h with addresses on the device: [rows, cols] row-major. Weights
 * of q, k and v lie behind one another without a gap, their biases too, and so do gate and up:
 * one product takes each group, from the first one's address. Each group starts at 256 bytes.
 * Threads: one owner; does not change once it is made. */
#ifndef DEVICE_MODEL_CUH
#define DEVICE_MODEL_CUH

#include "kernel_types.cuh"

extern "C" {
#include "model.h"
}

typedef struct device_model {
    const model_config *config; /* borrowed */
    device_dtype dtype;
    model_weights weights;
    float *cosines, *sines; /* [n_positions, head_dim / 2]; NULL: positions are learned */
    uint32_t n_positions;
    char *memory; /* [bytes] all weights */
    size_t bytes;
} device_model;

/* Bytes on the device, rotary tables included. ST_NO_MEMORY. */
MUST_USE status device_model_bytes(size_t *out, const model_config *c, uint32_t n_positions,
                                   errbuf *err);

/* Copies the weights of a model, rounded to dtype; sequences have at most n_positions tokens.
 * On error *out is not written. ST_NO_MEMORY: host or device, which err names; ST_IO. */
MUST_USE status device_model_load(device_model *out, const model *m, device_dtype dtype,
                                  uint32_t n_positions, errbuf *err);

/* Makes weights up on the device: normal ones of a size that keeps activations in range, never
 * zeros, since the time of a product depends on the bits that flip. Errors as above. */
MUST_USE status device_model_random(device_model *out, const model_config *c,
                                    device_dtype dtype, uint32_t n_positions, uint64_t seed,
                                    errbuf *err);

/* Nothing that uses it may still run. */
void device_model_finish(device_model *m);

#endif
