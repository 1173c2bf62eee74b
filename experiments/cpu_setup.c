#include "cpu_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpu_executor.h"
#include "memory_check.h"
#include "model.h"

static const double GIB = 1024.0 * 1024 * 1024;

struct cpu_setup {
    char *dir, *name;
    model_config shape;
    model *model; /* NULL until it is opened */
    device_spec device;
    model_spec spec;
};

/* The last part of a path; to be freed. */
static char *last_part(const char *path) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    size_t first = n;
    while (first > 0 && path[first - 1] != '/') first--;
    return strndup(path + first, n - first);
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

static status build(cpu_setup *c, const char *dir, errbuf *err) {
    struct stat about;
    if (stat(dir, &about) != 0 || !S_ISDIR(about.st_mode))
        return fail(err, ST_INVALID, "--model %s is no directory; device cpu needs one", dir);
    c->dir = strdup(dir);
    c->name = last_part(dir);
    if (!c->dir || !c->name) return fail(err, ST_NO_MEMORY, "out of memory");
    TRY(model_config_read(&c->shape, dir, err));
    model_config_spec(&c->spec, &c->shape, c->name, sizeof(float));
    c->device = describe_machine();
    return ST_OK;
}

status cpu_setup_open(cpu_setup **out, const char *dir, errbuf *err) {
    cpu_setup *c = calloc(1, sizeof(*c));
    if (!c) return fail(err, ST_NO_MEMORY, "out of memory");
    status st = build(c, dir, err);
    if (st == ST_OK)
        *out = c;
    else
        cpu_setup_close(c);
    return st;
}

void cpu_setup_close(cpu_setup *c) {
    if (!c) return;
    model_close(c->model);
    free(c->dir);
    free(c->name);
    free(c);
}

const device_spec *cpu_setup_device(const cpu_setup *c) {
    return &c->device;
}

const model_spec *cpu_setup_model(const cpu_setup *c) {
    return &c->spec;
}

/* Said with the numbers before any of it is taken. */
static status check_memory(const cpu_setup *c, const scheduler_config *k, errbuf *err) {
    uint64_t kv_bytes =
        cpu_executor_kv_bytes(&c->shape, k->block_tokens, k->n_device_blocks, k->n_host_blocks);
    uint64_t weight_bytes = model_config_bytes(&c->shape, c->shape.dtype);
    char what[160];
    snprintf(what, sizeof(what), "%.2f GiB of KV pools and %.2f GiB of weights (%s)",
             (double)kv_bytes / GIB, (double)weight_bytes / GIB,
             "smaller pools: --kv-gib, --host-gib");
    return memory_check(kv_bytes + weight_bytes, what, err);
}

status cpu_setup_executor(executor *out, cpu_setup *c, const scheduler_config *k,
                          const run_settings *o, output_log *outputs, errbuf *err) {
    TRY(check_memory(c, k, err));
    if (!c->model) TRY(model_open(&c->model, c->dir, false, err));
    cpu_executor_config config = cpu_executor_defaults();
    config.model = c->model;
    config.block_tokens = k->block_tokens;
    config.n_device_blocks = k->n_device_blocks;
    config.n_host_blocks = k->n_host_blocks;
    config.max_batched_tokens = k->max_batched_tokens;
    config.n_threads = o->threads;
    config.deterministic = o->deterministic;
    config.stops_at_eos = o->eos;
    config.seed = o->trace.seed;
    config.sampling = (sampling_options){.temperature = o->temperature,
                                         .top_k = o->top_k,
                                         .top_p = o->top_p,
                                         .seed = o->trace.seed};
    config.costs = k->costs;
    if (outputs) {
        config.finished = output_log_add;
        config.finished_context = outputs;
    }
    return cpu_executor_create(out, &config, err);
}
