/* fake_device.h - what a kernel calls: its place in the grid, barriers, warps, atomics, maths.
 *
 * Threads of a block run one at a time and change only where one waits, so plain code is
 * atomic. A wait that cannot end (a lane or thread that never comes) stops the program and
 * says what the threads of the block wait for. Included by cuda_runtime.h. */
#ifndef FAKE_DEVICE_H
#define FAKE_DEVICE_H

#include "cuda_runtime.h"

/* Of the thread that runs. */
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
enum { warpSize = 32 };

/* ------------------------------------------------------------ waiting for other threads */

/* All threads of the block that have not returned. */
void __syncthreads(void);

static inline void __threadfence_system(void) {}

/* What one lane may hand to the others at once, in bytes. */
enum { FAKE_SLOT_BYTES = 64 };

/* Hands n_bytes to the lanes of `mask` (this lane among them), which all call this with the
 * same `kind`, and gives what each handed over: lane l at l * FAKE_SLOT_BYTES, the bytes 0xff
 * where lane l is not in the mask or has returned. To be read before the next such call. */
const unsigned char *fake_warp_share(const char *kind, unsigned mask, const void *mine,
                                     size_t n_bytes);

/* all[l] = what lane l of the warp handed over. */
template <class T> static inline void fake_warp_exchange(const T &mine, T all[32]) {
    static_assert(sizeof(T) <= FAKE_SLOT_BYTES, "one slot");
    const unsigned char *slots = fake_warp_share("exchange", 0xffffffffu, &mine, sizeof(T));
    for (int l = 0; l < 32; l++) memcpy(&all[l], slots + l * FAKE_SLOT_BYTES, sizeof(T));
}

/* Of the calling thread, x counting fastest. */
unsigned fake_lane(void);

template <class T>
static inline T fake_shuffle(const char *kind, unsigned mask, const T &mine, unsigned from) {
    static_assert(sizeof(T) <= FAKE_SLOT_BYTES, "one slot");
    const unsigned char *slots = fake_warp_share(kind, mask, &mine, sizeof(T));
    T out;
    memcpy(&out, slots + from * FAKE_SLOT_BYTES, sizeof(T));
    return out;
}

/* `width` is a power of two; lanes exchange inside aligned groups of that many. A lane whose
 * source lies outside keeps its own. */
template <class T>
static inline T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
    unsigned lane = fake_lane(), group = lane & ~(unsigned)(width - 1);
    return fake_shuffle("__shfl_sync", mask, value, group + ((unsigned)from & (width - 1)));
}
template <class T>
static inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {
    unsigned lane = fake_lane(), from = lane ^ (unsigned)lanes;
    /* As the device does it: a lower group may be read, a higher one may not. */
    unsigned end = (lane & ~(unsigned)(width - 1)) + (unsigned)width;
    return fake_shuffle("__shfl_xor_sync", mask, value, from < end ? from : lane);
}
template <class T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
    unsigned lane = fake_lane(), inside = lane & (unsigned)(width - 1);
    return fake_shuffle("__shfl_up_sync", mask, value, inside >= by ? lane - by : lane);
}

static inline unsigned __ballot_sync(unsigned mask, int holds) {
    unsigned char mine = holds != 0;
    const unsigned char *slots = fake_warp_share("__ballot_sync", mask, &mine, 1);
    unsigned out = 0;
    for (int l = 0; l < 32; l++) out |= (unsigned)(slots[l * FAKE_SLOT_BYTES] == 1) << l;
    return out;
}
static inline int __any_sync(unsigned mask, int holds) {
    return __ballot_sync(mask, holds) != 0;
}
static inline void __syncwarp(unsigned mask = 0xffffffffu) {
    fake_warp_share("__syncwarp", mask, NULL, 0);
}

/* ------------------------------------------------------------ atomics: give the old value */

template <class T> struct fake_same {
    typedef T type; /* so that the operand does not take part in finding T */
};
template <class T> static inline T atomicAdd(T *at, typename fake_same<T>::type value) {
    T old = *at;
    *at = old + value;
    return old;
}

/* ------------------------------------------------------------ maths */

template <class To, class From> static inline To fake_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To out;
    memcpy(&out, &value, sizeof(out));
    return out;
}
static inline unsigned __float_as_uint(float x) {
    return fake_bits<unsigned>(x);
}
static inline float __uint_as_float(unsigned x) {
    return fake_bits<float>(x);
}

static inline int __ffs(int x) {
    return __builtin_ffs(x);
}

static inline float __fdividef(float a, float b) {
    return a / b;
}
/* glibc declares functions of these names. */
#define __expf(x) expf(x)
static inline float rsqrtf(float x) {
    return 1.0f / sqrtf(x);
}

#endif
