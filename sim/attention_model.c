#include "attention_model.h"

#include <stdbool.h>

/* How near a family's kernels get to the device's limits. */
typedef struct attention_rates {
    bool packed;         /* queries of a group of heads share a tile (FlashAttention-3) */
    uint32_t tile_rows;  /* queries in a tile */
    double peak_share;   /* of peak arithmetic along the keys */
    double softmax_dims; /* cost of a pair's exponential, in values of head_dim */
    double tile_s;       /* fixed cost of a tile on its SM */
    double context_launch_s, context_memory_share;
    double generation_launch_s, generation_memory_share;
    double overlap_loss; /* decode: share of the lesser of tiles and memory that shows */
} attention_rates;

/* Fitted by least mean |log(model / measured)|, both kernels together, head_dim 64 and 128,
 * 16-bit keys and values, no window: Hopper (FlashAttention-3), Ampere (FlashAttention-2):
 * ai-dynamo/aiconfigurator context_attention_perf and generation_attention_perf of h200_sxm
 * with h100_sxm, and of a100_sxm. Ada, Blackwell (FlashAttention-2): casys-kaist/LLMServingSim
 * attention tables of RTX4090 and RTXPRO6000, rows that are all prefill (also behind a prefix)
 * or all decode. Error by model: results/analytic_error.md. */
static const attention_rates rates[N_GPU_FAMILIES] = {
    [GPU_AMPERE] = {false, 64, .588, 0, 3.52e-6, 7.7e-6, 1, 17.9e-6, .719, .244},
    [GPU_ADA] = {false, 64, .964, 13.2, 4.55e-6, 2.3e-6, 1, 12.5e-6, .899, .331},
    [GPU_HOPPER] = {true, 128, .935, 47, 3.0e-6, 9.76e-6, .569, 11.3e-6, .886, .66},
    [GPU_BLACKWELL] = {false, 64, .703, 21.8, 3.96e-6, 2.0e-6, 1, 12.4e-6, .798, .341},
};

static double larger(double a, double b) {
    return a > b ? a : b;
}

/* Tiles of all chunks. A chunk fills its last tile half on average and has at least one. */
static double context_tiles(const attention_rates *r, const attention_shape *shape,
                            uint32_t n_chunks, uint32_t n_tokens) {
    double groups = r->packed ? shape->n_kv_heads : shape->n_heads;
    double rows = (double)n_tokens * shape->n_heads / groups;
    return groups * larger(n_chunks, rows / r->tile_rows + 0.5 * n_chunks);
}

double context_attention_s(const device_spec *device, const attention_shape *shape,
                           uint32_t n_chunks, uint32_t n_tokens, uint64_t n_pairs,
                           uint64_t kv_tokens) {
    if (n_chunks == 0) return 0;
    const attention_rates *r = &rates[device->family];
    /* On one SM. Two products of head_dim multiply-adds for each pair (FlashAttention-2, Dao,
     * 2023, section 4.1), and its exponential. */
    double pair_s = 4 * (shape->head_dim + r->softmax_dims) * device->n_sms /
                    (device->peak_flops * r->peak_share);
    double tiles_s = context_tiles(r, shape, n_chunks, n_tokens) * r->tile_s;
    double all_s = (tiles_s + (double)n_pairs * shape->n_heads * pair_s) / device->n_sms;
    double longest_s = r->tile_s + r->tile_rows * ((double)kv_tokens / n_chunks) * pair_s;
    double bytes = 4.0 * shape->head_dim *
                   ((double)n_tokens * shape->n_heads + (double)kv_tokens * shape->n_kv_heads);
    return r->context_launch_s + larger(all_s, longest_s) +
           bytes / (device->memory_bytes_per_s * r->context_memory_share);
}

double generation_attention_s(const device_spec *device, const attention_shape *shape,
                              uint32_t n_seqs, uint64_t kv_tokens) {
    if (n_seqs == 0) return 0;
    const attention_rates *r = &rates[device->family];
    double tiles_s = (double)n_seqs * shape->n_kv_heads * r->tile_s / device->n_sms;
    double bytes = 4.0 * shape->head_dim *
                   ((double)kv_tokens * shape->n_kv_heads + (double)n_seqs * shape->n_heads);
    double memory_s = bytes / (device->memory_bytes_per_s * r->generation_memory_share);
    double lesser_s = tiles_s < memory_s ? tiles_s : memory_s;
    return r->generation_launch_s + larger(tiles_s, memory_s) + r->overlap_loss * lesser_s;
}
