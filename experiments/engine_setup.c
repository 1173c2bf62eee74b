#include "engine_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "algorithm_cache.h"
#include "bench_design.h"
#include "cpu_executor.h"
#include "cuda_executor.h"
#include "memory_check.h"
#include "model.h"
#include "model_dir.h"

static const double GIB = 1024.0 * 1024 * 1024;

struct engine_setup {
    model_dir *dir; /* NULL: random weights of a named shape */
    bool on_cuda;
    bool random; /* weights */
    bool half;   /* fp16 on a CUDA device, else bf16 */
    model_config shape;
    model *model; /* NULL until it is opened */
    device_spec device;
    model_spec spec;
};

bool engine_setup_is_device(const char *name) {
    return strcmp(name, CPU_DEVICE) == 0 || strcmp(name, CUDA_DEVICE) == 0;
}

/* Rates are the orders of magnitude of a processor. Nothing is simulated by them alone:
 * measured times are interpolated in their proportions. */
static device_spec describe_machine(void) {
    uint64_t memory_bytes = memory_available_bytes();
    long n_processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t n = n_processors > 0 ? (uint32_t)n_processors : 1;
    return (device_spec){.name = CPU_DEVICE,
                         .full_name = "this machine",
                         .n_sms = n,
                         .peak_flops = 5e10 * n,
                         .memory_bytes = memory_bytes == UINT64_MAX ? 0 : (double)memory_bytes,
                         .memory_bytes_per_s = 2e10,
                         .link_bytes_per_s = 1e10,
                         .link_both_bytes_per_s = 1.5e10,
                         .copy_launch_s = 1e-6};
}

/* Likewise of an H200; memory and multiprocessors are those of the device where one computes.
 */
static status describe_cuda(device_spec *out, bool computes, errbuf *err) {
    *out = *device_spec_find("h200");
    out->name = CUDA_DEVICE;
    out->full_name = "the CUDA device of this machine";
    if (!computes) return ST_OK;
    cuda_device d;
    TRY(cuda_device_open(&d, err));
    out->memory_bytes = (double)d.free_bytes;
    out->n_sms = d.n_sms;
    return ST_OK;
}

static status read_shape(engine_setup *s, const char *given, const char *device, errbuf *err) {
    const model_spec *named = s->random ? model_spec_find(given) : NULL;
    uint32_t bytes_per_value = s->on_cuda ? 2 : sizeof(float);
    if (named) {
        model_config_of_spec(&s->shape, named);
        model_config_spec(&s->spec, &s->shape, named->name, bytes_per_value);
    } else if (is_model_dir(given)) {
        TRY(model_dir_open(&s->dir, given, bytes_per_value, err));
        s->shape = s->dir->config;
        s->spec = s->dir->spec;
    } else if (s->on_cuda && !s->random && model_spec_find(given)) {
        return fail(err, ST_INVALID,
                    "--model %s is a shape without weights: give a directory, or --weights "
                    "random",
                    given);
    } else {
        return fail(err, ST_INVALID, "--model %s is no directory; device %s needs one", given,
                    device);
    }
    return ST_OK;
}

static status read_options(engine_setup *s, const run_settings *o, errbuf *err) {
    if (o->weights && strcmp(o->weights, "random") != 0 && strcmp(o->weights, "model") != 0)
        return fail(err, ST_INVALID, "--weights is model or random, not '%s'", o->weights);
    if (o->dtype && strcmp(o->dtype, "bf16") != 0 && strcmp(o->dtype, "fp16") != 0)
        return fail(err, ST_INVALID, "--dtype is bf16 or fp16, not '%s'", o->dtype);
    s->random = o->weights && strcmp(o->weights, "random") == 0;
    return ST_OK;
}

static status build(engine_setup *s, const char *device, const run_settings *o, errbuf *err) {
    s->on_cuda = strcmp(device, CUDA_DEVICE) == 0;
    TRY(read_options(s, o, err));
    TRY(read_shape(s, o->model, device, err));
    /* Where nothing is said, as the weights are; bf16 where they are wider. */
    s->half = o->dtype ? strcmp(o->dtype, "fp16") == 0 : s->shape.dtype == TENSOR_F16;
    if (s->on_cuda) return describe_cuda(&s->device, strcmp(o->backend, CUDA_DEVICE) == 0, err);
    s->device = describe_machine();
    return ST_OK;
}

