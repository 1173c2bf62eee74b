#include "device_options.h"

#include "run.h"

#define AT(field) offsetof(run_settings, field)

const option_row device_options[N_DEVICE_OPTIONS] = {
    {"backend", OPTION_TEXT, AT(backend), OPTION_NO_FLAG},
    {"device", OPTION_TEXT, AT(device), AT(has_device)},
    {"model", OPTION_TEXT, AT(model), AT(has_model)},
    {"tp", OPTION_POSITIVE, AT(tp), OPTION_NO_FLAG},
    {"latency", OPTION_TEXT, AT(latency), OPTION_NO_FLAG},
    {"noise", OPTION_REAL, AT(noise), OPTION_NO_FLAG},
    {"link-gbs", OPTION_REAL, AT(link_gbs), OPTION_NO_FLAG},
    {"drift", OPTION_TEXT, AT(drift), OPTION_NO_FLAG},
    {"kv-blocks", OPTION_COUNT, AT(kv_blocks), AT(has_kv_blocks)},
    {"kv-gib", OPTION_REAL, AT(kv_gib), AT(has_kv_gib)},
    {"host-blocks", OPTION_COUNT, AT(host_blocks), AT(has_host_blocks)},
    {"host-gib", OPTION_REAL, AT(host_gib), AT(has_host_gib)},
    {"block-size", OPTION_POSITIVE, AT(block_size), OPTION_NO_FLAG},
    {"max-seqs", OPTION_POSITIVE, AT(max_seqs), OPTION_NO_FLAG},
    {"max-batched-tokens", OPTION_POSITIVE, AT(max_batched_tokens), OPTION_NO_FLAG},
    {"max-model-len", OPTION_POSITIVE, AT(max_model_len), OPTION_NO_FLAG},
    {"weights", OPTION_TEXT, AT(weights), OPTION_NO_FLAG},
    {"dtype", OPTION_TEXT, AT(dtype), OPTION_NO_FLAG},
    {"threads", OPTION_POSITIVE, AT(threads), OPTION_NO_FLAG},
    {"deterministic", OPTION_FLAG, AT(deterministic), OPTION_NO_FLAG},
};

const char device_options_help[] =
    "  --backend NAME           sim (default), or cpu or cuda: this machine computes a model\n"
    "  --device NAME|FILE.json  h200 (default); `adaptivellm devices` lists them, its --help\n"
    "                           shows such a file; cpu and cuda are this machine's: "
    "simulated,\n"
    "                           with --latency measured or --step-times\n"
    "  --model NAME|DIR         llama-3-8b (default); `adaptivellm models` lists them; a\n"
    "                           directory with a config.json, and for cpu and cuda with\n"
    "                           model.safetensors\n"
    "  --weights random         of device cuda: made up; --model may then be a name\n"
    "  --dtype bf16|fp16        of --backend cuda; the model's, bf16 if that is wider\n"
    "  --tp N                   tensor-parallel devices: 1 (default), 2, 4, 8\n"
    "  --latency NAME           analytic (default): times from published limits; measured:\n"
    "                           looked up in --profile DB\n"
    "  --noise S                standard deviation of every time, as a share; 0, or that of "
    "the\n"
    "                           samples of --latency measured\n"
    "  --link-gbs X             host link of the simulated device, GB/s each way; its own\n"
    "  --drift FACTOR@SECONDS   the simulated device slows down in mid-run\n"
    "  --kv-blocks N, --kv-gib X      KV pool on the device; default 90 % of its memory less\n"
    "                           the weights; cpu: 1 GiB\n"
    "  --host-blocks N, --host-gib X  KV pool on the host; 4 GiB per device; cpu: 1 GiB\n"
    "  --block-size N           tokens per KV block; 16\n"
    "  --max-seqs N             running at once; 256\n"
    "  --max-batched-tokens N   tokens per iteration; 8192, cpu: 2048\n"
    "  --max-model-len N        tokens per request; the model's, if the pool holds them\n"
    "  --threads N              of --backend cpu; one per processor\n"
    "  --deterministic          of cpu and cuda: the same outputs under every schedule; "
    "slower\n";
