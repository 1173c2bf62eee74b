#include "run_setup.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device_file.h"
#include "engine_setup.h"
#include "latency_analytic.h"
#include "measured_source.h"
#include "model_dir.h"
#include "nearest.h"
#include "virtual_device.h"

static const double GIB = 1024.0 * 1024 * 1024;

/* Share of the device that vLLM takes by default, and room for activations and libraries. */
static const double MEMORY_SHARE = 0.9, WORKSPACE_GIB = 1;

/* Each KV pool of device cpu, and tokens of its iterations, unless they are given. */
static const double CPU_POOL_GIB = 1;
enum { CPU_BATCHED_TOKENS = 2048 };

/* Weights and KV of a model that is simulated from its config.json: bf16 or fp16. */
enum { SIMULATED_VALUE_BYTES = 2 };

/* What a virtual device takes. */
static const double NOISE_MAX = 0.2;

static status unknown_name(const char *kind, const char *name, const char *const *names,
                           size_t n, errbuf *err) {
    char hint[NEAREST_HINT_SIZE];
    return fail(err, ST_INVALID, "there is no %s '%s'; %s`adaptivellm %ss` lists them", kind,
                name, nearest_hint(hint, name, names, n), kind);
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static status find_device(run_setup *s, const char *name, errbuf *err) {
    const char *names[64];
    size_t n;
    const device_spec *all = device_specs(&n);
    for (size_t i = 0; i < n; i++) names[i] = all[i].name;
    s->device = device_spec_find(name);
    if (s->device) return ST_OK;
    if (!ends_with(name, ".json")) return unknown_name("device", name, names, n, err);
    TRY(device_file_open(&s->device_file, name, err));
    s->device = device_file_spec(s->device_file);
    return ST_OK;
}

static status find_model(run_setup *s, const char *name, errbuf *err) {
    const char *names[64];
    size_t n;
    const model_spec *all = model_specs(&n);
    for (size_t i = 0; i < n; i++) names[i] = all[i].name;
    s->model = model_spec_find(name);
    if (s->model) return ST_OK;
    if (!is_model_dir(name)) return unknown_name("model", name, names, n, err);
    TRY(model_dir_open(&s->model_dir, name, SIMULATED_VALUE_BYTES, err));
    s->model = &s->model_dir->spec;
    return ST_OK;
}

static bool is_cpu(const run_setup *s) {
    return strcmp(s->device->name, CPU_DEVICE) == 0;
}

static status blocks_of_gib(uint32_t *out, const run_setup *s, double gib, uint32_t tp,
                            const char *option, errbuf *err) {
    double n = gib * GIB / ((double)s->block_bytes * tp);
    if (!(n >= 0 && n < 4e9))
        return fail(err, ST_INVALID, "%s %g is not a size that can be simulated", option, gib);
    *out = (uint32_t)n;
    return ST_OK;
}

double run_setup_weights_gib(const run_setup *s, uint32_t tp) {
    return (double)model_n_parameters(s->model) * s->model->bytes_per_value / tp / GIB;
}

static status size_device_pool(run_setup *s, const run_settings *o, errbuf *err) {
    if (o->has_kv_blocks && o->has_kv_gib)
        return fail(err, ST_INVALID, "give --kv-blocks or --kv-gib, not both");
    uint32_t *n = &s->config.n_device_blocks;
    *n = o->kv_blocks;
    if (o->has_kv_gib) TRY(blocks_of_gib(n, s, o->kv_gib, o->tp, "--kv-gib", err));
    if (o->has_kv_blocks || o->has_kv_gib) {
        if (*n >= 2) return ST_OK;
        return fail(err, ST_INVALID,
                    "the KV pool has %u blocks; at least 2 are needed (one block is %.3g MiB)",
                    *n, (double)s->block_bytes * o->tp / (1024 * 1024));
    }
    if (is_cpu(s)) return blocks_of_gib(n, s, CPU_POOL_GIB, 1, "--kv-gib", err);
    double weights_gib = run_setup_weights_gib(s, o->tp);
    double memory_gib = s->device->memory_bytes / GIB;
    double left_gib = memory_gib * MEMORY_SHARE - weights_gib - WORKSPACE_GIB;
    if (left_gib * GIB < 2.0 * (double)s->block_bytes)
        return fail(err, ST_INVALID,
                    "%s does not fit on %u x %s: %.1f GiB of weights each, %.1f GiB of memory; "
                    "use more devices (--tp) or a smaller model, or set --kv-gib",
                    s->model->name, o->tp, s->device->name, weights_gib, memory_gib);
    return blocks_of_gib(n, s, left_gib * o->tp, o->tp, "device memory", err);
}

static status size_host_pool(run_setup *s, const run_settings *o, errbuf *err) {
    if (o->has_host_blocks && o->has_host_gib)
        return fail(err, ST_INVALID, "give --host-blocks or --host-gib, not both");
    s->config.n_host_blocks = o->host_blocks;
    if (o->has_host_blocks) return ST_OK;
    double gib = o->has_host_gib ? o->host_gib : is_cpu(s) ? CPU_POOL_GIB : 4.0 * o->tp;
    return blocks_of_gib(&s->config.n_host_blocks, s, gib, o->tp, "--host-gib", err);
}

static bool is_v0_default(const policy *p) {
    return strncmp(p->row->name, "vllm-v0", 7) == 0 && !p->settings.chunked;
}

static status set_limits(run_setup *s, const run_settings *o, errbuf *err) {
    scheduler_config *c = &s->config;
    /* One block less: vLLM V1 keeps one for itself. */
    uint64_t pool_tokens = (uint64_t)(c->n_device_blocks - 1) * c->block_tokens;
    uint64_t len = o->max_model_len ? o->max_model_len : s->model->max_model_len;
    if (!o->max_model_len && len > pool_tokens) len = pool_tokens;
    if (len > pool_tokens)
        return fail(err, ST_INVALID,
                    "--max-model-len %llu is more than the %llu tokens that the KV pool holds; "
                    "lower it or give more with --kv-gib",
                    (unsigned long long)len, (unsigned long long)pool_tokens);
    c->max_model_len = (uint32_t)len;
    c->max_batched_tokens = o->max_batched_tokens ? o->max_batched_tokens
                            : is_cpu(s)           ? CPU_BATCHED_TOKENS
                                                  : 8192;
    if (!is_v0_default(&c->policy) || c->max_batched_tokens >= len) return ST_OK;
    if (o->max_batched_tokens)
        return fail(
            err, ST_INVALID,
            "vLLM V0 without chunked prefill needs --max-batched-tokens of at least the "
            "model length %llu, not %u; raise it, lower --max-model-len, or use "
            "chunked=on",
            (unsigned long long)len, c->max_batched_tokens);
    c->max_batched_tokens = (uint32_t)len;
    return ST_OK;
}

static status check_latency(const run_settings *o, errbuf *err) {
    bool measured = strcmp(o->latency, "measured") == 0;
    if (!measured && strcmp(o->latency, "analytic") != 0)
        return fail(err, ST_INVALID, "--latency is analytic or measured, not '%s'", o->latency);
    if (measured && !o->profile)
        return fail(err, ST_INVALID,
                    "--latency measured needs --profile DB, made by `adaptivellm profile`");
    if (measured && o->link_gbs > 0)
        return fail(err, ST_INVALID, "--link-gbs is for --latency analytic");
    if (o->link_gbs != 0 && !(o->link_gbs >= 0.001 && o->link_gbs <= 1e6))
        return fail(err, ST_INVALID, "--link-gbs %g is not in 0.001 to 1e6", o->link_gbs);
    if (!measured && o->host_step_us > 0)
        return fail(err, ST_INVALID, "--host-step-us is for --latency measured");
    return ST_OK;
}

static status check_simulated(const run_settings *o, errbuf *err) {
    TRY(check_latency(o, err));
    if (o->outputs || o->eos || o->deterministic || o->threads || o->temperature > 0 ||
        o->top_k || o->top_p < 1)
        return fail(err, ST_INVALID,
                    "--outputs, --eos, --deterministic, --threads and sampling are for "
                    "--backend cpu and cuda: a simulation has no tokens");
    if (o->step_times && (o->noise > 0 || o->drift))
        return fail(err, ST_INVALID,
                    "--step-times are replayed as they are: no --noise, no "
                    "--drift");
    return ST_OK;
}

static bool computes(const run_settings *o) {
    return engine_setup_is_device(o->backend);
}

static status check_real(const run_settings *o, errbuf *err) {
    if (o->has_device && strcmp(o->device, o->backend) != 0)
        return fail(err, ST_INVALID, "--backend %s computes on this machine, not on '%s'",
                    o->backend, o->device);
    if (strcmp(o->latency, "analytic") != 0 || o->noise > 0 || o->drift ||
        o->host_step_us > 0 || o->link_gbs > 0)
        return fail(err, ST_INVALID,
                    "--latency, --noise, --drift, --link-gbs and --host-step-us are for "
                    "--backend sim");
    if (o->tp != 1 || o->pad_tokens > 0)
        return fail(err, ST_INVALID, "--backend %s has neither --tp nor --pad-tokens",
                    o->backend);
    if (strcmp(o->backend, CUDA_DEVICE) == 0)
        return o->threads ? fail(err, ST_INVALID, "--threads is for --backend cpu") : ST_OK;
    if (o->dtype || o->weights)
        return fail(err, ST_INVALID, "--dtype and --weights are for --backend cuda");
    return ST_OK;
}

static status check_choices(const run_settings *o, errbuf *err) {
    if (!computes(o) && strcmp(o->backend, "sim") != 0)
        return fail(err, ST_INVALID, "there is no backend '%s'; there are sim, cpu and cuda",
                    o->backend);
    TRY(computes(o) ? check_real(o, err) : check_simulated(o, err));
    if (o->tp != 1 && o->tp != 2 && o->tp != 4 && o->tp != 8)
        return fail(err, ST_INVALID, "--tp is 1, 2, 4 or 8, not %u", o->tp);
    return ST_OK;
}

/* What a policy may ask for that this backend cannot do. */
static status check_policy(const policy *p, const run_settings *o, errbuf *err) {
    if (computes(o) && p->settings.mechanism == MECHANISM_FREE)
        return fail(err, ST_INVALID, "policy %s assumes what only a simulation can do",
                    p->row->name);
    if (o->eos && policy_is_oracle(p))
        return fail(err, ST_INVALID,
                    "with --eos nobody knows how long an output will be, which policy %s needs",
                    p->row->name);
    return ST_OK;
}

static status find_specs(run_setup *s, const run_settings *o, errbuf *err) {
    const char *device = computes(o) ? o->backend : o->device;
    if (!engine_setup_is_device(device)) {
        TRY(find_device(s, o->device, err));
        return find_model(s, o->model, err);
    }
    if (!o->has_model)
        return fail(err, ST_INVALID,
                    "device %s needs --model DIR: a directory with a model's config.json",
                    device);
    if (o->tp != 1) return fail(err, ST_INVALID, "device %s is one: no --tp", device);
    TRY(engine_setup_open(&s->engine, device, o, err));
    s->device = engine_setup_device(s->engine);
    s->model = engine_setup_model(s->engine);
    return ST_OK;
}

/* "1.2@30": 20 % slower from second 30 on. */
static status parse_drift(run_setup *s, const char *text, errbuf *err) {
    char *end;
    s->slowdown = strtod(text, &end) - 1;
    bool has_factor = end != text && *end == '@';
    const char *at = has_factor ? end + 1 : text;
    s->slow_from_s = strtod(at, &end);
    if (has_factor && end != at && *end == '\0') return ST_OK;
    return fail(err, ST_INVALID, "--drift needs FACTOR@SECONDS, as in 1.2@30, not '%s'", text);
}

/* Both ways together keep their ratio to one. */
static void scale_link(device_spec *device, double gbs) {
    if (gbs == 0) return;
    device->link_both_bytes_per_s *= gbs * 1e9 / device->link_bytes_per_s;
    device->link_bytes_per_s = gbs * 1e9;
}

static status open_latency(run_setup *s, const run_settings *o, errbuf *err) {
    bool analytic = strcmp(o->latency, "analytic") == 0;
    if (computes(o)) return ST_OK;
    if (o->step_times) TRY(step_times_read(&s->recorded, o->step_times, err));
    if (s->engine && analytic)
        return o->step_times
                   ? ST_OK
                   : fail(err, ST_INVALID,
                          "no limits of device %s are published: it is simulated with "
                          "--latency measured --profile DB, or with --step-times FILE",
                          s->device->name);
    if (analytic) {
        device_spec device = *s->device;
        scale_link(&device, o->link_gbs);
        return latency_analytic_create(&s->latency, &device, s->model, o->tp, err);
    }
    measured_source_options options = {.profile = o->profile,
                                       .device = s->device,
                                       .model = s->model,
                                       .tp = o->tp,
                                       .host_step_s = o->host_step_us * 1e-6};
    TRY(measured_source_open(&s->latency, &options, err));
    if (s->noise == 0) s->noise = fmin(latency_measured_noise(&s->latency), NOISE_MAX);
    return ST_OK;
}

static status build(run_setup *s, const run_settings *o, errbuf *err) {
    TRY(check_choices(o, err));
    TRY(find_specs(s, o, err));
    TRY(policy_parse(&s->config.policy, o->policy, err));
    TRY(check_policy(&s->config.policy, o, err));
    if (o->slo) TRY(slo_parse(&s->slo, o->slo, err));
    if (o->drift) TRY(parse_drift(s, o->drift, err));
    s->config.block_tokens = o->block_size;
    s->config.max_seqs = o->max_seqs;
    s->config.pad_tokens = o->pad_tokens;
    if (o->no_horizon) s->config.horizon_max = 1;
    s->block_bytes = model_kv_bytes_per_token(s->model, o->tp) * o->block_size;
    TRY(size_device_pool(s, o, err));
    TRY(size_host_pool(s, o, err));
    TRY(set_limits(s, o, err));
    return open_latency(s, o, err);
}

status run_setup_init(run_setup *out, const run_settings *o, errbuf *err) {
    run_setup s = {.config = scheduler_config_defaults(), .noise = o->noise};
    status st = build(&s, o, err);
    if (st == ST_OK)
        *out = s;
    else
        run_setup_finish(&s);
    return st;
}

void run_setup_finish(run_setup *s) {
    if (s->latency.destroy) s->latency.destroy(s->latency.context);
    step_times_finish(&s->recorded);
    engine_setup_close(s->engine);
    device_file_close(s->device_file);
    model_dir_close(s->model_dir);
}

status run_setup_executor(executor *out, const run_setup *s, const run_settings *o,
                          errbuf *err) {
    if (computes(o))
        return engine_setup_executor(out, s->engine, &s->config, o, s->outputs, err);
    if (o->step_times) return recorded_device_create(out, &s->recorded.times, err);
    const virtual_device_config config = {.latency = s->latency,
                                          .noise = s->noise,
                                          .seed = o->trace.seed,
                                          .slowdown = s->slowdown,
                                          .slow_from_s = s->slow_from_s,
                                          .block_bytes = (double)s->block_bytes,
                                          .n_layers = s->model->n_layers};
    return virtual_device_create(out, &config, err);
}

status run_setup_serving(scheduler **out, executor *device, const run_setup *s,
                         const run_settings *o, errbuf *err) {
    TRY(run_setup_executor(device, s, o, err));
    scheduler_config config = s->config;
    config.bind_early = device->binds_blocks_early;
    config.keep_prefixes = device->reads_prefixes;
    return scheduler_create(out, &config, err);
}
