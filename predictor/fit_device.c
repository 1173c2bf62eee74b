#include "fit_device.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device_spec.h"
#include "fit_assembly.h"
#include "fit_json.h"

enum { SMS_UNKNOWN = 108 }; /* multiprocessors of a device that is not in device_spec.c */

static const model_spec *find_model(const char *model) {
    return model ? model_spec_find(model) : NULL;
}

static status no_memory(errbuf *err) {
    return fail(err, ST_NO_MEMORY, "out of memory for fits");
}

/* Adds what is stored for one operation; kernels: as kernels by shape. */
static status add_stored(fit_groups *g, profile_store *store, const profile_query *query,
                         const model_spec *kernels_of, uint32_t tp, errbuf *err) {
    stored_samples stored = {0};
    TRY(profile_store_read_samples(store, &stored, query, err));
    status st = kernels_of ? fit_groups_add_kernels(g, stored.samples, stored.ids, stored.n,
                                                    kernels_of, tp)
                           : fit_groups_add(g, stored.samples, stored.ids, stored.n);
    stored_samples_finish(&stored);
    return st == ST_NO_MEMORY ? no_memory(err) : st;
}

static bool is_kernel(operation op) {
    return op == OP_GEMM || op == OP_PREFILL_ATTENTION || op == OP_DECODE_ATTENTION ||
           op == OP_MIXED_ATTENTION;
}

static bool has_operation(const fit_groups *g, operation op) {
    for (size_t i = 0; i < g->n; i++)
        if (g->groups[i].samples[0].op == op) return true;
    return false;
}

static status collect(fit_groups *g, profile_store *store, const char *device,
                      const char *model, uint32_t tp, errbuf *err) {
    for (operation op = 0; op < N_OPERATIONS; op++) {
        profile_query query = {.device = device, .model = model, .tp = tp, .op = op};
        TRY(add_stored(g, store, &query, NULL, tp, err));
    }
    if (!model) return ST_OK;
    /* What is not of the model itself may have been measured for the device: copies and
     * messages as they are, kernels by shape where the model's own layers are not known. */
    const model_spec *spec = find_model(model);
    bool layers = has_operation(g, OP_LAYER);
    for (operation op = 0; op < N_OPERATIONS; op++) {
        if (has_operation(g, op)) continue;
        profile_query query = {.device = device, .tp = is_kernel(op) ? 1 : tp, .op = op};
        if (!is_kernel(op))
            TRY(add_stored(g, store, &query, NULL, tp, err));
        else if (spec && !(op == OP_GEMM && layers))
            TRY(add_stored(g, store, &query, spec, tp, err));
    }
    return ST_OK;
}

/* Fits one group, whose samples move over. */
static status fit_group_make(judged_fit *out, fit_group *group, uint32_t n_sms, uint32_t tp,
                             errbuf *err) {
    judged_fit j = {.group = *group};
    j.predicted = calloc(group->n, sizeof(*j.predicted));
    if (!j.predicted) return no_memory(err);
    status st = fit_make(&j.f, j.predicted, group->samples, group->n, n_sms, err);
    if (st != ST_OK) {
        free(j.predicted);
        return st;
    }
    memcpy(j.f.part, group->part, sizeof(j.f.part));
    j.f.tp = tp;
    j.errors = j.f.quality.held_out;
    *group = (fit_group){0};
    *out = j;
    return ST_OK;
}

status fit_device_make(judged_fits *out, profile_store *store, const char *device,
                       const char *model, uint32_t tp, errbuf *err) {
    const device_spec *spec = device_spec_find(device);
    fit_groups groups = {0};
    *out = (judged_fits){0};
    status st = collect(&groups, store, device, model, tp, err);
    if (st == ST_OK && groups.n == 0)
        st = fail(err, ST_NOT_FOUND,
                  "no samples of device %s, model %s, tp %u: `adaptivellm profile list` "
                  "prints what there is, `adaptivellm profile` and `profile import` add some",
                  device, model ? model : "(none)", (unsigned)tp);
    if (st == ST_OK) {
        out->fits = calloc(groups.n, sizeof(*out->fits));
        if (!out->fits) st = no_memory(err);
    }
    for (size_t i = 0; st == ST_OK && i < groups.n; i++) {
        st = fit_group_make(&out->fits[i], &groups.groups[i], spec ? spec->n_sms : SMS_UNKNOWN,
                            tp, err);
        out->n += st == ST_OK;
    }
    fit_groups_finish(&groups);
    if (st == ST_OK && find_model(model)) st = fit_assemble(out, find_model(model), err);
    if (st != ST_OK) judged_fits_finish(out);
    return st;
}

