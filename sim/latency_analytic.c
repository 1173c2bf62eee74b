#include "latency_analytic.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "attention_model.h"
#include "gemm_model.h"

/* Element-wise kernels (norms with the residual sum, rope, cache write, activation) take about
 * 2 us however few tokens there are: casys-kaist/LLMServingSim, dense tables of RTX4090 and
 * RTXPRO6000 at 1 to 64 tokens. */
static const double KERNEL_S = 2e-6;

/* Sampler: 25 us, then two passes over the 32-bit logits; fitted by eye to the sampler rows of
 * the per_sequence tables there, 1 to 256 sequences. */
static const double SAMPLER_S = 25e-6;
enum { SAMPLER_BYTES_PER_LOGIT = 2 * 4 };

/* Host work between two iterations that the device waits for. The constant is fitted: what is
 * left of the time per token of the vLLM 0.11 runs of Llama-2-7B and CodeLlama-34B on an H100
 * (inference-sim/inference-sim, eval/ground_truth) when the device's part is taken off, by
 * least squares on running sequences and prefilled tokens; 0.59 and 0.72 ms. The part per
 * sequence is an assumption, as the sources disagree: -13 us (up to 20 sequences) and +141 us
 * (up to 9) in those fits, 43 us in the vLLM of 2024 (microsoft/vidur, a100/cpu_overheads.csv).
 */
static const double HOST_STEP_S = 650e-6, HOST_SEQUENCE_S = 10e-6;

/* A copy of one byte takes about 7 us in all, of which the launch is a part: npho/cse554
 * host_GPU/benchmark.csv, pinned memory. */
static const double COPY_FIXED_S = 7e-6 - 2.3e-6;

/* Iterations up to these sizes are computed once; larger ones each time. */
enum { KNOWN_TOKENS = 1 << 15, KNOWN_SAMPLED = 1 << 12 };

typedef struct analytic {
    const device_spec *device;
    device_spec own; /* which that points to */
    const model_spec *model;
    uint32_t tp;
    attention_shape attention; /* on one device */
    double byte_s;             /* of a streaming kernel */
    double *tokens_s;          /* [KNOWN_TOKENS] tokens_s() of the index, 0 until asked for */
    double *sampled_s;         /* [KNOWN_SAMPLED] likewise */
} analytic;

static uint64_t ceil_div(uint64_t a, uint64_t b) {
    return (a + b - 1) / b;
}

/* Ring all-reduce: 2 (tp - 1) / tp of the bytes pass each link (NVIDIA nccl-tests,
 * doc/PERFORMANCE.md). */
static double all_reduce_s(const analytic *a, double bytes) {
    if (a->tp == 1) return 0;
    double passes = 2.0 * (a->tp - 1) / a->tp;
    return a->device->peer_latency_s + passes * bytes / a->device->peer_bytes_per_s;
}

static double layer_gemms_s(const analytic *a, uint32_t n_tokens) {
    const model_spec *m = a->model;
    uint32_t q = a->attention.n_heads * m->head_dim;
    uint32_t kv = a->attention.n_kv_heads * m->head_dim;
    uint32_t ffn = (uint32_t)ceil_div(m->ffn, a->tp);
    return gemm_s(a->device, n_tokens, q + 2 * kv, m->hidden) +
           gemm_s(a->device, n_tokens, m->hidden, q) +
           gemm_s(a->device, n_tokens, (m->gated_mlp ? 2 : 1) * ffn, m->hidden) +
           gemm_s(a->device, n_tokens, m->hidden, ffn);
}

/* Norms and the residual stream are whole on each rank; heads and the MLP are split. */
static double layer_elementwise_s(const analytic *a, uint32_t n_tokens) {
    const model_spec *m = a->model;
    bool rotary = m->n_positions == 0;
    double q = (double)a->attention.n_heads * m->head_dim;
    double kv = (double)a->attention.n_kv_heads * m->head_dim;
    double norms = 2 * 4.0 * m->hidden; /* reads and writes the values and the residual */
    double cache = 2 * 2 * kv;
    double rope = rotary ? 2 * (q + kv) : 0;
    double qk_norm = m->qk_norm ? 2 * (q + kv) : 0;
    double activation = (m->gated_mlp ? 3 : 2) * (double)m->ffn / a->tp;
    int n_kernels = 4 + rotary + 2 * m->qk_norm;
    double values = norms + cache + rope + qk_norm + activation;
    return n_kernels * KERNEL_S + n_tokens * values * m->bytes_per_value * a->byte_s;
}

/* Everything that follows from the number of new tokens alone. */
static double tokens_s(const analytic *a, uint32_t n_tokens) {
    const model_spec *m = a->model;
    double hidden_bytes = (double)n_tokens * m->hidden * m->bytes_per_value;
    double layer_s = layer_gemms_s(a, n_tokens) + layer_elementwise_s(a, n_tokens) +
                     2 * all_reduce_s(a, hidden_bytes);
    double embedding_s = KERNEL_S + 2 * hidden_bytes * a->byte_s;
    double norm_s = KERNEL_S + 2 * hidden_bytes * a->byte_s;
    return m->n_layers * layer_s + embedding_s + all_reduce_s(a, hidden_bytes) + norm_s;
}

