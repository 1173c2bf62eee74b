/* fake_launch.h - running a kernel: fake_launch("name", grid, block, bytes, stream, kernel)(
 * arguments...) for kernel<<<grid, block, bytes, stream>>>(arguments...). As there, arguments
 * are taken at the launch, so a graph may run it again later. */
#ifndef FAKE_LAUNCH_H
#define FAKE_LAUNCH_H

#include "cuda_runtime.h"

#include <functional>
#include <tuple>

#include "fake_cuda.h"

struct fake_shape {
    const char *name; /* of the kernel */
    const void *kernel;
    dim3 grid, block;
    size_t shared_bytes;
};

/* Runs `body` for each thread of the grid, block after block, once or, in a capture, whenever
 * the graph is launched. What is wrong becomes the last error. */
void fake_launch_body(const fake_shape &shape, cudaStream_t stream,
                      const std::function<void()> &body);

/* The dynamic shared memory of the block that runs: shared_bytes, 16-byte aligned, each byte
 * 0xff when the block begins. */
unsigned char *fake_dynamic_shared(void);

/* What a library that works on streams (cuBLASLt) does with a product: `work` is carried out
 * now or recorded for the graph, `call` (its stream included) goes to the log. Fails as a
 * launch may. */
cudaError_t fake_enqueue(cudaStream_t stream, const fake_call &call,
                         const std::function<void()> &work);

template <class... P> struct fake_launcher {
    fake_shape shape;
    cudaStream_t stream;
    void (*kernel)(P...);

    void operator()(P... arguments) const {
        std::tuple<P...> values(arguments...);
        void (*k)(P...) = kernel;
        fake_launch_body(shape, stream, [k, values] { std::apply(k, values); });
    }
};

template <class... P>
static inline fake_launcher<P...> fake_launch(const char *name, dim3 grid, dim3 block,
                                              size_t shared_bytes, cudaStream_t stream,
                                              void (*kernel)(P...)) {
    return {{name, (const void *)kernel, grid, block, shared_bytes}, stream, kernel};
}

#endif
