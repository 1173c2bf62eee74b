/* bench_decide.c - how long one decision takes in a steady shortage of memory.
 *
 * Up to 256 sequences run, so many others wait, and each that ends is followed by an arrival;
 * the pool holds a little less than the 256 want. The timed window is scheduler_schedule()
 * alone, in processor time, so that others on the machine do not count; a decision follows upon
 * another as in a simulation, so the caches are warm. The first N_WARM_UP decisions, in which
 * the queue is built up and lengths are learnt, are left out. The mark is a mean of 20 us with
 * 10,000 waiting. Prints CSV.
 *
 * usage: bench_decide [POLICY N_WAITING] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "plain_costs.h"
#include "rng.h"
#include "scheduler_state.h"

enum { N_WARM_UP = 2000, N_TIMED = 4000, N_SEATS = 256, N_BLOCKS = 8000, N_COPIES = 4096 };

static const plain_costs constants = {.latency = {.iteration_s = 5e-3,
                                                  .token_s = 2e-5,
                                                  .kv_token_s = 4e-9,
                                                  .pair_s = 1e-10,
                                                  .byte_s = 2e-11,
                                                  .segment_s = 1e-6,
                                                  .copy_slowdown = 1.2},
                                      .block_bytes = 2e6,
                                      .spread = 0.05};

typedef struct bench {
    scheduler *s;
    int64_t now_ns;
    uint64_t n_added;
    uint32_t *n_output; /* [n_outputs] true lengths by slot */
    uint32_t n_outputs;
    uint64_t copies[N_COPIES]; /* [n_copies] in flight since the latest plan */
    uint32_t n_copies;
    uint64_t n_preempted, n_running, n_ended;
} bench;

static void must(status st, const errbuf *err) {
    if (st == ST_OK) return;
    fprintf(stderr, "bench_decide: %s\n", err->text);
    exit(EXIT_FAILURE);
}

static uint32_t draw(uint64_t stream, uint64_t i, uint32_t low, uint32_t high) {
    return low + (uint32_t)((high - low) * rng_uniform(1, stream, i));
}

/* Short ones and long ones, as people write; 300 tokens on average. */
static uint32_t draw_length(uint64_t stream, uint64_t i) {
    return draw(stream, i, 0, 4) ? draw(stream + 1, i, 20, 300)
                                 : draw(stream + 1, i, 300, 1200);
}

static void add_request(bench *b) {
    errbuf err = {0};
    uint64_t i = b->n_added++;
    request r = {.id = i,
                 .arrival_ns = b->now_ns,
                 .n_prompt = draw_length(1, i),
                 .n_output_max = 2048,
                 .client = draw(5, i, 0, 16)};
    uint32_t id, n_output = draw_length(3, i);
    must(scheduler_add(b->s, &id, &r), &err);
    if (scheduler_is_oracle(b->s)) scheduler_reveal(b->s, id, n_output);
    if (id >= b->n_outputs) {
        b->n_outputs = 2 * id + 1024;
        b->n_output = realloc(b->n_output, b->n_outputs * sizeof(*b->n_output));
        must(b->n_output ? ST_OK : ST_NO_MEMORY, &err);
    }
    b->n_output[id] = n_output;
}

static double cpu_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

/* Copies end with the iteration after the one beside which they started. */
static void complete_copies(bench *b, const plan *p) {
    for (uint32_t i = 0; i < b->n_copies; i++) scheduler_copy_done(b->s, b->copies[i]);
    b->n_copies = 0;
    errbuf err = {.text = "too many copies at once"};
    for (uint32_t i = 0; i < p->n_copies; i++) {
        if (p->copies[i].ordered) continue;
        must(b->n_copies < N_COPIES ? ST_OK : ST_INVALID, &err);
        b->copies[b->n_copies++] = p->copies[i].id;
    }
}

static bool ends(const bench *b, const plan *p, uint32_t id) {
    const sequence *q = &b->s->table.seqs[id];
    bool samples = q->in_cohort && p->runs_cohort;
    if (!q->in_cohort && q->n_planned > 0)
        samples = q->n_computed + q->n_planned == sequence_len(q);
    return samples && cohort_n_output(&b->s->cohort, q) + 1 >= b->n_output[id];
}

