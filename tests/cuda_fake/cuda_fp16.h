/* cuda_fp16.h - half: 1 sign, 5 exponent, 10 fraction bits. Conversions round to nearest even,
 * and any NaN becomes 0x7fff, as on the device. */
#ifndef FAKE_CUDA_FP16_H
#define FAKE_CUDA_FP16_H

#include "cuda_runtime.h"

struct __half {
    unsigned short fake_raw;
};

static inline unsigned short __half_as_ushort(__half x) {
    return x.fake_raw;
}
static inline __half __ushort_as_half(unsigned short x) {
    return __half{x};
}
static inline float __half2float(__half x) {
    unsigned sign = (unsigned)(x.fake_raw & 0x8000) << 16, magnitude = x.fake_raw & 0x7fff;
    if (magnitude >= 0x7c00) /* infinite, or the bits of a NaN */
        return __uint_as_float(sign | 0x7f800000u | (magnitude & 0x3ff) << 13);
    if (magnitude < 0x400) /* subnormal: steps of 2^-24 */
        return __uint_as_float(sign | __float_as_uint((float)magnitude * 0x1p-24f));
    return __uint_as_float(sign | ((magnitude << 13) + 0x38000000u));
}
static inline __half __float2half_rn(float x) {
    unsigned bits = __float_as_uint(x), sign = bits >> 16 & 0x8000;
    unsigned magnitude = bits & 0x7fffffffu, out;
    if (magnitude > 0x7f800000u) return __half{0x7fff};
    if (magnitude >= 0x477ff000u) /* from 65520 on the nearest is infinity */
        out = 0x7c00;
    else if (magnitude < 0x38800000u) /* under 2^-14: steps of 2^-24 */
        out = (unsigned)lrintf(__uint_as_float(magnitude) * 0x1p24f);
    else
        out = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1)) >> 13;
    return __half{(unsigned short)(sign | out)};
}

#endif