status engine_setup_open(engine_setup **out, const char *device, const run_settings *settings,
                         errbuf *err) {
    engine_setup *s = calloc(1, sizeof(*s));
    if (!s) return fail(err, ST_NO_MEMORY, "out of memory");
    status st = build(s, device, settings, err);
    if (st == ST_OK)
        *out = s;
    else
        engine_setup_close(s);
    return st;
}

void engine_setup_close(engine_setup *s) {
    if (!s) return;
    model_close(s->model);
    model_dir_close(s->dir);
    free(s);
}

const device_spec *engine_setup_device(const engine_setup *s) {
    return &s->device;
}

const model_spec *engine_setup_model(const engine_setup *s) {
    return &s->spec;
}

/* Said with the numbers before any of it is taken. */
static status check_memory(const engine_setup *c, const scheduler_config *k, errbuf *err) {
    uint64_t kv_bytes =
        cpu_executor_kv_bytes(&c->shape, k->block_tokens, k->n_device_blocks, k->n_host_blocks);
    uint64_t weight_bytes = model_config_bytes(&c->shape, c->shape.dtype);
    char what[160];
    snprintf(what, sizeof(what), "%.2f GiB of KV pools and %.2f GiB of weights (%s)",
             (double)kv_bytes / GIB, (double)weight_bytes / GIB,
             "smaller pools: --kv-gib, --host-gib");
    return memory_check(kv_bytes + weight_bytes, what, err);
}

static engine_config common_config(const scheduler_config *k, const run_settings *o,
                                   output_log *outputs) {
    return (engine_config){.block_tokens = k->block_tokens,
                           .n_device_blocks = k->n_device_blocks,
                           .n_host_blocks = k->n_host_blocks,
                           .max_batched_tokens = k->max_batched_tokens,
                           .deterministic = o->deterministic,
                           .stops_at_eos = o->eos,
                           .seed = o->trace.seed,
                           .sampling = {.temperature = o->temperature,
                                        .top_k = o->top_k,
                                        .top_p = o->top_p,
                                        .seed = o->trace.seed},
                           .costs = k->costs,
                           .finished = outputs ? output_log_add : NULL,
                           .finished_context = outputs};
}

static status make_cpu(executor *out, engine_setup *s, const scheduler_config *k,
                       const run_settings *o, output_log *outputs, errbuf *err) {
    TRY(check_memory(s, k, err));
    if (!s->model) TRY(model_open(&s->model, s->dir->path, false, err));
    const cpu_executor_config config = {
        .model = s->model, .n_threads = o->threads, .common = common_config(k, o, outputs)};
    return cpu_executor_create(out, &config, err);
}

static status make_cuda(executor *out, engine_setup *s, const scheduler_config *k,
                        const run_settings *o, output_log *outputs, errbuf *err) {
    if (!s->model && !s->random) TRY(model_open(&s->model, s->dir->path, false, err));
    cuda_executor_config config = {
        .weights = s->model,
        .shape = s->model ? model_config_of(s->model) : &s->shape,
        .half = s->half,
        .max_seqs = k->max_seqs + BENCH_CHUNKS_MAX, /* microbenchmarks have these beside */
        .max_model_len = k->max_model_len,
        .common = common_config(k, o, outputs)};
    algorithm_cache algorithms;
    status st = algorithm_cache_read(&algorithms, o->profile, o->quiet, err);
    algorithm_cache_attach(&algorithms, &config);
    if (st == ST_OK) st = cuda_executor_create(out, &config, err);
    if (st == ST_OK) algorithm_cache_keep(&algorithms);
    algorithm_cache_finish(&algorithms);
    return st;
}

status engine_setup_executor(executor *out, engine_setup *s, const scheduler_config *config,
                             const run_settings *settings, output_log *outputs, errbuf *err) {
    return (s->on_cuda ? make_cuda : make_cpu)(out, s, config, settings, outputs, err);
}
