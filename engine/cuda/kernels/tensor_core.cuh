/* tensor_core.cuh - instructions that C++ does not have: matrix products, fragment loads,
 * asynchronous copies into shared memory, the fast power of two.
 *
 * Each function exists twice: as PTX, and in plain C++ for the fake device, where the lanes of
 * a warp exchange their operands and every lane computes its own part of the result. The C++
 * half follows the fragment layouts of the PTX ISA (Warp Level Matrix Instructions, sections
 * "m16n8k16" and "ldmatrix"), so that a kernel with a wrong layout fails on the CPU as well.
 *
 * Below, a lane's group is lane / 4 and its pair is lane % 4. */
#ifndef TENSOR_CORE_CUH
#define TENSOR_CORE_CUH

#include "kernel_types.cuh"

/* Before a loop over an array in registers: unrolled, or the array would go to memory. */
#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

/* Two neighbouring numbers, the first in the low half; stands for either 16-bit type. */
typedef uint32_t __attribute__((may_alias)) number_pair;
/* Eight neighbouring numbers: 16 bytes. */
struct __attribute__((may_alias, aligned(16))) number_piece {
    uint32_t pairs[4];
};

/* One multiplication: d += a * b, with float sums.
 *   a [16, 16]  register 0: rows group, columns 2 pair, + 1; 1: rows group + 8; 2, 3: columns +
 * 8 b [16, 8]   b0: rows 2 pair, + 1 of column group; b1: rows + 8 d [16, 8]   d[0], d[1]: row
 * group, columns 2 pair, + 1; d[2], d[3]: row group + 8 T names the type behind the pairs. All
 * lanes of the warp take part. */
template <typename T>
__device__ static inline void multiply_add(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                           uint32_t b1);

#ifdef __CUDACC__

/* Address of shared memory, in bytes: may be added to. */
typedef uint32_t shared_addr;

__device__ static inline shared_addr shared_address(const void *p) {
    return (shared_addr)__cvta_generic_to_shared(p);
}

template <>
__device__ inline void multiply_add<__nv_bfloat16>(float (&d)[4], const uint32_t (&a)[4],
                                                   uint32_t b0, uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <>
__device__ inline void multiply_add<__half>(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                            uint32_t b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* Four 8 x 8 matrices: lane l names row l % 8 (16 bytes, aligned) of matrix l / 8, and gets of
 * each matrix i, into r[i], the columns 2 pair, + 1 of row group. */
__device__ static inline void load_matrices(uint32_t (&r)[4], shared_addr row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

/* The same of the transposed matrices: rows 2 pair, + 1 of column group. */
__device__ static inline void load_matrices_transposed(uint32_t (&r)[4], shared_addr row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row)
                 : "memory");
}

/* Begins to copy 16 bytes, both ends aligned to 16; zeros are written where !there (`from` is
 * then not read but must still be an address of the device). */
__device__ static inline void copy_piece(shared_addr to, const void *from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(to), "l"(__cvta_generic_to_global(from)), "r"(there ? 16 : 0)
                 : "memory");
}

