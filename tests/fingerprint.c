#include "fingerprint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nano_vllm.h"
#include "scheduler_state.h"
#include "vllm_v1.h"

enum { N_REQUESTS = 40, N_STEPS_MAX = 100000 };

static const fingerprint_case cases[] = {
    {"A", "vllm-v0-recompute,block_manager=1", 128, false},
    {"A2", "vllm-v0-recompute,block_manager=2", 128, false},
    {"B", "vllm-v0-swap,block_manager=1", 128, false},
    {"C", "vllm-v0-swap,block_manager=2", 128, false},
    {"D", "vllm-v0-recompute,block_manager=1,order=priority", 128, true},
    {"E", "vllm-v0-recompute,block_manager=1,chunked=on", 32, false},
    {"E2", "vllm-v0-recompute,block_manager=2,chunked=on", 32, false},
    {"F", "vllm-v0-swap,block_manager=1,chunked=on", 32, false},
    {"G", "vllm-v0-swap,block_manager=2,chunked=on", 32, false},
    {"A053", "vllm-v0-recompute,block_manager=1,fcfs_resort=on", 128, false},
    {"B053", "vllm-v0-swap,block_manager=1,fcfs_resort=on", 128, false},
    {"E053", "vllm-v0-recompute,block_manager=1,chunked=on,fcfs_resort=on", 32, false},
    {"F053", "vllm-v0-swap,block_manager=1,chunked=on,fcfs_resort=on", 32, false},
    {"K", "vllm-v1,prefix_cache=off", 128, false},
    {"L", "vllm-v1,prefix_cache=off", 32, false},
    {"L18", "vllm-v1,prefix_cache=off,full_isl=off", 32, false},
    {"Q", "vllm-v1,prefix_cache=off,full_isl=off", 32, false},
    {"M", "vllm-v1,prefix_cache=off,order=priority", 128, true},
    {"N", "vllm-v1,prefix_cache=off,long_prefill_threshold=16", 128, false},
    {"N18", "vllm-v1,prefix_cache=off,long_prefill_threshold=16,full_isl=off", 128, false},
    {"P", "vllm-v1,prefix_cache=off,watermark=0.05", 128, false},
    {"R", "vllm-v1,prefix_cache=on", 128, false},
    {"X", "nano-vllm", 128, false},
    {"Y", "nano-vllm", 32, false},
};
enum { N_CASES = sizeof(cases) / sizeof(cases[0]) };

const fingerprint_case *fingerprint_cases(size_t *n) {
    *n = N_CASES;
    return cases;
}

const fingerprint_case *fingerprint_find(const char *name) {
    for (size_t i = 0; i < N_CASES; i++)
        if (strcmp(cases[i].name, name) == 0) return &cases[i];
    return NULL;
}

typedef struct workload_item {
    uint32_t n_prompt, n_output, step;
} workload_item;

static void make_workload(workload_item *items, uint64_t seed) {
    uint64_t x = seed;
    uint32_t t = 0;
    for (int i = 0; i < N_REQUESTS; i++) {
        uint32_t draw[3];
        for (int j = 0; j < 3; j++) {
            x = (x * 1103515245 + 12345) & 0x7fffffff;
            draw[j] = (uint32_t)(x >> 16);
        }
        t += draw[2] % 3;
        items[i] = (workload_item){1 + draw[0] % 48, 1 + draw[1] % 32, t};
    }
}

static void v0_line(step_text *l, const step_driver *d, uint32_t n_free) {
    step_text_prefills(l, d);
    step_text_put(l, "|");
    step_text_decodes(l, d);
    step_text_put(l, "|");
    step_text_waiting(l, d);
    step_text_put(l, "|");
    step_text_running(l, d);
    step_text_put(l, "|");
    step_text_swapped(l, d);
    step_text_put(l, "|%" PRIu32 "|%" PRIu32 "|%" PRIu32 "|%" PRIu32,
                  step_text_n_copied(d, LINK_TO_HOST), step_text_n_copied(d, LINK_TO_DEVICE),
                  n_free, scheduler_n_free_host(d->scheduler));
}

static void v1_line(step_text *l, const step_driver *d, uint32_t n_free) {
    step_text_scheduled(l, d);
    step_text_put(l, "|");
    step_text_waiting(l, d);
    step_text_put(l, "|");
    step_text_running(l, d);
    step_text_put(l, "|");
    step_text_preempted(l, d);
    step_text_put(l, "|%" PRIu32, n_free);
}

