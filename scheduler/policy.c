#include "policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adaptive.h"
#include "lightllm.h"
#include "nano_vllm.h"
#include "nearest.h"
#include "order.h"
#include "sglang.h"
#include "trtllm.h"
#include "vllm_v0.h"
#include "vllm_v1.h"

#define V0_KEYS "order host_full block_manager watermark chunked fcfs_resort"
#define OUR_KEYS                                                                               \
    "order mechanism victim fairness hysteresis min_service length_error chunk watermark "     \
    "mixed beside partial write_back split reserve prefix_cache"
/* What adaptive has in common with its kin. */
#define OURS         .fairness = 1, .hysteresis = 2, .min_service = 16, .mixed = true, .beside = true
#define OFFLOAD_KEYS "order watermark long_prefill_threshold full_isl async"
#define V1_KEYS      OFFLOAD_KEYS " prefix_cache"

static const policy_row rows[] = {
    {.name = "adaptive",
     .text = "ours: each victim by its marginal cost, background write-back, learned order",
     .memory = &adaptive_memory,
     .defaults = {.fairness = 0.9,
                  .hysteresis = 1,
                  .min_service = 64,
                  .mixed = true,
                  .beside = true,
                  .order = ORDER_GITTINS,
                  .mechanism = MECHANISM_MARGINAL,
                  .victim = VICTIM_CHEAPEST,
                  .partial = true,
                  .write_back = true,
                  .split = true,
                  .reserve = true,
                  .prefix_cache = true},
     .keys = OUR_KEYS},
    {.name = "cost-aware",
     .text = "AdaptiveLLM as published: per victim the cheaper of swap and recompute, HRRN",
     .memory = &adaptive_memory,
     .defaults = {OURS, .order = ORDER_HRRN, .mechanism = MECHANISM_CHEAPER, .watermark = 0.01},
     .keys = OUR_KEYS},
    {.name = "always-swap",
     .text = "every victim is copied beside compute, FCFS",
     .memory = &adaptive_memory,
     .defaults = {OURS, .mechanism = MECHANISM_SWAP},
     .keys = OUR_KEYS},
    {.name = "always-recompute",
     .text = "every victim is recomputed, in mixed batches, FCFS",
     .memory = &adaptive_memory,
     .defaults = {OURS, .mechanism = MECHANISM_RECOMPUTE},
     .keys = OUR_KEYS},
    {.name = "fcfs-watermark",
     .text = "always-recompute that admits only while 5 % of the blocks stay free",
     .memory = &adaptive_memory,
     .defaults = {OURS, .mechanism = MECHANISM_RECOMPUTE, .watermark = 0.05},
     .keys = OUR_KEYS},
    {.name = "least-computed-first",
     .text = "always-recompute whose victim is who has the fewest computed tokens",
     .memory = &adaptive_memory,
     .defaults = {OURS, .mechanism = MECHANISM_RECOMPUTE, .victim = VICTIM_LEAST_COMPUTED},
     .keys = OUR_KEYS},
    {.name = "min-waste",
     .text = "after InferCept: least waste of memory times time, swaps within a free budget",
     .memory = &adaptive_memory,
     .defaults = {OURS, .mechanism = MECHANISM_MIN_WASTE},
     .keys = OUR_KEYS},
    {.name = "fastserve",
     .text = "after FastServe: skip-join MLFQ, copies ahead of time, the least urgent swapped",
     .memory = &adaptive_memory,
     .defaults = {OURS, .order = ORDER_MLFQ, .mechanism = MECHANISM_SWAP, .partial = true,
                  .write_back = true},
     .keys = OUR_KEYS},
    {.name = "srpt-oracle",
     .text = "adaptive that knows output lengths: shortest remaining first",
     .memory = &adaptive_memory,
     .defaults = {OURS, .order = ORDER_SRPT_ORACLE, .mechanism = MECHANISM_MARGINAL,
                  .partial = true, .write_back = true, .split = true, .reserve = true},
     .keys = OUR_KEYS},
    {.name = "oracle-bound",
     .text = "bound: preempting costs nothing; with order=srpt-oracle it knows output lengths",
     .memory = &adaptive_memory,
     .defaults = {OURS, .mechanism = MECHANISM_FREE},
     .keys = OUR_KEYS},
    {.name = "vllm-v0-recompute",
     .text = "vLLM v0.6.3, preempts by recomputing (its default)",
     .memory = &vllm_v0_memory,
     .defaults = {.block_manager = 2, .watermark = 0.01},
     .keys = V0_KEYS},
    {.name = "vllm-v0-swap",
     .text = "vLLM v0.6.3, preempts by swapping; aborts when the host pool is full",
     .memory = &vllm_v0_memory,
     .defaults = {.block_manager = 2, .watermark = 0.01, .swap = true},
     .keys = V0_KEYS},
    {.name = "vllm-v1",
     .text = "vLLM v0.25.1, synchronous; preempts by recomputing",
     .memory = &vllm_v1_memory,
     .defaults = {.full_isl = true, .prefix_cache = true},
     .keys = V1_KEYS},
    {.name = "vllm-v1-offload",
     .text =
         "after vLLM V1's OffloadingConnector: full blocks go to a host LRU as they fill and "
         "are loaded beside compute; read from the sources, not executed",
     .memory = &vllm_v1_offload_memory,
     .defaults = {.full_isl = true, .prefix_cache = true},
     .keys = OFFLOAD_KEYS},
    {.name = "nano-vllm",
     .text = "nano-vllm bb823b3; preempts by recomputing, its prefix cache is always on",
     .memory = &nano_vllm_memory,
     .defaults = {.prefix_cache = true},
     .keys = ""},
    {.name = "trtllm-no-evict",
     .text = "after TensorRT-LLM's GUARANTEED_NO_EVICT: reserves up to the output limit; read "
             "from the sources, not executed",
     .memory = &trtllm_no_evict_memory,
     .defaults = {0},
     .keys = ""},
    {.name = "trtllm-max-utilization",
     .text = "after TensorRT-LLM's MAX_UTILIZATION: preempts the last by recomputing; read "
             "from the sources, not executed",
     .memory = &trtllm_max_utilization_memory,
     .defaults = {0},
     .keys = ""},
    {.name = "sglang",
     .text = "after SGLang: admits by a learnt share of output limits, retracts by "
             "recomputing; read "
             "from the sources, not executed",
     .memory = &sglang_memory,
     .defaults = {.conservativeness = 1},
     .keys = "conservativeness"},
    {.name = "lightllm",
     .text = "after LightLLM: admits by the peak of the KV to come up to the output limits, "
             "pauses the "
             "last; read from the sources, not executed",
     .memory = &lightllm_memory,
     .defaults = {0},
     .keys = "router_token_ratio"},
    {.name = "past-future",
     .text =
         "after LightLLM's Past-Future: the same peak of output lengths sampled from finished "
         "requests; read from the sources, not executed",
     .memory = &past_future_memory,
     .defaults = {0},
     .keys = "seed"},
};
enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

