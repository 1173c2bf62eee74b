/* vllm_fingerprint.c - drives the scheduler over a small random workload and prints what it
 * decided: FNV-1a hashes over one line per step after 10, 40, 100 steps and all, or the lines.
 *
 * The upstream schedulers were run on the same workload: equal hashes mean equal decisions. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler_state.h"
#include "step_driver.h"

enum { N_REQUESTS = 40, N_STEPS_MAX = 100000 };

static const struct {
    const char *name, *policy;
    uint32_t budget;
    bool priorities;
} cases[] = {
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
};
enum { N_CASES = sizeof(cases) / sizeof(cases[0]) };

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

/* A line under construction. */
typedef struct line {
    char text[8192];
    size_t n;
} line;

/* Appends text; entries of a list are separated, the first one after a bar is not. */
static void put(line *l, const char *separator, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void put(line *l, const char *separator, const char *format, ...) {
    if (l->n > 0 && l->text[l->n - 1] != '|')
        l->n += (size_t)snprintf(l->text + l->n, sizeof(l->text) - l->n, "%s", separator);
    va_list args;
    va_start(args, format);
    l->n += (size_t)vsnprintf(l->text + l->n, sizeof(l->text) - l->n, format, args);
    va_end(args);
    if (l->n >= sizeof(l->text) - 1) abort();
}

static void put_bar(line *l) {
    l->text[l->n++] = '|';
    l->text[l->n] = '\0';
}

static uint64_t request_id(const step_driver *d, uint32_t id) {
    return d->plan->seqs->seqs[id].req.id;
}

static void put_queue(line *l, const step_driver *d, const sequence_list *q) {
    for (uint32_t id = q->first; id != NO_SEQ; id = d->plan->seqs->seqs[id].next)
        put(l, ",", "%" PRIu64, request_id(d, id));
}

static bool swapped_in_now(const step_driver *d, uint32_t id) {
    for (uint32_t i = 0; i < d->plan->n_copies; i++)
        if (d->plan->copies[i].seq == id && d->plan->copies[i].direction == LINK_TO_DEVICE)
            return true;
    return false;
}

static void put_decodes(line *l, const step_driver *d, bool swapped_in) {
    const sequence_table *t = d->plan->seqs;
    uint32_t id = d->scheduler->running.first;
    for (; id != NO_SEQ; id = t->seqs[id].next)
        if (t->seqs[id].decoding && step_driver_tokens(d, id) &&
            swapped_in_now(d, id) == swapped_in)
            put(l, ",", "%" PRIu64, request_id(d, id));
}

static void v0_line(line *l, const step_driver *d) {
    const scheduler *s = d->scheduler;
    uint64_t n_out = 0, n_in = 0;
    for (uint32_t i = 0; i < d->plan->n_copies; i++)
        *(d->plan->copies[i].direction == LINK_TO_HOST ? &n_out : &n_in) +=
            d->plan->copies[i].n_pairs;
    for (uint32_t i = 0; i < d->plan->n_chunks; i++)
        if (!d->plan->seqs->seqs[d->plan->chunks[i].seq].decoding)
            put(l, ",", "%" PRIu64 ":%" PRIu32, request_id(d, d->plan->chunks[i].seq),
                d->plan->chunks[i].n_tokens);
    put_bar(l);
    put_decodes(l, d, false);
    put_decodes(l, d, true);
    put_bar(l);
    put_queue(l, d, &s->waiting);
    put_bar(l);
    put_queue(l, d, &s->running);
    put_bar(l);
    put_queue(l, d, &s->swapped);
    put_bar(l);
    put(l, "", "%" PRIu64 "|%" PRIu64, n_out, n_in);
    put_bar(l);
    put(l, "", "%" PRIu32 "|%" PRIu32, scheduler_n_free_device(s), scheduler_n_free_host(s));
}

static int compare_as_text(const void *a, const void *b) {
    char x[24], y[24];
    snprintf(x, sizeof(x), "%llu", *(const unsigned long long *)a);
    snprintf(y, sizeof(y), "%llu", *(const unsigned long long *)b);
    return strcmp(x, y);
}

static void v1_line(line *l, const step_driver *d) {
    const scheduler *s = d->scheduler;
    uint32_t id = s->running.first;
    for (; id != NO_SEQ; id = d->plan->seqs->seqs[id].next)
        if (step_driver_tokens(d, id))
            put(l, ",", "%" PRIu64 ":%" PRIu32, request_id(d, id), step_driver_tokens(d, id));
    put_bar(l);
    put_queue(l, d, &s->waiting);
    put_bar(l);
    put_queue(l, d, &s->running);
    put_bar(l);
    unsigned long long preempted[N_REQUESTS];
    for (uint32_t i = 0; i < d->plan->n_preempted; i++)
        preempted[i] = request_id(d, d->plan->preempted[i]);
    qsort(preempted, d->plan->n_preempted, sizeof(preempted[0]), compare_as_text);
    for (uint32_t i = 0; i < d->plan->n_preempted; i++) put(l, ",", "%llu", preempted[i]);
    put_bar(l);
    put(l, "", "%" PRIu32, scheduler_n_free_device(s));
}

static uint64_t fnv1a(uint64_t hash, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    return hash;
}

static void run_case(int which, uint64_t seed, bool print_lines) {
    bool v1 = strncmp(cases[which].policy, "vllm-v1", 7) == 0;
    errbuf err = {0};
    scheduler_config config = scheduler_config_defaults();
    config.block_tokens = 4;
    config.n_device_blocks = v1 ? 41 : 40;
    config.n_host_blocks = 64;
    config.max_seqs = 12;
    config.max_model_len = 128;
    config.max_batched_tokens = cases[which].budget;
    if (policy_parse(&config.policy, cases[which].policy, &err) != ST_OK) abort();
    workload_item items[N_REQUESTS];
    make_workload(items, seed);
    step_driver d;
    step_driver_init(&d, &config);
    uint64_t hash = 0xcbf29ce484222325u, at[3] = {0};
    int n_added = 0, step = 0;
    while (n_added < N_REQUESTS || scheduler_n_unfinished(d.scheduler) > 0) {
        for (; n_added < N_REQUESTS && items[n_added].step <= (uint32_t)step; n_added++) {
            request req = {.id = (uint64_t)n_added,
                           .arrival_ns = items[n_added].step,
                           .n_prompt = items[n_added].n_prompt,
                           .n_output_max = items[n_added].n_output,
                           .priority = cases[which].priorities ? n_added * 7 % 3 : 0};
            step_driver_add(&d, &req, items[n_added].n_output);
        }
        line l = {{0}, 0};
        put(&l, "", "%d|", step);
        if (scheduler_n_unfinished(d.scheduler) == 0) {
            put(&l, "", "idle");
        } else {
            if (step_driver_schedule(&d, step, &err) != ST_OK) break;
            if (v1)
                v1_line(&l, &d);
            else
                v0_line(&l, &d);
            step_driver_complete(&d, step);
        }
        if (scheduler_check(d.scheduler, &err) != ST_OK) break;
        if (print_lines) puts(l.text);
        hash = fnv1a(fnv1a(hash, l.text, l.n), "\n", 1);
        if (++step == 10) at[0] = hash;
        if (step == 40) at[1] = hash;
        if (step == 100) at[2] = hash;
        if (step == N_STEPS_MAX) break;
    }
    if (err.text[0]) fprintf(stderr, "step %d: %s\n", step, err.text);
    if (!print_lines)
        printf("%016llx %016llx %016llx %016llx\n", (unsigned long long)at[0],
               (unsigned long long)at[1], (unsigned long long)at[2], (unsigned long long)hash);
    step_driver_finish(&d);
}

static int usage(FILE *out) {
    fprintf(out, "usage: vllm_fingerprint CASE SEED [--lines]\n"
                 "       vllm_fingerprint CASE@v0.5.3.post1 SEED [--lines]\ncases:\n");
    for (int i = 0; i < N_CASES; i++)
        fprintf(out, "  %-5s %s, budget %u\n", cases[i].name, cases[i].policy, cases[i].budget);
    return 2;
}

int main(int argc, char **argv) {
    if (argc < 3) return usage(stderr);
    char name[32];
    snprintf(name, sizeof(name), "%s", argv[1]);
    char *version = strpbrk(name, "@-");
    if (version && strncmp(version + 1, "v0.5.3", 6) == 0) memcpy(version, "053", 4);
    for (int i = 0; i < N_CASES; i++) {
        if (strcmp(cases[i].name, name) != 0) continue;
        run_case(i, strtoull(argv[2], NULL, 10), argc > 3 && strcmp(argv[3], "--lines") == 0);
        return 0;
    }
    fprintf(stderr, "vllm_fingerprint: there is no case '%s'\n", argv[1]);
    return usage(stderr);
}