/* Everything that follows from the number of sampled tokens: the output head, whose rows are
 * split by vocabulary, bringing its parts together (half of an all-reduce), the sampler. */
static double sampled_s(const analytic *a, uint32_t n_sampled) {
    const model_spec *m = a->model;
    uint32_t words = (uint32_t)ceil_div(m->vocab, a->tp);
    double logits = (double)n_sampled * m->vocab;
    return gemm_s(a->device, n_sampled, words, m->hidden) +
           all_reduce_s(a, logits * m->bytes_per_value / 2) + SAMPLER_S +
           logits * SAMPLER_BYTES_PER_LOGIT * a->byte_s;
}

static double known_s(const analytic *a, double *known, uint32_t n_known, uint32_t i,
                      double (*compute)(const analytic *, uint32_t)) {
    if (i == 0) return 0;
    if (i >= n_known) return compute(a, i);
    if (known[i] == 0) known[i] = compute(a, i);
    return known[i];
}

static double device_s(const analytic *a, const batch_shape *shape) {
    double prefill =
        context_attention_s(a->device, &a->attention, shape->n_prefill, shape->n_prefill_tokens,
                            shape->prefill_pairs, shape->prefill_kv_tokens);
    double decode = generation_attention_s(a->device, &a->attention, shape->n_decode,
                                           shape->decode_kv_tokens);
    return known_s(a, a->tokens_s, KNOWN_TOKENS, shape->n_tokens, tokens_s) +
           known_s(a, a->sampled_s, KNOWN_SAMPLED, shape->n_sampled, sampled_s) +
           a->model->n_layers * (prefill + decode);
}

static double analytic_iteration_s(void *context, const batch_shape *shape) {
    uint32_t n_seqs = shape->n_prefill + shape->n_decode;
    return HOST_STEP_S + HOST_SEQUENCE_S * n_seqs + device_s(context, shape);
}

static double analytic_copy_s(void *context, link_direction direction, double n_bytes,
                              uint32_t n_segments, bool beside_compute) {
    (void)direction, (void)beside_compute; /* published rates do not tell these apart */
    const device_spec *d = ((const analytic *)context)->device;
    double launches_s = n_segments * d->copy_launch_s, bytes_s = n_bytes / d->link_bytes_per_s;
    return COPY_FIXED_S + (launches_s > bytes_s ? launches_s : bytes_s);
}

static double analytic_copy_slowdown(void *context) {
    const device_spec *d = ((const analytic *)context)->device;
    double slowdown = 2 * d->link_bytes_per_s / d->link_both_bytes_per_s;
    return slowdown > 1 ? slowdown : 1;
}

static void analytic_destroy(void *context) {
    analytic *a = context;
    if (!a) return;
    free(a->tokens_s);
    free(a->sampled_s);
    free(a);
}

/* Key-value heads are split too, or, where there are fewer than devices, repeated. */
static bool divides(uint32_t tp, const model_spec *m) {
    if (tp != 1 && tp != 2 && tp != 4 && tp != 8) return false;
    return m->n_heads % tp == 0 && (m->n_kv_heads % tp == 0 || tp % m->n_kv_heads == 0);
}

status latency_analytic_create(latency_source *out, const device_spec *device,
                               const model_spec *model, uint32_t tp, errbuf *err) {
    if (!divides(tp, model))
        return fail(
            err, ST_INVALID,
            "tensor parallelism %u for %s: must be 1, 2, 4 or 8 and divide its %u heads",
            (unsigned)tp, model->name, (unsigned)model->n_heads);
    analytic *a = calloc(1, sizeof(*a));
    if (!a) return fail(err, ST_NO_MEMORY, "no memory for the latency source");
    a->own = *device;
    a->device = &a->own;
    a->model = model;
    a->tp = tp;
    a->attention = (attention_shape){.n_heads = model->n_heads / tp,
                                     .n_kv_heads = (uint32_t)ceil_div(model->n_kv_heads, tp),
                                     .head_dim = model->head_dim};
    a->byte_s = 1 / (device->memory_bytes_per_s * gemm_memory_share(device));
    a->tokens_s = calloc(KNOWN_TOKENS, sizeof(*a->tokens_s));
    a->sampled_s = calloc(KNOWN_SAMPLED, sizeof(*a->sampled_s));
    if (!a->tokens_s || !a->sampled_s) {
        analytic_destroy(a);
        return fail(err, ST_NO_MEMORY, "no memory for the latency source");
    }
    *out = (latency_source){.iteration_s = analytic_iteration_s,
                            .copy_s = analytic_copy_s,
                            .copy_slowdown = analytic_copy_slowdown,
                            .destroy = analytic_destroy,
                            .context = a};
    return ST_OK;
}

double latency_analytic_device_s(const latency_source *source, const batch_shape *shape) {
    assert(source->iteration_s == analytic_iteration_s);
    return device_s(source->context, shape);
}
