/* probe_device.cu - see probe_device.h. */
#include <cuda_bf16.h>
#include <dlfcn.h>
#include <time.h>

#include "cuda_call.cuh"

extern "C" {
#include "probe_device.h"
}

/* ------------------------------------------------------------ random numbers */

/* Writes n bf16 numbers, evenly spread over [-1, 1): SplitMix64 of (seed, index).
 * Grid any, block 256, threads stride over the numbers. Memory bound: writes n * 2 bytes. */
__global__ static void fill_random_kernel(__nv_bfloat16 *out, size_t n, uint64_t seed) {
    size_t stride = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += stride) {
        uint64_t z = seed + (i + 1) * 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        out[i] = __float2bfloat16((float)(int32_t)(z >> 32) * (1.0f / 2147483648.0f));
    }
}

status probe_fill_random(void *memory, uint64_t n_bytes, uint64_t seed, errbuf *err) {
    size_t n = n_bytes / sizeof(__nv_bfloat16);
    if (n == 0) return ST_OK;
    size_t n_blocks = (n + 255) / 256;
    fill_random_kernel<<<(unsigned)(n_blocks < 4096 ? n_blocks : 4096), 256>>>(
        (__nv_bfloat16 *)memory, n, seed);
    return cuda_status(cudaGetLastError(), "random numbers on the device", err);
}

/* ------------------------------------------------------------ the management library */

/* NVML (nvml.h is not needed for these few): each function returns 0 on success. */
typedef struct nvml_utilization {
    unsigned gpu, memory; /* percent of the last sampling period */
} nvml_utilization;
enum { NVML_CLOCK_SM = 1 };

struct probe_device {
    void *library; /* NULL: there is none, or it does not know the device */
    void *handle;
    int (*shutdown)(void);
    int (*clock)(void *device, int type, unsigned *mhz);
    int (*utilization)(void *device, nvml_utilization *out);
};

static void close_library(probe_device *d) {
    if (d->library) dlclose(d->library);
    d->library = NULL;
}

/* Opens the library for the device at that PCI address; on any failure d->library is NULL. */
static void open_library(probe_device *d, const char *pci_address) {
    d->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!d->library) return;
    int (*init)(void) = (int (*)(void))dlsym(d->library, "nvmlInit_v2");
    int (*find)(const char *, void **) =
        (int (*)(const char *, void **))dlsym(d->library, "nvmlDeviceGetHandleByPciBusId_v2");
    d->shutdown = (int (*)(void))dlsym(d->library, "nvmlShutdown");
    d->clock = (int (*)(void *, int, unsigned *))dlsym(d->library, "nvmlDeviceGetClockInfo");
    d->utilization =
        (int (*)(void *, nvml_utilization *))dlsym(d->library, "nvmlDeviceGetUtilizationRates");
    if (!init || !find || !d->shutdown || !d->clock || !d->utilization || init() != 0) {
        close_library(d);
    } else if (find(pci_address, &d->handle) != 0) {
        d->shutdown();
        close_library(d);
    }
}

uint32_t probe_device_sm_clock_mhz(const probe_device *d) {
    unsigned mhz = 0;
    return d->library && d->clock(d->handle, NVML_CLOCK_SM, &mhz) == 0 ? mhz : 0;
}

/* Half a second apart, so that one look does not see what a program that just ended did. */
static status check_idle(const probe_device *d, errbuf *err) {
    const unsigned busy_percent = 10;
    nvml_utilization u = {0, 0};
    for (int i = 0; i < 4; i++) {
        if (!d->library || d->utilization(d->handle, &u) != 0 || u.gpu <= busy_percent)
            return ST_OK;
        const struct timespec half = {0, 500000000};
        nanosleep(&half, NULL);
    }
    return fail(err, ST_BUSY, "the device is busy: other programs use it for %u %% of the time",
                u.gpu);
}

/* ------------------------------------------------------------ opening */

static status find_device(probe_machine *m, int index, errbuf *err) {
    int n = 0;
    TRY_CUDA(cudaRuntimeGetVersion(&m->runtime), "version of the CUDA runtime");
    TRY_CUDA(cudaDriverGetVersion(&m->driver), "version of the CUDA driver");
    if (m->driver == 0) return fail(err, ST_NOT_FOUND, "no CUDA driver on this machine");
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e == cudaErrorInsufficientDriver)
        return fail(err, ST_VERSION, "the driver is for CUDA %d.%d, the probe needs %d.%d",
                    m->driver / 1000, m->driver % 1000 / 10, m->runtime / 1000,
                    m->runtime % 1000 / 10);
    if (e == cudaErrorNoDevice) return fail(err, ST_NOT_FOUND, "no CUDA device");
    TRY_CUDA(e, "number of CUDA devices");
    if (index >= n)
        return fail(err, ST_NOT_FOUND, "no CUDA device %d: there are %d, counted from 0", index,
                    n);
    return ST_OK;
}

static status describe(probe_machine *m, int index, errbuf *err) {
    cudaDeviceProp properties;
    int khz = 0, memory_khz = 0, l2_bytes = 0;
    TRY_CUDA(cudaGetDeviceProperties(&properties, index), "properties of the device");
    snprintf(m->device, sizeof(m->device), "%.*s", (int)sizeof(m->device) - 1, properties.name);
    TRY_CUDA(cudaDeviceGetAttribute(&l2_bytes, cudaDevAttrL2CacheSize, index), "L2 cache size");
    m->l2_bytes = (uint64_t)l2_bytes;
    if (cudaDeviceGetAttribute(&khz, cudaDevAttrClockRate, index) == cudaSuccess &&
        cudaDeviceGetAttribute(&memory_khz, cudaDevAttrMemoryClockRate, index) == cudaSuccess) {
        m->sm_clock_max_mhz = (uint32_t)khz / 1000;
        m->memory_clock_max_mhz = (uint32_t)memory_khz / 1000;
    }
    return ST_OK;
}

static status take_device(int index, errbuf *err) {
    cudaFuncAttributes attributes;
    TRY_CUDA(cudaSetDevice(index), "opening the device");
    TRY_CUDA(cudaFree(NULL), "opening the device"); /* makes the context now */
    if (cudaFuncGetAttributes(&attributes, fill_random_kernel) != cudaSuccess)
        return fail(
            err, ST_VERSION,
            "the probe was not compiled for this device: set -Dgpu_arch and build again");
    return ST_OK;
}

status probe_device_open(probe_device **out, probe_machine *machine, int index, errbuf *err) {
    probe_machine m;
    char pci_address[32] = "";
    memset(&m, 0, sizeof(m));
    TRY(find_device(&m, index, err));
    TRY(describe(&m, index, err));
    TRY_CUDA(cudaDeviceGetPCIBusId(pci_address, sizeof(pci_address), index), "PCI address");
    probe_device *d = (probe_device *)calloc(1, sizeof(*d));
    if (!d) return fail(err, ST_NO_MEMORY, "out of memory");
    open_library(d, pci_address);
    status st = check_idle(d, err);
    if (st == ST_OK) st = take_device(index, err);
    if (st != ST_OK) {
        probe_device_close(d);
        return st;
    }
    *machine = m;
    *out = d;
    return ST_OK;
}

void probe_device_close(probe_device *d) {
    if (!d) return;
    if (d->library) d->shutdown();
    close_library(d);
    free(d);
}
