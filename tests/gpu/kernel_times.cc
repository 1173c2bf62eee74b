/* kernel_times.cc - how fast attention is, beside a copy within the device's memory.
 *
 * Launches stand behind one another on a stream, between two events; the layers of the arena
 * take turns, so that what is read was not in the cache. The fastest of a few such rows counts:
 * what else the machine does can only add. */
#include "check.h"

#include <algorithm>
#include <functional>

#include "attention.cuh"
#include "fill.cuh"

enum { HEAD_DIM = 128, BLOCK_TOKENS = 16, LAYERS = 2 };

#ifdef __CUDACC__
enum { BATCH = 64, CONTEXT = 2048, LAUNCHES = 20, ROUNDS = 5 };
static const std::vector<uint32_t> lengths = {1024, 2048, 4096, 8192, 16384};
static const size_t copy_bytes = (size_t)2 << 30;
#else /* to see that it runs */
enum { BATCH = 2, CONTEXT = 40, LAUNCHES = 1, ROUNDS = 1 };
static const std::vector<uint32_t> lengths = {20};
static const size_t copy_bytes = 1 << 20;
#endif

struct model_heads {
    const char *name;
    uint32_t n_heads, n_kv_heads;
};
static const model_heads models[] = {{"llama-3-8b", 32, 8}, {"llama-2-7b", 32, 32}};

/* Seconds of one launch. */
static double time_launches(const std::function<void(int)> &launch) {
    cudaEvent_t begin, end;
    double best_s = INFINITY;
    check_cuda(cudaEventCreate(&begin), "an event");
    check_cuda(cudaEventCreate(&end), "an event");
    for (int round = 0; round <= ROUNDS; round++) { /* the first warms up */
        float ms;
        check_cuda(cudaEventRecord(begin, 0), "an event");
        for (int i = 0; i < LAUNCHES; i++) launch(i);
        check_cuda(cudaEventRecord(end, 0), "an event");
        check_cuda(cudaEventSynchronize(end), "launches");
        check_cuda(cudaEventElapsedTime(&ms, begin, end), "timing");
        if (round > 0) best_s = std::min(best_s, ms * 1e-3 / LAUNCHES);
    }
    check_cuda(cudaEventDestroy(begin), "an event");
    check_cuda(cudaEventDestroy(end), "an event");
    return best_s;
}

/* Bytes read and written in a second. */
static double copy_bytes_per_s(void) {
    device_array<uint16_t> from(copy_bytes / 2), to(copy_bytes / 2);
    double s = time_launches([&](int) {
        check_cuda(cudaMemcpyAsync(to.at, from.at, copy_bytes, cudaMemcpyDeviceToDevice, 0),
                   "a copy");
    });
    return 2 * (double)copy_bytes / s;
}

/* Sequences of the same length, their blocks shuffled. */
struct paged_rows {
    kv_arena arena;
    device_array<uint16_t> kv, q, out;
    device_array<uint32_t> blocks;

    static std::vector<uint32_t> shuffled(uint32_t n) {
        std::vector<uint32_t> all(n);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t j = (uint32_t)(rng_bits(11, 0, i) % (i + 1));
            all[i] = all[j];
            all[j] = i;
        }
        return all;
    }

    paged_rows(const model_heads &m, uint32_t n_blocks, size_t n_rows)
        : arena{NULL, BLOCK_TOKENS, LAYERS, m.n_kv_heads, HEAD_DIM},
          kv(kv_arena_rows(&arena, n_blocks, 0, 0)), q(n_rows * m.n_heads * HEAD_DIM),
          out(n_rows * m.n_heads * HEAD_DIM), blocks(shuffled(n_blocks)) {
        const fill_law law = {1, 0, 0, 1};
        arena.values = kv.at;
        CHECK_OK(fill_random(0, kv.at, kv.n, DEVICE_BF16, &law, &err));
        CHECK_OK(fill_random(0, q.at, q.n, DEVICE_BF16, &law, &err));
    }
};

