#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lightllm.h"
#include "nano_vllm.h"
#include "scheduler_state.h"
#include "sglang.h"
#include "step_text.h"
#include "vllm_v0.h"

static uint32_t or_else(uint32_t value, uint32_t if_zero) {
    return value ? value : if_zero;
}

static status configure(scheduler_config *out, const scenario *s, const char *policy_text,
                        errbuf *err) {
    *out = scheduler_config_defaults();
    TRY(policy_parse(&out->policy, policy_text, err));
    out->n_device_blocks = s->n_device;
    out->n_host_blocks = s->n_host;
    out->max_batched_tokens = or_else(s->max_batched_tokens, 64);
    out->max_seqs = or_else(s->max_seqs, 8);
    out->max_model_len = or_else(s->max_model_len, 64);
    out->block_tokens = or_else(s->block_tokens, 4);
    return ST_OK;
}

static uint32_t n_requests(const scenario *s) {
    uint32_t n = 0, n_max = sizeof(s->requests) / sizeof(s->requests[0]);
    while (n < n_max && s->requests[n].n_prompt > 0) n++;
    return n;
}

static void add_arrivals(step_driver *d, const scenario *s, uint32_t *n_added, uint32_t step) {
    for (; *n_added < n_requests(s) && s->requests[*n_added].step <= step; ++*n_added) {
        const scenario_request *r = &s->requests[*n_added];
        request req = {.id = *n_added,
                       .arrival_ns = r->step,
                       .n_prompt = r->n_prompt,
                       .n_output_max = r->n_output,
                       .priority = r->priority};
        step_driver_add(d, &req, r->n_output);
    }
}

/* " NAME[1 2]", or nothing for an empty list. */
static void put_list(step_text *l, const step_driver *d, const char *open, step_text_list *list,
                     const char *close) {
    size_t before = l->n;
    step_text_put(l, " %s", open);
    list(l, d);
    if (!l->list_is_empty) {
        step_text_put(l, "%s", close);
    } else {
        l->n = before;
        l->text[before] = '\0';
    }
}

static void put_moved(step_text *l, const step_driver *d, const char *name,
                      link_direction direction) {
    uint32_t n = step_text_n_copied(d, direction);
    if (n > 0) step_text_put(l, " %s%" PRIu32, name, n);
}

static void put_v0(step_text *l, const step_driver *d) {
    put_list(l, d, "pf[", step_text_prefills, "]");
    put_list(l, d, "dec[", step_text_decodes, "]");
    put_moved(l, d, "OUT", LINK_TO_HOST);
    put_moved(l, d, "IN", LINK_TO_DEVICE);
    put_list(l, d, "IGN[", step_text_ignored, "]");
    put_list(l, d, "W[", step_text_waiting, "]");
    put_list(l, d, "R[", step_text_running, "]");
    put_list(l, d, "S[", step_text_swapped, "]");
    step_text_put(l, " %" PRIu32 "/%" PRIu32, step_text_n_free_device(d),
                  scheduler_n_free_host(d->scheduler));
}

static void put_v1(step_text *l, const step_driver *d) {
    put_list(l, d, "{", step_text_scheduled, "}");
    put_list(l, d, "PRE[", step_text_preempted, "]");
    put_list(l, d, "W[", step_text_waiting, "]");
    put_list(l, d, "R[", step_text_running, "]");
    step_text_put(l, " %" PRIu32, step_text_n_free_device(d));
}

static void put_prefill_first(step_text *l, const step_driver *d) {
    put_list(l, d, "pf[", step_text_prefills, "]");
    put_list(l, d, "dec[", step_text_decodes, "]");
    put_list(l, d, "PRE[", step_text_preempted, "]");
    put_list(l, d, "W[", step_text_waiting, "]");
    put_list(l, d, "R[", step_text_running, "]");
    step_text_put(l, " %" PRIu32, step_text_n_free_device(d));
}

/* Prefills have steps of their own: told apart in the line. */
static bool is_prefill_first(const memory_policy *memory) {
    return memory == &nano_vllm_memory || memory == &sglang_memory ||
           memory == &lightllm_memory || memory == &past_future_memory;
}

