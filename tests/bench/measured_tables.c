#include "measured_tables.h"

#define AIC      "ai-dynamo/aiconfigurator"
#define INFERSIM "inference-sim/inference-sim"
#define LLMSS    "casys-kaist/LLMServingSim"

/* clang-format off */
static const layout aic_gemm = {
    .source = AIC, .latency = "latency", .seconds = 1e-3, .size = {"m"}, .shape = {"n", "k"},
    .wanted = {{"gemm_dtype", "bfloat16"}}};
static const layout aic_context = {
    .source = AIC, .latency = "latency", .seconds = 1e-3, .size = {"batch_size", "isl"},
    .shape = {"num_heads", "num_key_value_heads", "head_dim"},
    .wanted = {{"kv_cache_dtype", "bfloat16"}, {"window_size", "0"}}};
static const layout aic_generation = {
    .source = AIC, .latency = "latency", .seconds = 1e-3, .size = {"batch_size", "step"},
    .more_length = 1, .shape = {"num_heads", "num_key_value_heads", "head_dim"},
    .wanted = {{"kv_cache_dtype", "bfloat16"}, {"window_size", "0"}}};
static const layout infersim_context = {
    .source = INFERSIM, .latency = "latency_us", .seconds = 1e-6, .size = {NULL, "seq_len"},
    .shape = {"n_q_head", "n_kv_head", "head_dim"}, .wanted = {{"tp", "1"}}};
static const layout infersim_generation = {
    .source = INFERSIM, .latency = "latency_us", .seconds = 1e-6,
    .size = {"batch_size", "kv_len"}, .shape = {"n_q_head", "n_kv_head", "head_dim"},
    .wanted = {{"kv_dtype", "bf16"}, {"tp", "1"}}};
#define VIDUR_GEMM(name, op)                                                                   \
    static const layout name = {.source = "microsoft/vidur", .seconds = 1e-3,                  \
                                .latency = "time_stats." op ".median", .size = {"num_tokens"}, \
                                .wanted = {{"num_tensor_parallel_workers", "1"}}}
VIDUR_GEMM(vidur_qkv, "attn_pre_proj");
VIDUR_GEMM(vidur_o, "attn_post_proj");
VIDUR_GEMM(vidur_up, "mlp_up_proj");
VIDUR_GEMM(vidur_down, "mlp_down_proj");
#undef VIDUR_GEMM
#define LLMSS_GEMM(name, op)                                                                   \
    static const layout name = {.source = LLMSS, .latency = "time_us", .seconds = 1e-6,        \
                                .size = {"tokens"}, .wanted = {{"layer", op}}}
LLMSS_GEMM(llmss_qkv, "qkv_proj");
LLMSS_GEMM(llmss_o, "o_proj");
LLMSS_GEMM(llmss_up, "gate_up_proj");
LLMSS_GEMM(llmss_down, "down_proj");
#undef LLMSS_GEMM
static const layout llmss_context = {
    .source = LLMSS, .latency = "time_us", .seconds = 1e-6, .size = {NULL, "prefill_chunk"},
    .wanted = {{"n_decode", "0"}, {"kv_prefill", "0"}}};
static const layout llmss_generation = {
    .source = LLMSS, .latency = "time_us", .seconds = 1e-6, .size = {"n_decode", "kv_decode"},
    .wanted = {{"prefill_chunk", "0"}}};
/* clang-format on */

