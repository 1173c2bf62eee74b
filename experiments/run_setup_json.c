/* run_setup_json.c - the settings of a run as they are stored: JSON, and the policy as text. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_setup.h"
#include "json_text.h"
#include "run_setup.h"

static void add_policy_setting(void *context, const char *key, const char *value) {
    json_object_set_new(context, key, json_text(value));
}

/* What changes the times or the tokens of a backend that computes. */
static void add_computing(json_t *all, const run_settings *o) {
    json_object_set_new(all, "dtype", json_text(o->dtype));
    json_object_set_new(all, "weights", json_text(o->weights));
    json_object_set_new(all, "threads", json_integer((json_int_t)o->threads));
    json_object_set_new(all, "deterministic", json_boolean(o->deterministic));
    json_object_set_new(all, "eos", json_boolean(o->eos));
    json_object_set_new(all, "temperature", json_real(o->temperature));
    json_object_set_new(all, "top_k", json_integer((json_int_t)o->top_k));
    json_object_set_new(all, "top_p", json_real(o->top_p));
}

char *run_setup_json(const run_setup *s, const run_settings *o) {
    const scheduler_config *c = &s->config;
    json_t *policy_settings_json = json_object();
    policy_each_setting(&c->policy, add_policy_setting, policy_settings_json);
    const trace_options *t = &o->trace;
    json_t *all = json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:I, s:b, s:b, s:I, s:s, s:s, s:o, s:s, s:i, s:I, s:I, s:I, "
        "s:I, s:I, s:I, s:f, s:o, s:b, s:o, s:s, s:o}",
        "trace", json_text(t->file), "workload", json_text(t->workload), "arrival",
        json_text(t->arrival), "rate",
        t->rate_per_s > 0 ? json_real(t->rate_per_s) : json_null(), "limit",
        (json_int_t)t->limit, "seed", (json_int_t)t->seed, "skip_bad", t->skip_bad, "sort",
        t->sort, "output_limit", (json_int_t)t->n_output_max, "backend", o->backend, "device",
        s->device->name, "model", json_text(s->model->name), "latency", o->latency, "tp",
        (int)o->tp, "kv_blocks", (json_int_t)c->n_device_blocks, "host_blocks",
        (json_int_t)c->n_host_blocks, "block_size", (json_int_t)c->block_tokens, "max_seqs",
        (json_int_t)c->max_seqs, "max_batched_tokens", (json_int_t)c->max_batched_tokens,
        "max_model_len", (json_int_t)c->max_model_len, "noise", s->noise, "drift",
        json_text(o->drift), "horizon", c->horizon_max > 1, "slo", json_text(o->slo), "policy",
        c->policy.row->name, "policy_settings", policy_settings_json);
    if (s->device_file) json_object_set_new(all, "device_file", json_text(o->device));
    if (s->model_dir) json_object_set_new(all, "model_dir", json_text(o->model));
    if (o->pad_tokens)
        json_object_set_new(all, "pad_tokens", json_integer((json_int_t)o->pad_tokens));
    if (o->link_gbs > 0) json_object_set_new(all, "link_gbs", json_real(o->link_gbs));
    if (o->profile) {
        json_object_set_new(all, "profile", json_text(o->profile));
        json_object_set_new(all, "host_step_us", json_real(o->host_step_us));
    }
    if (engine_setup_is_device(o->backend)) add_computing(all, o);
    if (o->step_times) json_object_set_new(all, "step_times", json_text(o->step_times));
    if (o->auto_profile) json_object_set_new(all, "auto_profile", json_true());
    char *text = all ? json_dumps(all, JSON_COMPACT) : NULL;
    json_decref(all);
    return text;
}

typedef struct policy_text {
    const policy *defaults;
    const char *key_of_default, *value_of_default;
    char *text;
    size_t size;
    bool differs;
} policy_text;

static void compare_default(void *context, const char *key, const char *value) {
    policy_text *t = context;
    if (strcmp(key, t->key_of_default) == 0)
        t->differs = strcmp(value, t->value_of_default) != 0;
}

static void append_if_changed(void *context, const char *key, const char *value) {
    policy_text *t = context;
    t->key_of_default = key;
    t->value_of_default = value;
    t->differs = false;
    policy_each_setting(t->defaults, compare_default, t);
    size_t n = strlen(t->text);
    if (t->differs) snprintf(t->text + n, t->size - n, ",%s=%s", key, value);
}

char *run_setup_policy_text(const policy *p) {
    policy defaults = {p->row, p->row->defaults};
    policy_text t = {.defaults = &defaults, .size = 512};
    t.text = malloc(t.size);
    if (!t.text) return NULL;
    snprintf(t.text, t.size, "%s", p->row->name);
    policy_each_setting(p, append_if_changed, &t);
    return t.text;
}
