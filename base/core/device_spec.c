#include "device_spec.h"

#include <string.h>

/* SMs, peak and bandwidth are from NVIDIA's data sheets and architecture papers: H200 and H100
 * SXM5 data sheets, A100 data sheet, L40S data sheet, "Ada GPU architecture" appendix A (RTX
 * 4090, 16-bit with 32-bit accumulation), "RTX Blackwell PRO GPU architecture" (RTX PRO 6000).
 * Peaks are dense, without sparsity. Memory is what nvidia-smi reports as total, in MiB. */
#define MIB 1048576.0

/* Host links as large pinned copies reach them.
 * PCIe 5.0 x16: about 50 GB/s one way and 83 both ways together, published for H100 servers.
 * PCIe 4.0 x16: about 25, as the samples in NVIDIA/nvbandwidth's README show (26 one way, 18.4
 * to 19.6 each with traffic both ways, so about 38 together). */
#define PCIE_5 .link_bytes_per_s = 50e9, .link_both_bytes_per_s = 83e9
#define PCIE_4 .link_bytes_per_s = 25e9, .link_both_bytes_per_s = 38e9

/* One cudaMemcpyAsync: about 2.3 us on a Hopper part (taco-project/FlexKV, pull request 193).
 * Its cost is the host's, so it is taken for all devices. */
#define COPY_LAUNCH .copy_launch_s = 2.3e-6

/* All-reduce inside one node: latency + 2 (n - 1) / n x bytes / bandwidth, microsoft/vidur,
 * data/profiling/network/{h100,a100}_dgx/all_reduce.csv. Bandwidth: fitted to NCCL at 2, 4 and
 * 8 ranks and all sizes.
 * Latency: the shortest rows at 2 ranks. NCCL's 20 to 40 us at 4 and 8 ranks were tried and
 * dropped, as serving engines have kernels of their own for short messages: with 29 us, the fit
 * to all rows, Qwen3-32B decoded up to a quarter slower on H100 than public vLLM runs
 * (ai-dynamo/aiconfigurator, silicon_sample.csv, 8 requests of 1024 + 1024 tokens: 15.9, 10.6
 * and 8.0 ms a token at tensor parallelism 2, 4 and 8); with 7 us it takes 15.9, 10.1 and 7.2
 * ms. An H200 has the NVLink of an H100. */
#define NVLINK_4 .peer_bytes_per_s = 351e9, .peer_latency_s = 7e-6
#define NVLINK_3 .peer_bytes_per_s = 173e9, .peer_latency_s = 10e-6

/* Without NVLink the data crosses the host link, whose one-way rate is the bound and is taken;
 * the latency is an assumption. Not measured. */
#define PEER_PCIE_4 .peer_bytes_per_s = 25e9, .peer_latency_s = 20e-6

/* Two RTX PRO 6000 as the authors of the measured runs set their own simulator for them:
 * casys-kaist/LLMServingSim 9692a581, bench/examples/configs/Qwen3-32B.json (link_bw 16 GB/s,
 * link_latency 20 us). Less than the link's rate: where peers cannot reach each other, NCCL
 * goes through host memory. */
#define PEER_HOST .peer_bytes_per_s = 16e9, .peer_latency_s = 20e-6

static const device_spec specs[] = {
    {"h200", "NVIDIA H200 SXM 141 GB", GPU_HOPPER, .n_sms = 132, .peak_flops = 989.4e12,
     .memory_bytes = 143771 * MIB, .memory_bytes_per_s = 4.8e12, PCIE_5, COPY_LAUNCH, NVLINK_4},
    {"h100-80g", "NVIDIA H100 SXM 80 GB", GPU_HOPPER, .n_sms = 132, .peak_flops = 989.4e12,
     .memory_bytes = 81559 * MIB, .memory_bytes_per_s = 3.35e12, PCIE_5, COPY_LAUNCH, NVLINK_4},
    {"a100-80g", "NVIDIA A100 SXM 80 GB", GPU_AMPERE, .n_sms = 108, .peak_flops = 312e12,
     .memory_bytes = 81920 * MIB, .memory_bytes_per_s = 2.039e12, PCIE_4, COPY_LAUNCH,
     NVLINK_3},
    {"a100-40g", "NVIDIA A100 SXM 40 GB", GPU_AMPERE, .n_sms = 108, .peak_flops = 312e12,
     .memory_bytes = 40960 * MIB, .memory_bytes_per_s = 1.555e12, PCIE_4, COPY_LAUNCH,
     NVLINK_3},
    {"l40s", "NVIDIA L40S 48 GB", GPU_ADA, .n_sms = 142, .peak_flops = 362.05e12,
     .memory_bytes = 46068 * MIB, .memory_bytes_per_s = 864e9, PCIE_4, COPY_LAUNCH,
     PEER_PCIE_4},
    {"rtx4090", "NVIDIA GeForce RTX 4090 24 GB", GPU_ADA, .n_sms = 128, .peak_flops = 165.2e12,
     .memory_bytes = 24564 * MIB, .memory_bytes_per_s = 1.008e12, PCIE_4, COPY_LAUNCH,
     PEER_PCIE_4},
    {"rtx-pro-6000", "NVIDIA RTX PRO 6000 Blackwell 96 GB", GPU_BLACKWELL, .n_sms = 188,
     .peak_flops = 503.8e12, .memory_bytes = 97887 * MIB, .memory_bytes_per_s = 1.792e12,
     PCIE_5, COPY_LAUNCH, PEER_HOST},
};
enum { N_SPECS = sizeof(specs) / sizeof(specs[0]) };

const device_spec *device_specs(size_t *n) {
    *n = N_SPECS;
    return specs;
}

const device_spec *device_spec_find(const char *name) {
    for (size_t i = 0; i < N_SPECS; i++)
        if (strcmp(specs[i].name, name) == 0) return &specs[i];
    return NULL;
}