static const comparison aic[] = {
    {"QKV", "llama-2-7b", GEMM, &aic_gemm, {12288, 4096}},
    {"attention out", "llama-2-7b", GEMM, &aic_gemm, {4096, 4096}},
    {"gate and up", "llama-2-7b", GEMM, &aic_gemm, {16384, 4096}},
    {"down", "llama-2-7b", GEMM, &aic_gemm, {4096, 10240}},
    {"head", "llama-2-7b", GEMM, &aic_gemm, {51200, 4096}},
    {"QKV", "llama-3-8b", GEMM, &aic_gemm, {6144, 4096}},
    {"attention out", "llama-3-8b", GEMM, &aic_gemm, {4096, 4096}},
    {"gate and up", "llama-3-8b", GEMM, &aic_gemm, {16384, 4096}},
    {"down", "llama-3-8b", GEMM, &aic_gemm, {4096, 16384}},
    {"head", "llama-3-8b", GEMM, &aic_gemm, {65536, 4096}},
    {"QKV", "opt-13b", GEMM, &aic_gemm, {16384, 5120}},
    {"attention out", "opt-13b", GEMM, &aic_gemm, {5120, 5120}},
    {"up", "opt-13b", GEMM, &aic_gemm, {16384, 5120}},
    {"down", "opt-13b", GEMM, &aic_gemm, {5120, 16384}},
    {"head", "opt-13b", GEMM, &aic_gemm, {51200, 5120}},
    {"prefill attention", "llama-2-7b", CONTEXT, &aic_context, {32, 32, 128}},
    {"prefill attention", "llama-3-8b", CONTEXT, &aic_context, {32, 8, 128}},
    {"prefill attention", "opt-13b", CONTEXT, &aic_context, {40, 40, 128}},
    {"prefill attention", "llama-3-70b", CONTEXT, &aic_context, {64, 8, 128}},
    {"decode attention", "llama-2-7b", GENERATION, &aic_generation, {8, 8, 128}},
    {"decode attention", "llama-3-8b", GENERATION, &aic_generation, {32, 8, 128}},
    {"decode attention", "llama-3-70b", GENERATION, &aic_generation, {64, 8, 128}},
};
static const comparison vidur[] = {
    {"QKV", "llama-2-7b", GEMM, &vidur_qkv, {12288, 4096}},
    {"attention out", "llama-2-7b", GEMM, &vidur_o, {4096, 4096}},
    {"gate and up", "llama-2-7b", GEMM, &vidur_up, {22016, 4096}},
    {"down", "llama-2-7b", GEMM, &vidur_down, {4096, 11008}},
};
static const comparison infersim[] = {
    {"prefill attention", "llama-2-7b", CONTEXT, &infersim_context, {32, 32, 128}},
    {"prefill attention", "llama-3-8b", CONTEXT, &infersim_context, {32, 8, 128}},
    {"decode attention", "llama-2-7b", GENERATION, &infersim_generation, {32, 32, 128}},
    {"decode attention", "llama-3-8b", GENERATION, &infersim_generation, {32, 8, 128}},
    {"decode attention", "opt-13b", GENERATION, &infersim_generation, {40, 40, 128}},
};

static const comparison llmss[] = {
    {"QKV", "llama-3-8b", GEMM, &llmss_qkv, {6144, 4096}},
    {"attention out", "llama-3-8b", GEMM, &llmss_o, {4096, 4096}},
    {"gate and up", "llama-3-8b", GEMM, &llmss_up, {28672, 4096}},
    {"down", "llama-3-8b", GEMM, &llmss_down, {4096, 14336}},
    {"prefill attention", "llama-3-8b", CONTEXT, &llmss_context, {32, 8, 128}},
    {"decode attention", "llama-3-8b", GENERATION, &llmss_generation, {32, 8, 128}},
};

#define LIST(a) (a), sizeof(a) / sizeof((a)[0])
/* clang-format off */
#define AIC_TABLES(name, end) {"aiconfigurator/" name "/gemm_perf.csv" end,                    \
                               "aiconfigurator/" name "/context_attention_perf.csv" end,       \
                               "aiconfigurator/" name "/generation_attention_perf.csv" end}
#define LLMSS_TABLES(name) {"llmservingsim/" name "/llama-3.1-8b_tp1_dense.csv",                \
                            "llmservingsim/" name "/llama-3.1-8b_tp1_attention.csv",            \
                            "llmservingsim/" name "/llama-3.1-8b_tp1_attention.csv"}
static const device_tables tables[] = {
    {"h200", LIST(aic), AIC_TABLES("h200_sxm", ".gz")},
    {"h100-80g", LIST(aic), AIC_TABLES("h100_sxm", ".gz")},
    {"h100-80g", LIST(vidur), {"vidur/h100/llama-2-7b_mlp.csv"}},
    {"h100-80g", LIST(infersim),
     {NULL, "infersim/h100/mha_prefill.csv", "infersim/h100/mha_decode.csv"}},
    {"a100-80g", LIST(aic), AIC_TABLES("a100_sxm", "")},
    {"rtx4090", LIST(llmss), LLMSS_TABLES("rtx4090")},
    {"rtx-pro-6000", LIST(llmss), LLMSS_TABLES("rtxpro6000")},
};
/* clang-format on */

const device_tables *measured_tables(size_t *n) {
    *n = sizeof(tables) / sizeof(tables[0]);
    return tables;
}