const policy_row *policy_rows(size_t *n) {
    *n = N_ROWS;
    return rows;
}

const order_policy *policy_order(const policy *p) {
    return &order_policies[p->settings.order];
}

static bool ranks(const policy *p) {
    return p->row->memory == &adaptive_memory;
}

bool policy_needs_costs(const policy *p) {
    uint32_t m = p->settings.mechanism;
    bool compares =
        m == MECHANISM_CHEAPER || m == MECHANISM_MARGINAL || m == MECHANISM_MIN_WASTE;
    return ranks(p) && (compares || policy_order(p)->needs_costs);
}

bool policy_is_oracle(const policy *p) {
    return policy_order(p)->is_oracle;
}

bool policy_uses_clients(const policy *p) {
    return policy_order(p)->needs_clients;
}

static const double FACTOR_MAX = 100;

typedef enum setting_kind {
    IS_BOOL,
    IS_COUNT,
    IS_SHARE,
    IS_KNOB,
    IS_FACTOR,
    IS_CHOICE
} setting_kind;

typedef struct setting {
    const char *key;
    setting_kind kind;
    size_t offset;
    uint32_t lowest, highest;   /* of a count or a knob */
    const char *const *choices; /* of a choice, NULL-terminated */
} setting;

static const char *const order_names[] = {"fcfs",       "priority",   "hrrn", "srpt-oracle",
                                          "lpt-oracle", "sjf-prompt", "mlfq", "vtc",
                                          "gittins",    NULL};
