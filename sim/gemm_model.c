#include "gemm_model.h"

/* How near a family's kernels get to the device's limits. */
typedef struct gemm_rates {
    double peak_share;       /* of peak arithmetic, in the inner loop of a short kernel */
    double feed_bytes_per_s; /* operands into one SM, from L2 */
    double memory_share;     /* of memory bandwidth */
    double launch_s;         /* launch, first operands, last results */
    double wave_s;           /* what of a wave's start and end does not overlap */
    double split_s;          /* summing the parts when k is split */
    double sag;              /* slower by up to this share in long kernels: power, L2 misses */
    double overlap_loss;     /* share of the lesser of arithmetic and memory that shows */
} gemm_rates;

/* Fitted by least mean |log(model / measured)|:
 * Ampere, Hopper: ai-dynamo/aiconfigurator gemm_perf, bf16, of a100_sxm and of h200_sxm with
 *   h100_sxm; n 1,024 to 32,768, k 1,024 to 16,384, m up to 16,384.
 * Ada, Blackwell: casys-kaist/LLMServingSim dense tables of RTX4090 and RTXPRO6000. They do not
 *   determine the feed rate of Ada (never the bound on an RTX 4090): it is L2's 64 bytes per
 * clock and SM, at 2.5 GHz, and says something on the L40S only, which has no table. Error by
 * operator: results/analytic_error.md. */
static const gemm_rates rates[N_GPU_FAMILIES] = {
    [GPU_AMPERE] = {.954, 45e9, .775, 3.56e-6, 3.39e-6, 0, 0, .14},
    [GPU_ADA] = {1, 160e9, .965, 6.37e-6, .33e-6, 2.51e-6, 0, .032},
    [GPU_HOPPER] = {1, 175.6e9, .907, 3.01e-6, .30e-6, 3.30e-6, .24, .199},
    [GPU_BLACKWELL] = {.902, 127.6e9, .869, .86e-6, 3.04e-6, 0, 0, .323},
};

static const double SAG_HALF_S = 200e-6; /* kernel length at which half of the sag shows */
static const uint32_t SPLIT_MAX = 8, SPLIT_K_MIN = 256; /* as split-k kernels are used */

static const struct {
    uint32_t rows, columns;
} tiles[] = {{64, 64}, {64, 128}, {64, 256}, {128, 128}, {128, 256}, {256, 128}};
enum { N_TILES = sizeof(tiles) / sizeof(tiles[0]) };

static uint64_t ceil_div(uint64_t a, uint64_t b) {
    return (a + b - 1) / b;
}

double gemm_memory_share(const device_spec *device) {
    return rates[device->family].memory_share;
}

/* Seconds in the tiles' inner loops: waves over the SMs, each as long as one tile. */
static double tiled_s(const device_spec *device, uint32_t m, uint32_t n, double k, int tile,
                      uint32_t split) {
    const gemm_rates *r = &rates[device->family];
    uint32_t rows = tiles[tile].rows, columns = tiles[tile].columns;
    uint64_t n_tiles = ceil_div(m, rows) * ceil_div(n, columns) * split;
    double waves = (double)ceil_div(n_tiles, device->n_sms);
    double arithmetic =
        2.0 * rows * columns * device->n_sms / (device->peak_flops * r->peak_share);
    double operands = 2.0 * ((m < rows ? m : rows) + columns) / r->feed_bytes_per_s;
    double step = arithmetic > operands ? arithmetic : operands;
    return waves * (step * k / split + r->wave_s);
}

double gemm_s(const device_spec *device, uint32_t m, uint32_t n, uint32_t k) {
    const gemm_rates *r = &rates[device->family];
    double per_byte = 1 / (device->memory_bytes_per_s * r->memory_share);
    double once_s = 2 * ((double)m * k + (double)n * k + (double)m * n) * per_byte;
    double best_s = -1;
    for (int tile = 0; tile < N_TILES; tile++)
        for (uint32_t split = 1; split <= SPLIT_MAX; split *= 2) {
            if (split > 1 && k / split < SPLIT_K_MIN) break;
            double busy_s = tiled_s(device, m, n, k, tile, split), memory_s = once_s;
            if (split > 1) {
                busy_s += r->split_s;
                memory_s += 4.0 * m * n * split * per_byte; /* 32-bit partial sums */
            }
            busy_s *= 1 + r->sag * busy_s / (busy_s + SAG_HALF_S);
            double s = busy_s > memory_s ? busy_s + r->overlap_loss * memory_s
                                         : memory_s + r->overlap_loss * busy_s;
            if (best_s < 0 || s < best_s) best_s = s;
        }
    return r->launch_s + best_s;
}
