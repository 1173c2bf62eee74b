/* tensor_view.h - a matrix of weights as it lies in a file: row-major, 32- or 16-bit floats.
 *
 * A view owns nothing. A vector is a matrix of one row. data == NULL: the model has no such
 * tensor (a bias, say). Data is aligned to the size of a value.
 * Must not know: files, models. */
#ifndef TENSOR_VIEW_H
#define TENSOR_VIEW_H

#include <stddef.h>
#include <stdint.h>

typedef enum tensor_dtype { TENSOR_F32, TENSOR_F16, TENSOR_BF16, N_TENSOR_DTYPES } tensor_dtype;

typedef struct tensor_view {
    const void *data; /* [rows, cols] of dtype */
    tensor_dtype dtype;
    uint32_t rows, cols;
} tensor_view;

/* "F32", "F16", "BF16", as in safetensors headers. */
const char *tensor_dtype_name(tensor_dtype dtype);

/* Bytes of one value: 4 or 2. */
size_t tensor_dtype_bytes(tensor_dtype dtype);

/* One value of 16 bits as a float; exact. */
float float_from_half(uint16_t bits);
float float_from_bfloat(uint16_t bits);

/* Rounded to nearest, ties to even; beyond the largest half it is infinity. NaN stays NaN. */
uint16_t half_from_float(float x);
uint16_t bfloat_from_float(float x);

/* Writes n values from index `first` on, counted row-major, to out[0..n). */
void tensor_to_floats(float *out, const tensor_view *t, size_t first, size_t n);

#endif