static const char *const mechanism_names[] = {"recompute", "swap", "cheaper", "marginal",
                                              "min-waste", "free", NULL};
static const char *const victim_names[] = {"least-urgent", "least-computed", "cheapest", NULL};
static const char *const host_full_names[] = {"abort", "recompute", NULL};

#define AT(field) offsetof(policy_settings, field)
static const setting settings[] = {
    {"order", IS_CHOICE, AT(order), 0, 0, order_names},
    {"host_full", IS_CHOICE, AT(host_full), 0, 0, host_full_names},
    {"block_manager", IS_COUNT, AT(block_manager), 1, 2, NULL},
    {"watermark", IS_SHARE, AT(watermark), 0, 0, NULL},
    {"long_prefill_threshold", IS_COUNT, AT(long_prefill_threshold), 0, 1u << 24, NULL},
    {"seed", IS_COUNT, AT(seed), 0, UINT32_MAX, NULL},
    {"conservativeness", IS_FACTOR, AT(conservativeness), 0, 0, NULL},
    {"router_token_ratio", IS_SHARE, AT(router_token_ratio), 0, 0, NULL},
    {"chunked", IS_BOOL, AT(chunked), 0, 0, NULL},
    {"fcfs_resort", IS_BOOL, AT(fcfs_resort), 0, 0, NULL},
    {"full_isl", IS_BOOL, AT(full_isl), 0, 0, NULL},
    {"prefix_cache", IS_BOOL, AT(prefix_cache), 0, 0, NULL},
    {"async", IS_BOOL, AT(async), 0, 0, NULL},
    {"mechanism", IS_CHOICE, AT(mechanism), 0, 0, mechanism_names},
    {"victim", IS_CHOICE, AT(victim), 0, 0, victim_names},
    {"fairness", IS_KNOB, AT(fairness), 0, 1, NULL},
    {"hysteresis", IS_KNOB, AT(hysteresis), 0, 1000, NULL},
    {"length_error", IS_KNOB, AT(length_error), 0, 10, NULL},
    {"min_service", IS_COUNT, AT(min_service), 0, 1u << 20, NULL},
    {"chunk", IS_COUNT, AT(chunk), 0, 1u << 24, NULL},
    {"mixed", IS_BOOL, AT(mixed), 0, 0, NULL},
    {"beside", IS_BOOL, AT(beside), 0, 0, NULL},
    {"partial", IS_BOOL, AT(partial), 0, 0, NULL},
    {"write_back", IS_BOOL, AT(write_back), 0, 0, NULL},
    {"split", IS_BOOL, AT(split), 0, 0, NULL},
    {"reserve", IS_BOOL, AT(reserve), 0, 0, NULL},
};
enum { N_SETTINGS = sizeof(settings) / sizeof(settings[0]) };