/* Ends a group of this thread's copies; a group may be empty. */
__device__ static inline void copies_commit(void) {
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until all but the newest N groups of this thread have arrived. Other threads see them
 * after a barrier that follows. */
template <int N> __device__ static inline void copies_wait(void) {
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/* 2^x within 2 ulp; 0 for -inf and where the result is below the normal range. */
__device__ static inline float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Both numbers rounded to nearest even. */
template <typename T> __device__ static inline uint32_t pack_pair(float first, float second);
template <> __device__ inline uint32_t pack_pair<__nv_bfloat16>(float first, float second) {
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}
template <> __device__ inline uint32_t pack_pair<__half>(float first, float second) {
    uint32_t pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

#else /* the fake device */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <deque>
#include <vector>

typedef unsigned char *shared_addr;

static inline shared_addr shared_address(const void *p) {
    return (shared_addr)p;
}

static inline int fake_thread(void) {
    return (int)(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}

template <typename T> static inline void fake_unpack(float *two, uint32_t pair) {
    T numbers[2];
    memcpy(numbers, &pair, sizeof(numbers));
    for (int i = 0; i < 2; i++) two[i] = to_float(numbers[i]);
}

template <typename T>
static inline void multiply_add(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                uint32_t b1) {
    /* Converted once, by the lane that hands them over: 4 lanes read an a, 8 lanes a b. */
    struct operands {
        float a[4][2], b[2][2];
    } mine, all[32];
    for (int i = 0; i < 4; i++) fake_unpack<T>(mine.a[i], a[i]);
    fake_unpack<T>(mine.b[0], b0);
    fake_unpack<T>(mine.b[1], b1);
    fake_warp_exchange(mine, all);
    int lane = fake_thread() % 32, group = lane / 4, pair = lane % 4;
    double sums[4] = {d[0], d[1], d[2], d[3]};
    for (int k = 0; k < 16; k++) {
        const operands &left = all[group * 4 + k % 8 / 2];
        for (int i = 0; i < 4; i++) {
            const operands &right = all[(2 * pair + i % 2) * 4 + k % 8 / 2];
            sums[i] +=
                (double)left.a[i / 2 + 2 * (k / 8)][k % 2] * (double)right.b[k / 8][k % 2];
        }
    }
    for (int i = 0; i < 4; i++) d[i] = (float)sums[i];
}

struct fake_matrix_row {
    uint16_t numbers[8];
};

/* A lane reads its row when it arrives, so that a write which no barrier keeps behind the
 * load is seen as on a device. */
static inline void fake_exchange_rows(fake_matrix_row all[32], shared_addr row) {
    fake_matrix_row mine;
    memcpy(&mine, __builtin_assume_aligned(row, 16), sizeof(mine));
    fake_warp_exchange(mine, all);
}

static inline void load_matrices(uint32_t (&r)[4], shared_addr row) {
    fake_matrix_row all[32];
    fake_exchange_rows(all, row);
    int lane = fake_thread() % 32;
    for (int i = 0; i < 4; i++) memcpy(&r[i], &all[8 * i + lane / 4].numbers[lane % 4 * 2], 4);
}

static inline void load_matrices_transposed(uint32_t (&r)[4], shared_addr row) {
    fake_matrix_row all[32];
    fake_exchange_rows(all, row);
    int lane = fake_thread() % 32;
    for (int i = 0; i < 4; i++) {
        const fake_matrix_row *two = &all[8 * i + lane % 4 * 2];
        r[i] = two[0].numbers[lane / 4] | (uint32_t)two[1].numbers[lane / 4] << 16;
    }
}

/* A copy spoils its target when it begins and fills it only when it is waited for: a kernel
 * that reads without waiting, or copies over what others still read, meets NaNs. */
struct fake_copy {
    shared_addr to;
    const void *from;
    bool there;
};

struct fake_copies {
    std::vector<fake_copy> open;
    std::deque<std::vector<fake_copy>> groups;
};

static inline fake_copies *fake_thread_copies(void) {
    static fake_copies of_thread[1024];
    return &of_thread[fake_thread()];
}

static inline void copy_piece(shared_addr to, const void *from, bool there) {
    if ((uintptr_t)to % 16 || (uintptr_t)from % 16) abort();
    memset(to, 0xff, 16);
    fake_thread_copies()->open.push_back({to, from, there});
}

static inline void copies_commit(void) {
    fake_copies *c = fake_thread_copies();
    c->groups.push_back(std::vector<fake_copy>());
    c->groups.back().swap(c->open);
}

template <int N> static inline void copies_wait(void) {
    fake_copies *c = fake_thread_copies();
    while (c->groups.size() > N) {
        for (const fake_copy &copy : c->groups.front()) {
            if (copy.there)
                memcpy(copy.to, copy.from, 16);
            else
                memset(copy.to, 0, 16);
        }
        c->groups.pop_front();
    }
}

static inline float exp2_fast(float x) {
    return exp2f(x);
}

template <typename T> static inline uint32_t pack_pair(float first, float second) {
    T numbers[2];
    from_float(&numbers[0], first);
    from_float(&numbers[1], second);
    uint32_t pair;
    memcpy(&pair, numbers, sizeof(pair));
    return pair;
}

#endif
#endif
