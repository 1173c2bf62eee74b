#include "run_belief.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "device_profile.h"
#include "fit_device.h"

/* SQLite's name for a database that is nowhere else. */
static const char IN_MEMORY[] = ":memory:";

/* KV pool per device where the model's weights leave none: enough to measure in. */
static const double POOL_GIB = 8;

/* The run's device, free of what is the run's own. */
static run_settings profiling_settings(const run_settings *o) {
    const run_settings defaults = run_settings_defaults();
    run_settings p = *o;
    p.trace = defaults.trace;
    p.policy = defaults.policy;
    p.drift = p.slo = NULL;
    p.has_kv_blocks = p.has_kv_gib = p.has_host_blocks = p.has_host_gib = false;
    p.max_model_len = p.pad_tokens = 0;
    p.eos = false;
    p.outputs = p.step_times = NULL;
    if (p.max_seqs < defaults.max_seqs) p.max_seqs = defaults.max_seqs;
    if (p.max_batched_tokens < scheduler_config_defaults().max_batched_tokens)
        p.max_batched_tokens = 0;
    return p;
}

static status set_up(run_setup *out, run_settings *p, errbuf *err) {
    if (run_setup_init(out, p, NULL) == ST_OK) return ST_OK;
    p->has_kv_gib = true;
    p->kv_gib = POOL_GIB * p->tp;
    return run_setup_init(out, p, err);
}

static status measure(profile_store *store, run_settings *p, errbuf *err) {
    const device_profile_design design = device_profile_design_defaults();
    run_setup setup;
    device_profile profile = {0};
    bool added;
    TRY(set_up(&setup, p, err));
    status st = device_profile_measure(&profile, &design, &setup, p, err);
    if (st == ST_OK)
        st = device_profile_store(store, &added, &profile, &design, &setup, p, err);
    device_profile_finish(&profile);
    run_setup_finish(&setup);
    return st;
}

static status make_fits(profile_store *store, const run_setup *s, const run_settings *o,
                        errbuf *err) {
    run_settings p = profiling_settings(o);
    judged_fits fits = {0};
    if (!o->quiet)
        fprintf(stderr,
                "adaptivellm replay: no fits of %s on %u x %s: measuring and fitting (%s)\n",
                s->model->name, o->tp, s->device->name,
                o->profile ? o->profile : "not kept, as no --profile DB is given");
    TRY(measure(store, &p, err));
    status st = fit_device_make(&fits, store, s->device->name, s->model->name, o->tp, err);
    if (st == ST_OK)
        st = fit_device_save(store, &fits, s->device->name, s->model->name, o->tp, err);
    judged_fits_finish(&fits);
    return st;
}

/* ST_NOT_FOUND: not all that a policy may ask is there. */
static status read_all_fits(belief **out, profile_store *store, const run_setup *s, uint32_t tp,
                            errbuf *err) {
    belief *b;
    TRY(belief_create(&b, store, s->device->name, s->model->name, tp, err));
    if (belief_knows_copies(b)) {
        *out = b;
        return ST_OK;
    }
    belief_destroy(b);
    return fail(err, ST_NOT_FOUND, "no fit of copies of KV blocks");
}

/* Two that are alike. */
static status read_fits(belief **out, belief **still, profile_store *store, const run_setup *s,
                        uint32_t tp, bool all, errbuf *err) {
    const char *device = s->device->name, *model = s->model->name;
    belief *b;
    TRY(all ? read_all_fits(&b, store, s, tp, err)
            : belief_create(&b, store, device, model, tp, err));
    status st = still ? belief_create(still, store, device, model, tp, err) : ST_OK;
    if (st == ST_OK)
        *out = b;
    else
        belief_destroy(b);
    return st;
}

static status read_or_make(belief **out, belief **still, const run_setup *s,
                           const run_settings *o, errbuf *err) {
    profile_store *store;
    const char *path = o->profile ? o->profile : IN_MEMORY;
    TRY(profile_store_open(&store, path, DATABASE_CREATE, err));
    status st = read_fits(out, still, store, s, o->tp, true, err);
    if (st == ST_NOT_FOUND) {
        st = make_fits(store, s, o, err);
        if (st == ST_OK) st = read_fits(out, still, store, s, o->tp, true, err);
    }
    profile_store_close(store);
    return st;
}

