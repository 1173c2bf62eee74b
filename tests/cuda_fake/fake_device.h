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

static inline void __threadfence(void) {}
static inline void __threadfence_block(void) {}
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
static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
    unsigned lane = fake_lane(), inside = lane & (unsigned)(width - 1);
    return fake_shuffle("__shfl_down_sync", mask, value,
                        inside + by < (unsigned)width ? lane + by : lane);
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
static inline int __all_sync(unsigned mask, int holds) {
    return __ballot_sync(mask, !holds) == 0;
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
template <class T> static inline T atomicSub(T *at, typename fake_same<T>::type value) {
    T old = *at;
    *at = old - value;
    return old;
}
template <class T> static inline T atomicMax(T *at, typename fake_same<T>::type value) {
    T old = *at;
    if (value > old) *at = value;
    return old;
}
template <class T> static inline T atomicMin(T *at, typename fake_same<T>::type value) {
    T old = *at;
    if (value < old) *at = value;
    return old;
}
template <class T> static inline T atomicOr(T *at, typename fake_same<T>::type value) {
    T old = *at;
    *at = old | value;
    return old;
}
template <class T> static inline T atomicAnd(T *at, typename fake_same<T>::type value) {
    T old = *at;
    *at = old & value;
    return old;
}
template <class T> static inline T atomicExch(T *at, typename fake_same<T>::type value) {
    T old = *at;
    *at = value;
    return old;
}
template <class T>
static inline T atomicCAS(T *at, typename fake_same<T>::type expected,
                          typename fake_same<T>::type value) {
    T old = *at;
    if (old == expected) *at = value;
    return old;
}

/* ------------------------------------------------------------ loads and stores with hints */

template <class T> static inline T __ldg(const T *at) {
    return *at;
}
template <class T> static inline T __ldca(const T *at) {
    return *at;
}
template <class T> static inline T __ldcg(const T *at) {
    return *at;
}
template <class T> static inline T __ldcs(const T *at) {
    return *at;
}
template <class T> static inline T __ldcv(const T *at) {
    return *at;
}
template <class T> static inline void __stwb(T *at, T value) {
    *at = value;
}
template <class T> static inline void __stcg(T *at, T value) {
    *at = value;
}
template <class T> static inline void __stcs(T *at, T value) {
    *at = value;
}
template <class T> static inline void __stwt(T *at, T value) {
    *at = value;
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
static inline int __float_as_int(float x) {
    return fake_bits<int>(x);
}
static inline float __int_as_float(int x) {
    return fake_bits<float>(x);
}
static inline long long __double_as_longlong(double x) {
    return fake_bits<long long>(x);
}
static inline double __longlong_as_double(long long x) {
    return fake_bits<double>(x);
}

static inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
static inline int __popcll(unsigned long long x) {
    return __builtin_popcountll(x);
}
static inline int __clz(int x) {
    return x == 0 ? 32 : __builtin_clz((unsigned)x);
}
static inline int __clzll(long long x) {
    return x == 0 ? 64 : __builtin_clzll((unsigned long long)x);
}
static inline int __ffs(int x) {
    return __builtin_ffs(x);
}
static inline int __ffsll(long long x) {
    return __builtin_ffsll(x);
}
static inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((unsigned long long)a * b >> 32);
}

static inline float __double2float_rn(double x) {
    return (float)x;
}
static inline int __float2int_rn(float x) {
    return (int)rintf(x);
}
static inline int __float2int_rz(float x) {
    return (int)x;
}
static inline unsigned __float2uint_rn(float x) {
    return (unsigned)rintf(x);
}
static inline unsigned __float2uint_rz(float x) {
    return (unsigned)x;
}
static inline float __int2float_rn(int x) {
    return (float)x;
}
static inline float __uint2float_rn(unsigned x) {
    return (float)x;
}
static inline double __uint2double_rn(unsigned x) {
    return (double)x;
}
static inline double __ull2double_rn(unsigned long long x) {
    return (double)x;
}

static inline float __fadd_rn(float a, float b) {
    return a + b;
}
static inline float __fmul_rn(float a, float b) {
    return a * b;
}
static inline float __fmaf_rn(float a, float b, float c) {
    return fmaf(a, b, c);
}
static inline float __fdiv_rn(float a, float b) {
    return a / b;
}
static inline float __frcp_rn(float x) {
    return 1.0f / x;
}
static inline float __fsqrt_rn(float x) {
    return sqrtf(x);
}
static inline double __dadd_rn(double a, double b) {
    return a + b;
}
static inline double __dmul_rn(double a, double b) {
    return a * b;
}
static inline float __fdividef(float a, float b) {
    return a / b;
}
/* glibc declares functions of these names. */
#define __expf(x)  expf(x)
#define __exp2f(x) exp2f(x)
#define __logf(x)  logf(x)
#define __log2f(x) log2f(x)
#define __sinf(x)  sinf(x)
#define __cosf(x)  cosf(x)
static inline float rsqrtf(float x) {
    return 1.0f / sqrtf(x);
}
static inline double rsqrt(double x) {
    return 1.0 / sqrt(x);
}

#define FAKE_MIN_MAX(type)                                                                     \
    static inline type min(type a, type b) {                                                   \
        return b < a ? b : a;                                                                  \
    }                                                                                          \
    static inline type max(type a, type b) {                                                   \
        return a < b ? b : a;                                                                  \
    }
FAKE_MIN_MAX(int)
FAKE_MIN_MAX(unsigned)
FAKE_MIN_MAX(long)
FAKE_MIN_MAX(unsigned long)
FAKE_MIN_MAX(long long)
FAKE_MIN_MAX(unsigned long long)
FAKE_MIN_MAX(float)
FAKE_MIN_MAX(double)

#endif
