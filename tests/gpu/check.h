/* check.h - what the checks of device code share: counting failures, numbers, arrays.
 *
 * The same checks run on a device (compiled by nvcc) and on the CPU (against
 * tests/cuda_fake). A case is named by check_begin, its failures are printed by CHECK, and
 * check_end prints one line for it. A reference is a plain loop, summed in double, over the
 * inputs as the device holds them: rounded to 16 bit. */
#ifndef CHECK_H
#define CHECK_H

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vector>

#include "kernel_types.cuh"

extern "C" {
#include "rng.h"
}

/* Each runs the cases of one group and gives the number that failed. */
int check_rows(void);
int check_attention(void);
int check_gemm(void);
int check_sampling(void);
int check_streams(void);
int check_batches(void);
int check_models(void);

/* Prints how fast attention is: lines KEY NAME VALUE. Gives 1 if something failed. */
int time_kernels(void);

/* Writes the logits of each model of tests/golden/ to dir/NAME.bf16.f32 and dir/NAME.fp16.f32:
 * [n_rows, vocab] float32, rows as in the logits.f32 of the model. They are not judged here;
 * gives the number of files that failed. */
int dump_models(const char *dir);

/* ------------------------------------------------------------ chance */

/* SEED of the environment; 1 unless it is set. */
static inline uint64_t check_seed(void) {
    const char *text = getenv("SEED");
    return text ? strtoull(text, NULL, 10) : 1;
}

static inline uint32_t random_below(uint64_t stream, uint64_t *n_drawn, uint32_t n) {
    return (uint32_t)(rng_bits(check_seed(), stream, (*n_drawn)++) % n);
}

/* ------------------------------------------------------------ cases */

struct check_case {
    char name[160];
    int n_failures;
};
inline check_case check_now;

enum { CHECK_LINES_MAX = 5 }; /* of one case: a wrong kernel is wrong everywhere */

__attribute__((format(printf, 1, 2))) static inline void check_begin(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(check_now.name, sizeof(check_now.name), format, args);
    va_end(args);
    check_now.n_failures = 0;
}

/* 1 if the case failed, else 0. */
static inline int check_end(void) {
    printf("%s  %s\n", check_now.n_failures ? "FAILED" : "ok", check_now.name);
    fflush(stdout);
    return check_now.n_failures != 0;
}

/* Whether it is time to say what was found: printed before the CHECK that fails. */
static inline bool check_speaks(void) {
    return check_now.n_failures < CHECK_LINES_MAX;
}

static inline bool check_that(bool holds, const char *text, const char *file, int line) {
    if (holds) return true;
    if (check_speaks()) printf("%s:%d: %s: %s\n", file, line, check_now.name, text);
    check_now.n_failures++;
    return false;
}

/* Gives whether it holds. */
#define CHECK(condition) check_that((condition), #condition, __FILE__, __LINE__)

static inline void check_status(status st, const errbuf *err, const char *text,
                                const char *file, int line) {
    if (st != ST_OK && check_speaks()) printf("  %s: %s\n", status_text(st), err->text);
    check_that(st == ST_OK, text, file, line);
}

