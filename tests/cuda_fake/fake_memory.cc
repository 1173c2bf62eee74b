/* fake_memory.cc - allocations and copies; see cuda_runtime.h. */
#include "fake_state.h"

#include <map>
#include <stdlib.h>
#include <vector>

namespace {
struct allocation {
    size_t n_bytes;
    bool pinned;
};
} // namespace

size_t fake_device_bytes = 256 << 20;

static std::map<const char *, allocation> allocations;
static size_t used_bytes; /* of the device */

void fake_device_memory(size_t total_bytes) {
    guard g(fake_lock);
    fake_device_bytes = total_bytes;
}

size_t fake_live_objects(void) {
    guard g(fake_lock);
    return allocations.size() + fake_n_handles;
}

static cudaError_t allocate(void **memory, size_t n_bytes, bool pinned) {
    guard g(fake_lock);
    NOT_IN_A_CAPTURE();
    MAY_FAIL(cudaErrorMemoryAllocation);
    *memory = NULL;
    if (n_bytes == 0) return cudaSuccess;
    if (!pinned && n_bytes > fake_device_bytes - used_bytes)
        return fake_failed(cudaErrorMemoryAllocation);
    void *made;
    if (posix_memalign(&made, 256, n_bytes) != 0) return fake_failed(cudaErrorMemoryAllocation);
    memset(made, 0xff, n_bytes);
    allocations[(const char *)made] = {n_bytes, pinned};
    if (!pinned) used_bytes += n_bytes;
    *memory = made;
    return cudaSuccess;
}

static cudaError_t release(void *memory, bool pinned) {
    guard g(fake_lock);
    if (!memory) return cudaSuccess;
    NOT_IN_A_CAPTURE();
    auto a = allocations.find((const char *)memory);
    CHECK_VALUE(a != allocations.end() && a->second.pinned == pinned);
    if (!pinned) used_bytes -= a->second.n_bytes;
    allocations.erase(a);
    free(memory);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **memory, size_t n_bytes) {
    return allocate(memory, n_bytes, false);
}
cudaError_t cudaHostAlloc(void **memory, size_t n_bytes, unsigned) {
    return allocate(memory, n_bytes, true);
}
cudaError_t cudaFree(void *memory) {
    return release(memory, false);
}
cudaError_t cudaFreeHost(void *memory) {
    return release(memory, true);
}

/* ------------------------------------------------------------ copies */

/* The allocation that holds [at, at + n_bytes), which may not end outside it. NULL: no such;
 * *crosses: it begins inside one. */
static const allocation *find_allocation(const void *at, size_t n_bytes, bool *crosses) {
    auto a = allocations.upper_bound((const char *)at);
    *crosses = false;
    if (a == allocations.begin()) return NULL;
    --a;
    size_t offset = (size_t)((const char *)at - a->first);
    if (offset >= a->second.n_bytes) return NULL;
    *crosses = n_bytes > a->second.n_bytes - offset;
    return *crosses ? NULL : &a->second;
}

static bool lies_on(const void *at, size_t n_bytes, bool on_device, bool either) {
    bool crosses;
    const allocation *a = find_allocation(at, n_bytes, &crosses);
    return !crosses && (either || (a && !a->pinned) == on_device);
}

static bool copy_is_valid(const void *to, const void *from, size_t n_bytes,
                          cudaMemcpyKind kind) {
    bool either = kind == cudaMemcpyDefault;
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    return lies_on(to, n_bytes, to_device, either) &&
           lies_on(from, n_bytes, from_device, either);
}

cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned) {
    guard g(fake_lock);
    bool crosses;
    const allocation *a = find_allocation(host, 1, &crosses);
    CHECK_VALUE(a && a->pinned);
    *device = host;
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    guard g(fake_lock);
    if (n_bytes == 0) return cudaSuccess;
    CHECK_VALUE(copy_is_valid(to, from, n_bytes, kind));
    fake_call call = fake_call_of(FAKE_COPY);
    call.direction = kind;
    call.to = to;
    call.from = from;
    call.bytes = n_bytes;
    return fake_enqueue(stream, call, [=] { memcpy(to, from, n_bytes); });
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t n_bytes, cudaMemcpyKind kind) {
    guard g(fake_lock);
    NOT_IN_A_CAPTURE();
    return cudaMemcpyAsync(to, from, n_bytes, kind, NULL);
}

cudaError_t cudaMemcpyBatchAsync(void *const *to, const void *const *from, const size_t *sizes,
                                 size_t count, cudaMemcpyAttributes *attributes,
                                 size_t *attribute_starts, size_t n_attributes,
                                 cudaStream_t stream) {
    guard g(fake_lock);
    CHECK_VALUE(stream && count > 0 && n_attributes > 0 && n_attributes <= count);
    CHECK_VALUE(attribute_starts[0] == 0);
    for (size_t i = 0; i < n_attributes; i++) {
        CHECK_VALUE(attributes[i].srcAccessOrder != cudaMemcpySrcAccessOrderInvalid);
        CHECK_VALUE(i == 0 || (attribute_starts[i] > attribute_starts[i - 1] &&
                               attribute_starts[i] < count));
    }
    fake_call call = fake_call_of(FAKE_BATCH_COPY);
    std::vector<std::function<void()>> pieces;
    for (size_t i = 0; i < count; i++) {
        void *piece_to = to[i];
        const void *piece_from = from[i];
        size_t n_bytes = sizes[i];
        CHECK_VALUE(n_bytes > 0 &&
                    copy_is_valid(piece_to, piece_from, n_bytes, cudaMemcpyDefault));
        pieces.push_back([=] { memcpy(piece_to, piece_from, n_bytes); });
        call.bytes += n_bytes;
    }
    bool to_device = lies_on(to[0], sizes[0], true, false);
    bool from_device = lies_on(from[0], sizes[0], true, false);
    call.direction = (from_device ? 2 : 0) + (to_device ? 1 : 0);
    call.to = to[0];
    call.from = from[0];
    call.n_pieces = count;
    NOT_IN_A_CAPTURE();
    return fake_enqueue(stream, call, [&pieces] {
        for (auto &copy : pieces) copy();
    });
}

cudaError_t cudaMemsetAsync(void *memory, int byte, size_t n_bytes, cudaStream_t stream) {
    guard g(fake_lock);
    if (n_bytes == 0) return cudaSuccess;
    bool crosses;
    CHECK_VALUE(find_allocation(memory, n_bytes, &crosses));
    fake_call call = fake_call_of(FAKE_SET);
    call.to = memory;
    call.bytes = n_bytes;
    return fake_enqueue(stream, call, [=] { memset(memory, byte, n_bytes); });
}

cudaError_t cudaMemset(void *memory, int byte, size_t n_bytes) {
    guard g(fake_lock);
    NOT_IN_A_CAPTURE();
    return cudaMemsetAsync(memory, byte, n_bytes, NULL);
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    guard g(fake_lock);
    MAY_FAIL(cudaErrorUnknown);
    *free_bytes = fake_device_bytes - used_bytes;
    *total_bytes = fake_device_bytes;
    return cudaSuccess;
}