/* Is key one of the words of keys? */
static bool takes_key(const char *keys, const char *key) {
    size_t n = strlen(key);
    for (const char *at = strstr(keys, key); at; at = strstr(at + 1, key))
        if ((at == keys || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) return true;
    return false;
}

static status unknown_policy(const char *name, errbuf *err) {
    const char *names[N_ROWS];
    for (size_t i = 0; i < N_ROWS; i++) names[i] = rows[i].name;
    char hint[NEAREST_HINT_SIZE];
    return fail(err, ST_INVALID, "there is no policy '%s'; %s`adaptivellm policies` lists them",
                name, nearest_hint(hint, name, names, N_ROWS));
}

static const char *keys_or_none(const policy *p) {
    return p->row->keys[0] ? p->row->keys : "none";
}

static status unknown_key(const policy *p, const char *key, errbuf *err) {
    const char *names[N_SETTINGS];
    size_t n = 0;
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (takes_key(p->row->keys, settings[i].key)) names[n++] = settings[i].key;
    char hint[NEAREST_HINT_SIZE];
    return fail(err, ST_INVALID, "policy %s has no setting '%s'; %sit takes: %s", p->row->name,
                key, nearest_hint(hint, key, names, n), keys_or_none(p));
}

/* How many of the choices of s a policy has: those that do not rank have the first orders. */
static size_t n_choices(const policy *p, const setting *s) {
    if (s->offset == AT(order) && !ranks(p)) return ORDER_PRIORITY + 1;
    size_t n = 0;
    while (s->choices[n]) n++;
    return n;
}

static status unknown_choice(const policy *p, const setting *s, const char *value,
                             errbuf *err) {
    char hint[NEAREST_HINT_SIZE], all[128] = "";
    size_t n = n_choices(p, s), used = 0;
    for (size_t i = 0; i < n && used < sizeof(all); i++)
        used += (size_t)snprintf(all + used, sizeof(all) - used, " %s", s->choices[i]);
    return fail(err, ST_INVALID, "policy %s: %s cannot be '%s'; %sit is one of:%s",
                p->row->name, s->key, value, nearest_hint(hint, value, s->choices, n), all);
}

static status parse_choice(uint32_t *out, const policy *p, const setting *s, const char *value,
                           errbuf *err) {
    size_t n = n_choices(p, s);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(s->choices[i], value) != 0) continue;
        *out = (uint32_t)i;
        return ST_OK;
    }
    return unknown_choice(p, s, value, err);
}

static status parse_value(policy *p, const setting *s, const char *value, errbuf *err) {
    char *end;
    void *field = (char *)&p->settings + s->offset;
    switch (s->kind) {
    case IS_BOOL: {
        bool on = strcmp(value, "on") == 0;
        if (!on && strcmp(value, "off") != 0)
            return fail(err, ST_INVALID, "%s is on or off, not '%s'", s->key, value);
        memcpy(field, &on, sizeof(on));
        return ST_OK;
    }
    case IS_COUNT: {
        unsigned long n = strtoul(value, &end, 10);
        if (*value < '0' || *value > '9' || *end || n < s->lowest || n > s->highest)
            return fail(err, ST_INVALID, "%s is a whole number from %u to %u, not '%s'", s->key,
                        s->lowest, s->highest, value);
        uint32_t count = (uint32_t)n;
        memcpy(field, &count, sizeof(count));
        return ST_OK;
    }
    case IS_SHARE: {
        double share = strtod(value, &end);
        if (end == value || *end || !(share >= 0 && share < 1))
            return fail(err, ST_INVALID, "%s is a share in [0, 1), not '%s'", s->key, value);
        memcpy(field, &share, sizeof(share));
        return ST_OK;
    }
    case IS_KNOB: {
        double knob = strtod(value, &end);
        if (end == value || *end || !(knob >= s->lowest && knob <= s->highest))
            return fail(err, ST_INVALID, "%s is a number from %u to %u, not '%s'", s->key,
                        s->lowest, s->highest, value);
        memcpy(field, &knob, sizeof(knob));
        return ST_OK;
    }
    case IS_FACTOR: {
        double factor = strtod(value, &end);
        if (end == value || *end || !(factor > 0 && factor <= FACTOR_MAX))
            return fail(err, ST_INVALID, "%s is a number above 0 and up to %g, not '%s'",
                        s->key, FACTOR_MAX, value);
        memcpy(field, &factor, sizeof(factor));
        return ST_OK;
    }
    case IS_CHOICE: {
        uint32_t choice = 0;
        TRY(parse_choice(&choice, p, s, value, err));
        memcpy(field, &choice, sizeof(choice));
        return ST_OK;
    }
    }
    return ST_INVALID;
}