static uint32_t n_multiprocessors(void) {
    int n = 0;
    check_cuda(cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, 0), "the device");
    return (uint32_t)n;
}

static void time_decode(const model_heads &m, double copy_rate) {
    const uint32_t n_each = (CONTEXT + BLOCK_TOKENS - 1) / BLOCK_TOKENS;
    paged_rows r(m, BATCH * n_each, BATCH);
    std::vector<uint32_t> first(BATCH), last(BATCH, CONTEXT - 1);
    for (uint32_t i = 0; i < BATCH; i++) first[i] = i * n_each;
    device_array<uint32_t> first_block(first), positions(last);
    const decode_splits splits =
        attend_decode_splits(BATCH, m.n_kv_heads, HEAD_DIM, CONTEXT, n_multiprocessors());
    device_array<float> workspace(
        attend_decode_workspace_bytes(BATCH, m.n_heads, HEAD_DIM, splits) / sizeof(float));
    attend_decode_args a = {};
    a.rows = {NULL, positions.at, first_block.at, r.blocks.at, BATCH};
    a.q = r.q.at;
    a.q_stride = (size_t)m.n_heads * HEAD_DIM;
    a.out = r.out.at;
    a.arena = r.arena;
    a.n_heads = m.n_heads;
    a.scale = 0.088f;
    a.splits = splits;
    a.workspace = workspace.at;
    double s = time_launches([&](int i) {
        a.layer = (uint32_t)i % LAYERS;
        CHECK_OK(attend_decode(0, DEVICE_BF16, &a, &err));
    });
    double rate = (double)BATCH * CONTEXT * 2 * m.n_kv_heads * HEAD_DIM * 2 / s;
    char key[96];
    snprintf(key, sizeof(key), "times/decode_attention/%s,batch=%d,context=%d", m.name, BATCH,
             CONTEXT);
    printf("%s us %.2f\n%s GB_per_s %.0f\n%s share_of_copy %.3f\n", key, s * 1e6, key,
           rate * 1e-9, key, rate / copy_rate);
}

static void time_prefill(const model_heads &m, uint32_t n) {
    paged_rows r(m, (n + BLOCK_TOKENS - 1) / BLOCK_TOKENS, n);
    const uint32_t tile_rows = attention_tile_rows(HEAD_DIM);
    const attention_tile all = {0, n, 0, 0};
    std::vector<attention_tile> tiles(n / tile_rows + 1);
    uint32_t n_tiles = 0;
    CHECK_OK(attention_plan_tiles(tiles.data(), &n_tiles, (uint32_t)tiles.size(), &all, 1,
                                  tile_rows, &err));
    device_array<attention_tile> on_device(tiles);
    attend_prefill_args a = {};
    a.tiles = on_device.at;
    a.n_tiles = n_tiles;
    a.q = r.q.at;
    a.q_stride = (size_t)m.n_heads * HEAD_DIM;
    a.out = r.out.at;
    a.blocks = r.blocks.at;
    a.arena = r.arena;
    a.n_heads = m.n_heads;
    a.scale = 0.088f;
    double s = time_launches([&](int i) {
        a.layer = (uint32_t)i % LAYERS;
        CHECK_OK(attend_prefill(0, DEVICE_BF16, &a, &err));
    });
    /* As FlashAttention's figures count: half of all pairs, 4 head_dim operations each. */
    double flops = 2.0 * n * n * m.n_heads * HEAD_DIM / s;
    printf("times/prefill_attention/%s,tokens=%u us %.1f\n", m.name, n, s * 1e6);
    printf("times/prefill_attention/%s,tokens=%u TFLOP_per_s %.1f\n", m.name, n, flops * 1e-12);
}

int time_kernels(void) {
    check_begin("times");
    const double copy_rate = copy_bytes_per_s();
    printf("times/copy_on_device GB_per_s %.0f\n", copy_rate * 1e-9);
    for (const model_heads &m : models) time_decode(m, copy_rate);
    for (uint32_t n : lengths) time_prefill(models[0], n);
    return check_end();
}