/* A step is all prefill or all decode. */
static void nano_line(step_text *l, const step_driver *d, uint32_t n_free) {
    step_text_put(l, "P|");
    size_t begin = l->n;
    step_text_prefills(l, d);
    if (l->n == begin) {
        l->text[begin - 2] = 'D';
        step_text_scheduled(l, d);
    }
    step_text_put(l, "|");
    step_text_waiting(l, d);
    step_text_put(l, "|");
    step_text_running(l, d);
    step_text_put(l, "|%" PRIu32, n_free);
}

void fingerprint_line(step_text *l, const step_driver *d, uint32_t n_free) {
    if (d->scheduler->memory == &vllm_v1_memory)
        v1_line(l, d, n_free);
    else if (d->scheduler->memory == &nano_vllm_memory)
        nano_line(l, d, n_free);
    else
        v0_line(l, d, n_free);
}

static uint64_t fnv1a(uint64_t hash, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash;
}

static status configure(scheduler_config *out, const fingerprint_case *c, errbuf *err) {
    *out = scheduler_config_defaults();
    TRY(policy_parse(&out->policy, c->policy, err));
    out->block_tokens = 4;
    /* 40 usable blocks: vLLM V1 keeps one for itself. */
    out->n_device_blocks = out->policy.row->memory == &vllm_v1_memory ? 41 : 40;
    out->n_host_blocks = 64;
    out->max_seqs = 12;
    out->max_model_len = 128;
    out->max_batched_tokens = c->budget;
    return ST_OK;
}

static void add_arrivals(step_driver *d, const fingerprint_case *c, const workload_item *items,
                         int *n_added, uint32_t step) {
    for (; *n_added < N_REQUESTS && items[*n_added].step <= step; ++*n_added) {
        const workload_item *w = &items[*n_added];
        request req = {.id = (uint64_t)*n_added,
                       .arrival_ns = w->step,
                       .n_prompt = w->n_prompt,
                       .n_output_max = w->n_output,
                       .priority = c->priorities ? *n_added * 7 % 3 : 0};
        step_driver_add(d, &req, w->n_output);
    }
}

static status run_step(step_driver *d, step_text *l, uint32_t step, errbuf *err) {
    step_text_init(l, ",");
    step_text_put(l, "%" PRIu32 "|", step);
    if (scheduler_n_unfinished(d->scheduler) == 0) {
        step_text_put(l, "idle");
    } else {
        TRY(step_driver_schedule(d, step, err));
        fingerprint_line(l, d, step_text_n_free_device(d));
        step_driver_complete(d, step);
    }
    return scheduler_check(d->scheduler, err);
}

static void book_line(fingerprint *f, const step_text *l) {
    uint64_t hash = fnv1a(fnv1a(f->hashes[3], l->text, l->n), "\n", 1);
    f->n_steps++;
    if (f->n_steps <= 10) f->hashes[0] = hash;
    if (f->n_steps <= 40) f->hashes[1] = hash;
    if (f->n_steps <= 100) f->hashes[2] = hash;
    f->hashes[3] = hash;
}

static status run_all(fingerprint *out, step_driver *d, const fingerprint_case *c,
                      const workload_item *items, errbuf *err,
                      void (*visit)(const char *line)) {
    static const uint64_t fnv_basis = 0xcbf29ce484222325u;
    *out = (fingerprint){.hashes = {fnv_basis, fnv_basis, fnv_basis, fnv_basis}};
    int n_added = 0;
    step_text l;
    while (n_added < N_REQUESTS || scheduler_n_unfinished(d->scheduler) > 0) {
        if (out->n_steps == N_STEPS_MAX)
            return fail(err, ST_STUCK, "case %s does not end within %d steps", c->name,
                        N_STEPS_MAX);
        add_arrivals(d, c, items, &n_added, out->n_steps);
        errbuf why = {0};
        status st = run_step(d, &l, out->n_steps, &why);
        if (st != ST_OK)
            return fail(err, st, "step %" PRIu32 ": %.400s", out->n_steps, why.text);
        if (visit) visit(l.text);
        book_line(out, &l);
    }
    return ST_OK;
}

status fingerprint_run(fingerprint *out, const fingerprint_case *c, uint64_t seed, errbuf *err,
                       void (*visit)(const char *line)) {
    scheduler_config config;
    TRY(configure(&config, c, err));
    workload_item items[N_REQUESTS];
    make_workload(items, seed);
    step_driver d;
    step_driver_init(&d, &config);
    status st = run_all(out, &d, c, items, err, visit);
    out->n_preempted = d.n_preempted;
    out->n_out_blocks = d.n_out_blocks;
    out->n_in_blocks = d.n_in_blocks;
    out->n_tokens = d.n_tokens;
    for (int i = 0; i < N_REQUESTS; i++)
        out->n_useful_tokens += items[i].n_prompt + items[i].n_output - 1;
    step_driver_finish(&d);
    return st;
}