status fit_device_save(profile_store *store, const judged_fits *fits, const char *device,
                       const char *model, uint32_t tp, errbuf *err) {
    fit_record *records = calloc(fits->n + 1, sizeof(*records));
    if (!records) return no_memory(err);
    status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < fits->n; i++) {
        const judged_fit *j = &fits->fits[i];
        /* Saving only reads them; the record's texts are not const because reading makes them.
         */
        records[i] = (fit_record){.device = (char *)device,
                                  .model = (char *)model,
                                  .tp = tp,
                                  .op = j->f.op,
                                  .kind = (char *)FIT_KIND,
                                  .n_samples = j->group.n,
                                  .mape = j->f.quality.fitted.mape,
                                  .held_out_mape = j->f.quality.held_out.mape,
                                  .sample_ids = j->group.ids,
                                  .n_sample_ids = j->group.n};
        memcpy(records[i].part, j->f.part, sizeof(records[i].part));
        st = fit_to_json(&records[i].json, &j->f, err);
    }
    if (st == ST_OK) st = profile_store_save_fits(store, records, fits->n, err);
    for (size_t i = 0; i < fits->n; i++) free(records[i].json);
    free(records);
    return st;
}

/* Is s what f was fitted to? */
static bool matches(const fit *f, const sample *s) {
    if (f->op != s->op || f->gemm_n != s->gemm_n || f->gemm_k != s->gemm_k ||
        f->n_heads != s->n_heads || f->n_kv_heads != s->n_kv_heads ||
        f->head_dim != s->head_dim)
        return false;
    return is_kernel(f->op) || strcmp(f->part, s->part) == 0;
}

/* Judges one fit on the samples that are its own; *n_matched is how many. */
static status judge(judged_fit *j, size_t *n_matched, const sample *samples, size_t n,
                    errbuf *err) {
    size_t own = 0;
    for (size_t i = 0; i < n; i++) own += matches(&j->f, &samples[i]);
    *n_matched = own;
    double *measured = calloc(own + 1, sizeof(*measured));
    j->group.samples = calloc(own + 1, sizeof(*j->group.samples));
    j->predicted = calloc(own + 1, sizeof(*j->predicted));
    if (!measured || !j->group.samples || !j->predicted) {
        free(measured);
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        if (!matches(&j->f, &samples[i])) continue;
        j->group.samples[j->group.n] = samples[i];
        measured[j->group.n] = samples[i].seconds;
        j->predicted[j->group.n++] = fit_predict(&j->f, &samples[i]).s;
    }
    memcpy(j->group.part, j->f.part, sizeof(j->group.part));
    status st = fit_judge(&j->errors, j->predicted, measured, own);
    free(measured);
    return st == ST_OK ? ST_OK : no_memory(err);
}

static status read_fits(judged_fits *out, profile_store *store, const char *device,
                        const char *model, uint32_t tp, errbuf *err) {
    stored_fits stored = {0};
    TRY(profile_store_read_fits(store, &stored, device, model, tp, err));
    status st = ST_OK;
    out->fits = calloc(stored.n + 1, sizeof(*out->fits));
    if (!out->fits) st = no_memory(err);
    for (size_t i = 0; st == ST_OK && i < stored.n; i++) {
        st = fit_from_json(&out->fits[i].f, stored.fits[i].json, err);
        out->n += st == ST_OK;
    }
    stored_fits_finish(&stored);
    if (st == ST_OK && out->n == 0)
        st = fail(err, ST_NOT_FOUND,
                  "no fits of device %s, model %s, tp %u: run `adaptivellm fit` first", device,
                  model ? model : "(none)", (unsigned)tp);
    return st;
}

status fit_device_check(judged_fits *out, size_t *n_without, profile_store *store,
                        const char *device, const char *model, uint32_t tp,
                        const sample *samples, size_t n, errbuf *err) {
    *out = (judged_fits){0};
    size_t n_judged = 0;
    status st = read_fits(out, store, device, model, tp, err);
    for (size_t i = 0; st == ST_OK && i < out->n; i++) {
        size_t n_matched = 0;
        st = judge(&out->fits[i], &n_matched, samples, n, err);
        n_judged += n_matched;
    }
    *n_without = n > n_judged ? n - n_judged : 0;
    if (st == ST_OK && find_model(model)) st = fit_assemble(out, find_model(model), err);
    if (st != ST_OK) judged_fits_finish(out);
    return st;
}

void judged_fits_finish(judged_fits *fits) {
    for (size_t i = 0; i < fits->n; i++) {
        fit_finish(&fits->fits[i].f);
        free(fits->fits[i].group.samples);
        free(fits->fits[i].group.ids);
        free(fits->fits[i].predicted);
    }
    free(fits->fits);
    *fits = (judged_fits){0};
}