/* One step with its line; ST_END after an abort. */
static status run_step(step_driver *d, step_text *l, uint32_t step, errbuf *err) {
    step_text_init(l, " ");
    step_text_put(l, "s%" PRIu32, step);
    if (scheduler_n_unfinished(d->scheduler) == 0) {
        step_text_put(l, " idle");
        return ST_OK;
    }
    status st = step_driver_schedule(d, step, err);
    if (st == ST_ABORTED) {
        step_text_put(l, " aborted");
        return ST_END;
    }
    if (st != ST_OK) return st;
    if (d->scheduler->memory == &vllm_v0_memory)
        put_v0(l, d);
    else if (is_prefill_first(d->scheduler->memory))
        put_prefill_first(l, d);
    else
        put_v1(l, d);
    step_driver_complete(d, step);
    return scheduler_check(d->scheduler, err);
}

static status run_lines(step_driver *d, const scenario *s, errbuf *err) {
    enum { N_LINES_MAX = sizeof(s->lines) / sizeof(s->lines[0]) };
    uint32_t n_added = 0, step = 0;
    status st = ST_OK;
    for (; st == ST_OK; step++) {
        bool over = n_added == n_requests(s) && scheduler_n_unfinished(d->scheduler) == 0;
        const char *want = step < N_LINES_MAX ? s->lines[step] : NULL;
        if ((over || s->goes_on) && !want) return ST_OK;
        if (over)
            return fail(err, ST_INVALID, "ends after %" PRIu32 " steps, before '%s'", step,
                        want);
        add_arrivals(d, s, &n_added, step);
        step_text l;
        st = run_step(d, &l, step, err);
        if (st != ST_OK && st != ST_END) return st;
        if (!want || strcmp(l.text, want) != 0)
            return fail(err, ST_INVALID, "decided '%s', expected '%s'", l.text,
                        want ? want : "the end");
    }
    if (s->lines[step]) /* it aborted */
        return fail(err, ST_INVALID, "ends after %" PRIu32 " steps, before '%s'", step,
                    s->lines[step]);
    return ST_OK;
}

/* Who ended, and whether all blocks came back. */
static status check_end(const step_driver *d, const scenario *s, errbuf *err) {
    char ended[128] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < d->n_ended && n < sizeof(ended); i++)
        n += (size_t)snprintf(ended + n, sizeof(ended) - n, "%s%" PRIu64, i ? " " : "",
                              d->ended[i]);
    const char *want = s->ended ? s->ended : "";
    if (strcmp(ended, want) != 0)
        return fail(err, ST_INVALID, "ended in the order '%s', expected '%s'", ended, want);
    if (scheduler_n_unfinished(d->scheduler) > 0 || d->n_ended < n_requests(s)) return ST_OK;
    uint32_t n_null = d->scheduler->null_block != KV_NO_BLOCK;
    uint32_t n_device = scheduler_n_free_device(d->scheduler) + n_null;
    uint32_t n_host = scheduler_n_free_host(d->scheduler) + s->n_leaked;
    if (n_device != s->n_device || n_host != s->n_host)
        return fail(err, ST_INVALID,
                    "%" PRIu32 " device and %" PRIu32 " host blocks are left of %" PRIu32
                    " and %" PRIu32,
                    n_device, n_host, s->n_device, s->n_host);
    return ST_OK;
}

static const struct {
    const char *name;
    bool single_file, bind_early;
} ways[] = {
    {"cohort", false, false},
    {"single file", true, false},
    {"blocks taken ahead", false, true},
};

static status run(const scenario *s, const scheduler_config *config, errbuf *err) {
    step_driver d;
    step_driver_init(&d, config);
    status st = run_lines(&d, s, err);
    if (st == ST_OK) st = check_end(&d, s, err);
    step_driver_finish(&d);
    return st;
}

status scenario_check(const scenario *s, errbuf *err) {
    for (int i = 0; i < 4 && s->policies[i]; i++) {
        scheduler_config config;
        TRY(configure(&config, s, s->policies[i], err));
        for (size_t j = 0; j < sizeof(ways) / sizeof(ways[0]); j++) {
            config.single_file = ways[j].single_file;
            config.bind_early = ways[j].bind_early;
            errbuf why = {0};
            status st = run(s, &config, &why);
            if (st != ST_OK)
                return fail(err, st, "%s (%s): %.350s", s->policies[i], ways[j].name, why.text);
        }
    }
    return ST_OK;
}