static void complete(bench *b, const plan *p) {
    uint32_t ids[N_SEATS], n_finished = 0;
    for (uint32_t id = b->s->running.first; id != NO_SEQ; id = b->s->table.seqs[id].next)
        if (ends(b, p, id)) ids[n_finished++] = id;
    batch_shape shape = plan_shape(p);
    cost_model truth = plain_cost_model(&constants);
    int64_t end_ns = b->now_ns + (int64_t)(1e9 * truth.iteration((void *)&constants, &shape).s);
    completion c = {.kind = COMPLETION_COMPUTE,
                    .now_ns = end_ns,
                    .start_ns = b->now_ns,
                    .end_ns = &end_ns,
                    .n_iterations = 1,
                    .finished = ids,
                    .n_finished = n_finished};
    complete_copies(b, p);
    b->now_ns = end_ns;
    if (!plan_occupies_compute(p)) return;
    const uint32_t *finished;
    errbuf err = {0};
    must(scheduler_complete(b->s, &finished, &n_finished, &c), &err);
    b->n_ended += n_finished;
    for (uint32_t i = 0; i < n_finished; i++) {
        scheduler_end(b->s, finished[i]);
        add_request(b);
    }
}

/* One iteration; microseconds of its decision. */
static double iterate(bench *b) {
    const plan *p;
    errbuf err = {0};
    double start_us = cpu_us();
    must(scheduler_schedule(b->s, &p, b->now_ns, &err), &err);
    double us = cpu_us() - start_us;
    b->n_preempted += p->n_preempted;
    b->n_running += b->s->running.n;
    complete(b, p);
    return us;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *policy_text, uint32_t n_waiting) {
    static double us[N_TIMED];
    static bench b;
    b = (bench){0};
    errbuf err = {0};
    cost_model costs = plain_cost_model(&constants);
    scheduler_config c = scheduler_config_defaults();
    must(policy_parse(&c.policy, policy_text, &err), &err);
    c.costs = &costs;
    c.n_device_blocks = N_BLOCKS;
    c.n_host_blocks = 2 * N_BLOCKS;
    c.max_seqs = N_SEATS;
    c.horizon_max = 1;
    must(scheduler_create(&b.s, &c, &err), &err);
    for (uint32_t i = 0; i < N_SEATS + n_waiting; i++) add_request(&b);
    for (int i = 0; i < N_WARM_UP; i++) iterate(&b);
    double sum_us = 0;
    b.n_preempted = b.n_running = b.n_ended = 0;
    for (int i = 0; i < N_TIMED; i++) sum_us += us[i] = iterate(&b);
    qsort(us, N_TIMED, sizeof(*us), ascending);
    printf("%s,%u,%.2f,%.2f,%.2f,%.1f,%.3f,%.3f\n", policy_text, n_waiting, sum_us / N_TIMED,
           us[N_TIMED / 2], us[N_TIMED / 100 * 99], (double)b.n_running / N_TIMED,
           (double)b.n_ended / N_TIMED, (double)b.n_preempted / N_TIMED);
    fflush(stdout);
    scheduler_destroy(b.s);
    free(b.n_output);
}

int main(int argc, char **argv) {
    if (argc != 1 && argc != 3) {
        fprintf(stderr, "usage: bench_decide [POLICY N_WAITING]\n");
        return 2;
    }
    static const char *const policies[] = {"adaptive",  "cost-aware",         "srpt-oracle",
                                           "fastserve", "adaptive,order=vtc", "vllm-v1"};
    static const uint32_t n_waiting[] = {1000, 10000, 100000};
    printf("policy,n_waiting,decide_us_mean,decide_us_p50,decide_us_p99,n_running,"
           "ended_per_iteration,preempted_per_iteration\n");
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++)
        for (size_t j = 0; j < sizeof(n_waiting) / sizeof(n_waiting[0]); j++)
            if (argc == 1) measure(policies[i], n_waiting[j]);
    if (argc == 3) measure(argv[1], (uint32_t)strtoul(argv[2], NULL, 10));
    return EXIT_SUCCESS;
}
