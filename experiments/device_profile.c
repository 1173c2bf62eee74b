#include "device_profile.h"

#include <stdlib.h>
#include <string.h>

#include "build_commit.h"
#include "interrupt.h"
#include "microbench.h"
#include "progress.h"

device_profile_design device_profile_design_defaults(void) {
    microbench_config c = microbench_config_defaults();
    return (device_profile_design){.n_iterations = c.n_iterations,
                                   .n_copies = c.n_copies,
                                   .n_copies_beside = 80,
                                   .n_repeats_max = c.n_repeats_max,
                                   .seed = 1,
                                   .precision = c.precision};
}

/* The samples as they come in. */
typedef struct collection {
    device_profile *profile;
    progress bar;
} collection;

static status collect(void *context, const sample *s, uint32_t n_done, uint32_t n_points,
                      errbuf *err) {
    collection *c = context;
    c->profile->samples[c->profile->n++] = *s;
    progress_update(&c->bar, n_done);
    if (interrupt_came())
        return fail(err, ST_INTERRUPTED, "interrupted after %u of %u points", n_done, n_points);
    return ST_OK;
}

static microbench_config config_of(const device_profile_design *d, const run_setup *setup,
                                   bool is_virtual) {
    microbench_config c = microbench_config_defaults();
    c.max_batched_tokens = setup->config.max_batched_tokens;
    c.max_seqs = setup->config.max_seqs;
    c.max_model_len = setup->config.max_model_len;
    c.block_tokens = setup->config.block_tokens;
    c.n_device_blocks = setup->config.n_device_blocks;
    c.n_host_blocks = setup->config.n_host_blocks;
    c.n_layers = setup->model->n_layers;
    c.block_bytes = (double)setup->block_bytes;
    c.n_iterations = d->n_iterations;
    c.n_copies = d->n_copies;
    c.n_copies_beside = is_virtual ? 0 : d->n_copies_beside;
    /* A CUDA engine runs a size of batch once, captures it into a graph, then launches that. */
    c.n_warmups = is_virtual ? 1 : 2;
    c.precision = d->precision;
    c.n_repeats_max = d->n_repeats_max;
    c.seed = d->seed;
    if (c.n_repeats_min > c.n_repeats_max) c.n_repeats_min = c.n_repeats_max;
    return c;
}

status device_profile_measure(device_profile *out, const device_profile_design *design,
                              const run_setup *setup, const run_settings *settings,
                              errbuf *err) {
    microbench_config config = config_of(design, setup, strcmp(settings->backend, "sim") == 0);
    uint32_t n_points = config.n_iterations + config.n_copies + config.n_copies_beside;
    executor device;
    *out = (device_profile){calloc(n_points ? n_points : 1, sizeof(*out->samples)), 0};
    if (!out->samples) return fail(err, ST_NO_MEMORY, "out of memory for %u samples", n_points);
    TRY(run_setup_executor(&device, setup, settings, err));
    collection c = {out, progress_start(n_points, "points", settings->quiet)};
    interrupt signals;
    interrupt_begin(&signals);
    status st = microbench_run(&device, &config, collect, &c, err);
    interrupt_end(&signals);
    progress_end(&c.bar);
    device.destroy(device.context);
    for (uint32_t i = 0; i < out->n; i++) out->samples[i].tp = settings->tp;
    return st;
}

void device_profile_finish(device_profile *p) {
    free(p->samples);
    *p = (device_profile){0};
}

status device_profile_store(profile_store *store, bool *added, const device_profile *p,
                            const device_profile_design *design, const run_setup *setup,
                            const run_settings *settings, errbuf *err) {
    char *json = run_setup_json(setup, settings);
    if (!json) return fail(err, ST_NO_MEMORY, "out of memory for the settings");
    const profile_info info = {.device = setup->device->name,
                               .model = setup->model->name,
                               .tp = settings->tp,
                               .backend = settings->backend,
                               .source = "microbenchmark",
                               .commit_hash =
                                   strcmp(BUILD_COMMIT, "unknown") ? BUILD_COMMIT : NULL,
                               .settings = json,
                               .seed = design->seed};
    status st = profile_store_add(store, added, &info, p->samples, p->n, err);
    free(json);
    return st;
}
