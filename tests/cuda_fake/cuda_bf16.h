/* cuda_bf16.h - bfloat16: the upper half of a float. Conversions round to nearest even, and
 * any NaN becomes 0x7fff, as on the device. */
#ifndef FAKE_CUDA_BF16_H
#define FAKE_CUDA_BF16_H

#include "cuda_runtime.h"

struct __nv_bfloat16 {
    unsigned short fake_raw;
};

static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) {
    return x.fake_raw;
}
static inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short x) {
    return __nv_bfloat16{x};
}
static inline float __bfloat162float(__nv_bfloat16 x) {
    return __uint_as_float((unsigned)x.fake_raw << 16);
}
static inline __nv_bfloat16 __float2bfloat16_rn(float x) {
    unsigned bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return __nv_bfloat16{0x7fff};
    bits += 0x7fffu + (bits >> 16 & 1);
    return __nv_bfloat16{(unsigned short)(bits >> 16)};
}

#endif