/* given[] marks the settings met. */
static status parse_setting(policy *p, char *text, bool given[N_SETTINGS], errbuf *err) {
    char *equals = strchr(text, '=');
    if (*text == '\0')
        return fail(err, ST_INVALID, "policy %s: nothing is behind a comma", p->row->name);
    if (!equals)
        return fail(err, ST_INVALID, "'%s' after policy %s is not key=value; it takes: %s",
                    text, p->row->name, keys_or_none(p));
    *equals = '\0';
    size_t i = 0;
    while (i < N_SETTINGS && strcmp(settings[i].key, text) != 0) i++;
    if (i == N_SETTINGS || !takes_key(p->row->keys, text)) return unknown_key(p, text, err);
    if (given[i])
        return fail(err, ST_INVALID, "policy %s: %s is given twice", p->row->name, text);
    given[i] = true;
    return parse_value(p, &settings[i], equals + 1, err);
}

/* Cuts off what is before the first comma; *rest is what is behind it, NULL without one. */
static char *next_word(char **rest) {
    char *word = *rest, *comma = strchr(word, ',');
    *rest = comma ? comma + 1 : NULL;
    if (comma) *comma = '\0';
    return word;
}

status policy_parse(policy *out, const char *text, errbuf *err) {
    char copy[256];
    if (strlen(text) >= sizeof(copy))
        return fail(err, ST_INVALID, "policy text of %zu characters is too long (at most %zu)",
                    strlen(text), sizeof(copy) - 1);
    memcpy(copy, text, strlen(text) + 1);
    char *rest = copy, *name = next_word(&rest);
    policy p = {0};
    for (size_t i = 0; i < N_ROWS; i++)
        if (strcmp(rows[i].name, name) == 0) p = (policy){&rows[i], rows[i].defaults};
    if (!p.row) return unknown_policy(name, err);
    bool given[N_SETTINGS] = {false};
    while (rest) TRY(parse_setting(&p, next_word(&rest), given, err));
    *out = p;
    return ST_OK;
}

static void value_text(char *buf, size_t size, const policy_settings *values,
                       const setting *s) {
    const void *field = (const char *)values + s->offset;
    uint32_t count;
    double share;
    bool on;
    switch (s->kind) {
    case IS_BOOL:
        memcpy(&on, field, sizeof(on));
        snprintf(buf, size, "%s", on ? "on" : "off");
        break;
    case IS_COUNT:
        memcpy(&count, field, sizeof(count));
        snprintf(buf, size, "%u", count);
        break;
    case IS_SHARE:
    case IS_KNOB:
    case IS_FACTOR:
        memcpy(&share, field, sizeof(share));
        snprintf(buf, size, "%g", share);
        break;
    case IS_CHOICE:
        memcpy(&count, field, sizeof(count));
        snprintf(buf, size, "%s", s->choices[count]);
        break;
    }
}

void policy_each_setting(const policy *p,
                         void (*visit)(void *context, const char *key, const char *value),
                         void *context) {
    for (size_t i = 0; i < N_SETTINGS; i++) {
        if (!takes_key(p->row->keys, settings[i].key)) continue;
        char buf[32];
        value_text(buf, sizeof(buf), &p->settings, &settings[i]);
        visit(context, settings[i].key, buf);
    }
}

void policy_each_choice(void (*visit)(void *context, const char *key,
                                      const char *const *values),
                        void *context) {
    for (size_t i = 0; i < N_SETTINGS; i++)
        if (settings[i].choices) visit(context, settings[i].key, settings[i].choices);
}