/* CHECK_OK(call(..., &err)): prints the message of a call that failed. */
#define CHECK_OK(call)                                                                         \
    do {                                                                                       \
        errbuf err = {};                                                                       \
        status check_st = (call);                                                              \
        check_status(check_st, &err, #call, __FILE__, __LINE__);                               \
    } while (0)

/* |got - want| <= abs + rel * |want|; equal infinities are near, a NaN never is. */
static inline bool near(double got, double want, double abs, double rel) {
    return got == want || fabs(got - want) <= abs + rel * fabs(want);
}

/* CHECK(near(...)) that prints the numbers and where they stand. */
static inline bool check_near(double got, double want, double abs, double rel, size_t i,
                              const char *file, int line) {
    if (near(got, want, abs, rel)) return true;
    if (check_speaks()) printf("  [%zu] got %.9g, want %.9g\n", i, got, want);
    return check_that(false, "near", file, line);
}
#define CHECK_NEAR(got, want, abs, rel, i)                                                     \
    check_near((got), (want), (abs), (rel), (i), __FILE__, __LINE__)

/* ------------------------------------------------------------ numbers of 16 bit */

static const device_dtype check_dtypes[] = {DEVICE_BF16, DEVICE_FP16};

static inline const char *dtype_name(device_dtype d) {
    return d == DEVICE_BF16 ? "bf16" : "fp16";
}

/* Largest relative error of one rounding: half a step of 8 or 11 significant bits. */
static inline double dtype_unit(device_dtype d) {
    return d == DEVICE_BF16 ? 0x1p-8 : 0x1p-11;
}

/* Largest absolute error of a rounding near zero. */
static inline double dtype_tiny(device_dtype d) {
    return d == DEVICE_BF16 ? 0x1p-133 : 0x1p-25;
}

static inline uint16_t bits16(device_dtype d, double x) {
    return d == DEVICE_BF16 ? __bfloat16_as_ushort(__float2bfloat16_rn((float)x))
                            : __half_as_ushort(__float2half_rn((float)x));
}

static inline double number16(device_dtype d, uint16_t bits) {
    return (double)(d == DEVICE_BF16 ? __bfloat162float(__ushort_as_bfloat16(bits))
                                     : __half2float(__ushort_as_half(bits)));
}

static inline double round16(device_dtype d, double x) {
    return number16(d, bits16(d, x));
}

typedef std::vector<double> numbers;

/* n normal numbers of that deviation; each 97th is an outlier, 30 times as large. */
static inline numbers random_numbers(uint64_t stream, size_t n, double deviation) {
    numbers out(n);
    for (size_t i = 0; i < n; i++)
        out[i] = rng_normal(7, stream, i) * deviation * (i % 97 == 53 ? 30 : 1);
    return out;
}

/* The same, as a device holds them in 16 bit. */
static inline numbers random_numbers16(device_dtype d, uint64_t stream, size_t n,
                                       double deviation) {
    numbers out = random_numbers(stream, n, deviation);
    for (double &x : out) x = round16(d, x);
    return out;
}

/* ------------------------------------------------------------ arrays on the device */

static inline void check_cuda(cudaError_t e, const char *what) {
    if (e == cudaSuccess) return;
    fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(e));
    exit(1);
}

/* Owns n elements on the device; fresh ones have all bits set (numbers: NaN). What is written
 * is there when the call returns, for streams that do not wait for the default one, too. */
template <class T> struct device_array {
    T *at = NULL;
    size_t n = 0;

    explicit device_array(size_t n_) : n(n_) {
        check_cuda(cudaMalloc((void **)&at, n * sizeof(T)), "device memory for a check");
        if (n > 0) check_cuda(cudaMemset(at, 0xff, n * sizeof(T)), "filling device memory");
        check_cuda(cudaDeviceSynchronize(), "filling device memory");
    }
    explicit device_array(const std::vector<T> &host) : device_array(host.size()) {
        upload(host);
    }
    device_array(const device_array &) = delete;
    device_array &operator=(const device_array &) = delete;
    device_array(device_array &&other) : at(other.at), n(other.n) {
        other.at = NULL;
        other.n = 0;
    }
    ~device_array() { (void)cudaFree(at); }

    void upload(const std::vector<T> &host) {
        if (host.empty()) return;
        check_cuda(cudaMemcpy(at, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice),
                   "upload");
        check_cuda(cudaDeviceSynchronize(), "upload");
    }
    /* Waits for all work on the device. */
    std::vector<T> host() const {
        std::vector<T> out(n);
        check_cuda(cudaDeviceSynchronize(), "work before a download");
        if (n > 0)
            check_cuda(cudaMemcpy(out.data(), at, n * sizeof(T), cudaMemcpyDeviceToHost),
                       "download");
        return out;
    }
};

/* Rounded to 16 bit on the way. */
static inline device_array<uint16_t> upload16(device_dtype d, const numbers &host) {
    std::vector<uint16_t> bits(host.size());
    for (size_t i = 0; i < host.size(); i++) bits[i] = bits16(d, host[i]);
    return device_array<uint16_t>(bits);
}

static inline numbers download16(device_dtype d, const device_array<uint16_t> &a) {
    std::vector<uint16_t> bits = a.host();
    numbers out(bits.size());
    for (size_t i = 0; i < bits.size(); i++) out[i] = number16(d, bits[i]);
    return out;
}

#endif
