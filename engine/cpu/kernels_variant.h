/* kernels_variant.h - vectors of the instruction set that a file is compiled for, and the names
 * of its functions. Only kernels_matmul.c and kernels_rows.c include it.
 *
 * KERNELS_LANES floats make a vector; the build sets it with the options that give vectors of
 * that size (meson.build). Sums run in lanes: lane l takes elements l, l + LANES, ..., and
 * lanes_sum adds the lanes up as a tree of halves. */
#ifndef KERNELS_VARIANT_H
#define KERNELS_VARIANT_H

#include <string.h>

#include "kernels.h"

#ifndef KERNELS_LANES
#define KERNELS_LANES   4
#define KERNELS_VARIANT portable
#endif

#define KERNEL_JOIN(a, b) a##_##b
#define KERNEL_NAME(a, b) KERNEL_JOIN(a, b)
#define KERNEL(name)      KERNEL_NAME(name, KERNELS_VARIANT)
#define KERNEL_TEXT(a)    #a
#define KERNEL_QUOTE(a)   KERNEL_TEXT(a)
#define ALWAYS_INLINE     static inline __attribute__((always_inline))

/* Before a loop of few rounds whose number is a constant. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { LANES = KERNELS_LANES };

typedef float lanes __attribute__((vector_size(4 * KERNELS_LANES)));
typedef int32_t lanes_int __attribute__((vector_size(4 * KERNELS_LANES)));
typedef float lanes_unaligned
    __attribute__((vector_size(4 * KERNELS_LANES), aligned(4), may_alias));

void KERNEL(matmul)(const matmul_args *a);
void KERNEL(mix)(const mix_args *a);

ALWAYS_INLINE lanes lanes_load(const float *p) {
    return *(const lanes_unaligned *)p;
}

ALWAYS_INLINE void lanes_store(float *p, lanes v) {
    *(lanes_unaligned *)p = v;
}

/* The first n lanes from p, the others 0. */
ALWAYS_INLINE lanes lanes_load_part(const float *p, uint32_t n) {
    float all[KERNELS_LANES] = {0};
    memcpy(all, p, n * sizeof(*p));
    return lanes_load(all);
}

ALWAYS_INLINE void lanes_store_part(float *p, lanes v, uint32_t n) {
    float all[KERNELS_LANES];
    lanes_store(all, v);
    memcpy(p, all, n * sizeof(*p));
}

ALWAYS_INLINE lanes lanes_of(float x) {
    return x - (lanes){0};
}

/* Where mask is all ones a, elsewhere b. */
ALWAYS_INLINE lanes lanes_select(lanes_int mask, lanes a, lanes b) {
    return (lanes)((mask & (lanes_int)a) | (~mask & (lanes_int)b));
}

ALWAYS_INLINE lanes lanes_max(lanes a, lanes b) {
    return lanes_select(a > b, a, b);
}

/* Of each run of `size` lanes of u and then v, the first half (LOW) or the second (HIGH). */
#if KERNELS_LANES == 16
#define LANES_LOW_16  0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define LANES_HIGH_16 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define LANES_LOW_8   0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#define LANES_HIGH_8  4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31
#define LANES_LOW_4   0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29
#define LANES_HIGH_4  2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31
#define LANES_LOW_2   0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define LANES_HIGH_2  1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif KERNELS_LANES == 8
#define LANES_LOW_8  0, 1, 2, 3, 8, 9, 10, 11
#define LANES_HIGH_8 4, 5, 6, 7, 12, 13, 14, 15
#define LANES_LOW_4  0, 1, 4, 5, 8, 9, 12, 13
#define LANES_HIGH_4 2, 3, 6, 7, 10, 11, 14, 15
#define LANES_LOW_2  0, 2, 4, 6, 8, 10, 12, 14
#define LANES_HIGH_2 1, 3, 5, 7, 9, 11, 13, 15
#else
#define LANES_LOW_4  0, 1, 4, 5
#define LANES_HIGH_4 2, 3, 6, 7
#define LANES_LOW_2  0, 2, 4, 6
#define LANES_HIGH_2 1, 3, 5, 7
#endif

/* Replaces v[0..n) by v[0..n / 2): each run of `size` lanes by half as many sums. */
#define LANES_HALVE(v, n, size)                                                                \
    UNROLL for (int half = 0; half < (n) / 2; half++)(v)[half] =                               \
        __builtin_shufflevector((v)[2 * half], (v)[2 * half + 1], LANES_LOW_##size) +          \
        __builtin_shufflevector((v)[2 * half], (v)[2 * half + 1], LANES_HIGH_##size)

/* Lane i of the result is the sum of v[i], by halves as lanes_sum; v is overwritten. */
ALWAYS_INLINE lanes lanes_sums(lanes v[KERNELS_LANES]) {
#if KERNELS_LANES == 16
    LANES_HALVE(v, 16, 16);
#endif
#if KERNELS_LANES >= 8
    LANES_HALVE(v, 8, 8);
#endif
    LANES_HALVE(v, 4, 4);
    LANES_HALVE(v, 2, 2);
    return v[0];
}

ALWAYS_INLINE float lanes_sum(lanes v) {
    float part[KERNELS_LANES];
    lanes_store(part, v);
    for (int n = KERNELS_LANES / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) part[i] += part[i + n];
    return part[0];
}

#endif