/* The options of `profile` beyond database, device, model and tp that the run's times need. */
static void describe_times(char *buf, size_t size, const run_settings *o) {
    const run_settings defaults = run_settings_defaults();
    size_t n = 0;
    buf[0] = '\0';
    if (strcmp(o->backend, defaults.backend) != 0)
        n += (size_t)snprintf(buf + n, size - n, " --backend %s", o->backend);
    if (o->weights) n += (size_t)snprintf(buf + n, size - n, " --weights %s", o->weights);
    if (strcmp(o->latency, defaults.latency) != 0)
        n += (size_t)snprintf(buf + n, size - n, " --latency %s", o->latency);
    if (o->link_gbs > 0)
        n += (size_t)snprintf(buf + n, size - n, " --link-gbs %g", o->link_gbs);
    if (o->noise > 0) n += (size_t)snprintf(buf + n, size - n, " --noise %g", o->noise);
    if (o->block_size != defaults.block_size)
        snprintf(buf + n, size - n, " --block-size %u", o->block_size);
}

static status without_fits(const run_setup *s, const run_settings *o, errbuf *err) {
    char times[96];
    const char *db = o->profile ? o->profile : "profiles.db";
    describe_times(times, sizeof(times), o);
    return fail(err, o->profile ? ST_NOT_FOUND : ST_INVALID,
                "policy %s needs a predictor, and %s. These make it:\n"
                "  adaptivellm profile --profile %s --device %s --model %s --tp %u%s\n"
                "  adaptivellm fit --profile %s --device %s --model %s --tp %u\n"
                "%s by --auto-profile the run makes it itself",
                s->config.policy.row->name,
                o->profile ? "--profile has no fits of this model on this device"
                           : "no --profile is given",
                db, s->device->name, s->engine ? o->model : s->model->name, o->tp, times, db,
                s->device->name, s->model->name, o->tp,
                o->profile ? "Or" : "Give it by --profile profiles.db; or");
}

static status read_stored(belief **out, belief **still, const run_setup *s,
                          const run_settings *o, bool all, errbuf *err) {
    profile_store *store;
    TRY(profile_store_open(&store, o->profile, DATABASE_READ, err));
    errbuf why = {0};
    status st = read_fits(out, still, store, s, o->tp, all, &why);
    profile_store_close(store);
    return st == ST_OK ? ST_OK : fail(err, st, "%s: %s", o->profile, why.text);
}

status run_belief_open(belief **out, belief **still, const run_setup *s, const run_settings *o,
                       errbuf *err) {
    bool needed = policy_needs_costs(&s->config.policy);
    *out = NULL;
    if (still) *still = NULL;
    if (o->auto_profile) return read_or_make(out, still, s, o, err);
    if (!o->profile) return needed ? without_fits(s, o, err) : ST_OK;
    status st = read_stored(out, still, s, o, needed, err);
    if (st != ST_NOT_FOUND) return st;
    if (needed) return without_fits(s, o, err);
    return strcmp(o->latency, "measured") == 0 ? ST_OK : st;
}

static double believed_iteration_s(void *context, const batch_shape *shape) {
    const cost_model *costs = belief_costs(context);
    return costs->iteration(costs->context, shape).s;
}

/* Blocks are what the belief knows of; nobody weighs a request against copies. */
static double believed_copy_s(void *context, link_direction direction, double n_bytes,
                              uint32_t n_segments, bool beside_compute) {
    (void)context, (void)direction;
    (void)n_bytes, (void)n_segments, (void)beside_compute;
    return NAN;
}

static double believed_copy_slowdown(void *context) {
    (void)context;
    return 1;
}

static void leave(void *context) {
    (void)context;
}

latency_source run_belief_latency(const belief *b) {
    return (latency_source){.iteration_s = believed_iteration_s,
                            .copy_s = believed_copy_s,
                            .copy_slowdown = believed_copy_slowdown,
                            .destroy = leave,
                            .context = (void *)b};
}
