#include "measured_source.h"

#include <stdlib.h>
#include <string.h>

#include "profile_store.h"

/* Samples of several queries in one array. */
typedef struct gathered {
    sample *samples; /* [n] */
    size_t n;
} gathered;

static status gather(gathered *g, profile_store *store, const profile_query *query,
                     errbuf *err) {
    stored_samples found;
    TRY(profile_store_read_samples(store, &found, query, err));
    sample *grown = realloc(g->samples, (g->n + found.n + 1) * sizeof(*grown));
    if (grown) {
        if (found.n) memcpy(grown + g->n, found.samples, found.n * sizeof(*grown));
        g->samples = grown;
        g->n += found.n;
    }
    stored_samples_finish(&found);
    return grown ? ST_OK : fail(err, ST_NO_MEMORY, "out of memory for samples");
}

/* All operations of a model (NULL: kernels by shape). */
static status gather_all(gathered *g, profile_store *store, const char *device,
                         const char *model, uint32_t tp, errbuf *err) {
    for (int op = 0; op < N_OPERATIONS; op++) {
        profile_query query = {
            .device = device, .model = model, .tp = tp, .op = (operation)op, .originals = true};
        TRY(gather(g, store, &query, err));
    }
    return ST_OK;
}

static bool has_layers(const profile_summaries *all, const char *device, const char *model,
                       uint32_t tp) {
    for (size_t i = 0; i < all->n; i++) {
        const profile_summary *row = &all->rows[i];
        if (row->op == OP_LAYER && row->tp == tp && row->model &&
            strcmp(row->model, model) == 0 && strcmp(row->device, device) == 0)
            return true;
    }
    return false;
}

/* A model whose layers were measured on one and on tp of these devices; NULL: there is none. */
static const model_spec *find_reference(const profile_summaries *all,
                                        const measured_source_options *o) {
    size_t n;
    const model_spec *models = model_specs(&n);
    for (size_t i = 0; i < n; i++)
        if (&models[i] != o->model && has_layers(all, o->device->name, models[i].name, 1) &&
            has_layers(all, o->device->name, models[i].name, o->tp))
            return &models[i];
    return NULL;
}

enum { OWN, SKEW, SINGLE, REFERENCE_SINGLE, REFERENCE_TP, N_LISTS };

/* What unequal contexts cost, of the first model that has samples of it. */
static status gather_skew(gathered *g, profile_store *store, const profile_summaries *all,
                          const char *device, errbuf *err) {
    static const operation ops[] = {OP_DECODE_ATTENTION, OP_MIXED_ATTENTION};
    for (size_t i = 0; i < all->n; i++) {
        const profile_summary *row = &all->rows[i];
        if (strcmp(row->part, "skew") != 0 || strcmp(row->device, device) != 0) continue;
        for (size_t j = 0; j < sizeof(ops) / sizeof(ops[0]); j++) {
            profile_query query = {
                .device = device, .model = row->model, .tp = row->tp, .op = ops[j]};
            TRY(gather(g, store, &query, err));
        }
        return ST_OK;
    }
    return ST_OK;
}

static status gather_scaled(gathered *lists, profile_store *store,
                            const measured_source_options *o, const model_spec *reference,
                            errbuf *err) {
    const char *device = o->device->name;
    TRY(gather_all(&lists[SINGLE], store, device, o->model->name, 1, err));
    TRY(gather_all(&lists[REFERENCE_SINGLE], store, device, reference->name, 1, err));
    return gather_all(&lists[REFERENCE_TP], store, device, reference->name, o->tp, err);
}

static status make(latency_source *out, gathered *lists, profile_store *store,
                   const measured_source_options *o, errbuf *err) {
    profile_summaries all;
    TRY(profile_store_list(store, &all, err));
    const char *device = o->device->name, *model = o->model->name;
    bool scaled = o->tp > 1 && !has_layers(&all, device, model, o->tp) &&
                  has_layers(&all, device, model, 1);
    const model_spec *reference = scaled ? find_reference(&all, o) : NULL;
    status st = gather_skew(&lists[SKEW], store, &all, device, err);
    profile_summaries_finish(&all);
    TRY(st);
    TRY(gather_all(&lists[OWN], store, device, model, o->tp, err));
    if (reference) {
        TRY(gather_scaled(lists, store, o, reference, err));
    } else {
        TRY(gather_all(&lists[OWN], store, device, NULL, 1, err));
        if (o->tp > 1) TRY(gather_all(&lists[OWN], store, device, NULL, o->tp, err));
    }
    measured_config config = {
        .device = o->device,
        .model = o->model,
        .tp = o->tp,
        .own = {lists[OWN].samples, lists[OWN].n},
        .skew = {lists[SKEW].samples, lists[SKEW].n},
        .reference_model = reference,
        .single = {lists[SINGLE].samples, lists[SINGLE].n},
        .reference_single = {lists[REFERENCE_SINGLE].samples, lists[REFERENCE_SINGLE].n},
        .reference_tp = {lists[REFERENCE_TP].samples, lists[REFERENCE_TP].n},
        .host_step_s = o->host_step_s};
    return latency_measured_create(out, &config, err);
}

status measured_source_open(latency_source *out, const measured_source_options *o,
                            errbuf *err) {
    profile_store *store;
    TRY(profile_store_open(&store, o->profile, DATABASE_READ, err));
    gathered lists[N_LISTS] = {0};
    errbuf why = {0};
    status st = make(out, lists, store, o, &why);
    for (int i = 0; i < N_LISTS; i++) free(lists[i].samples);
    profile_store_close(store);
    if (st == ST_NOT_FOUND)
        return fail(err, st,
                    "%s: not enough of %s on %u x %s: %s; `adaptivellm profile import` takes "
                    "tables, `adaptivellm profile` measures",
                    o->profile, o->model->name, o->tp, o->device->name, why.text);
    return st == ST_OK ? st : fail(err, st, "%s", why.text);
}
