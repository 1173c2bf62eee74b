/* decision_regret.c - what wrong predictions cost: swap or recompute, decided and then run.
 *
 * Draws cases of a sequence whose KV is on the host and of the load beside it (restore_case.h),
 * lets the fits of a profile database choose (restore_prediction.h), and runs both ways to
 * their ends on the virtual device (restore_run.h). Half of the cases are near the crossover:
 * the queue on the link is set so that, on a device without noise, the two prices are within 25
 * % of each other. A price is the sum of all finish times beyond that of a run with the KV in
 * place.
 *
 * Regret is the sum over all cases of what the choice costs beyond the better one, as a share
 * of the sum of the better ones: of all finish times, and of prices alone, which leaves out
 * what no choice can change. Prints rows of three tables of Markdown;
 * experiments/decision_regret.sh puts them together. */
#include <gsl/gsl_errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fitted_model.h"
#include "restore_prediction.h"
#include "rng.h"
#include "run_setup.h"

enum { STREAM_NEAR = 71, STREAM_ERROR = 72, STREAM_NOISE = 73, N_RULES = 12 };

static const double NOISE = 0.005, NEAR = 1.25;

/* How to choose: always the same, or after predictions that are wrong by `error`. */
typedef enum error_kind { NO_ERROR, SWAP_CHEAPER, SWAP_DEARER, AT_RANDOM } error_kind;

typedef struct rule {
    restore_kind always; /* N_RESTORE_KINDS: after predictions */
    error_kind kind;
    double error;
} rule;

enum { ALWAYS_SWAP, ALWAYS_RECOMPUTE, PREDICTED, FIRST_WRONG };

static const rule rules[N_RULES] = {
    {RESTORE_SWAP, NO_ERROR, 0},          {RESTORE_RECOMPUTE, NO_ERROR, 0},
    {N_RESTORE_KINDS, NO_ERROR, 0},       {N_RESTORE_KINDS, SWAP_CHEAPER, 0.05},
    {N_RESTORE_KINDS, SWAP_DEARER, 0.05}, {N_RESTORE_KINDS, AT_RANDOM, 0.05},
    {N_RESTORE_KINDS, SWAP_CHEAPER, 0.1}, {N_RESTORE_KINDS, SWAP_DEARER, 0.1},
    {N_RESTORE_KINDS, AT_RANDOM, 0.1},    {N_RESTORE_KINDS, SWAP_CHEAPER, 0.2},
    {N_RESTORE_KINDS, SWAP_DEARER, 0.2},  {N_RESTORE_KINDS, AT_RANDOM, 0.2},
};

/* Of one rule over all cases. */
typedef struct score {
    uint32_t n_wrong[2]; /* anywhere, near the crossover */
    double lost_s[2], worst_share, worst_s;
    double makespan_s, victim_s;
} score;

typedef struct bench {
    const char *device, *model;
    uint64_t seed;
    uint32_t n_cases;
    run_setup setup;
    restore_limits limits;
    fitted_model *fits;
    cost_model costs;
    uint64_t n_drawn;
    uint32_t n[2], n_swap_better;                     /* cases anywhere, near the crossover */
    double total_s, price_s[2], makespan_s, victim_s; /* of the better choices */
    score scores[N_RULES];
} bench;

static virtual_device_config device_of(const bench *b, double noise, uint64_t seed) {
    return (virtual_device_config){.latency = b->setup.latency,
                                   .noise = noise,
                                   .seed = seed,
                                   .block_bytes = (double)b->setup.block_bytes,
                                   .n_layers = b->setup.model->n_layers};
}

/* Sum of finish times without noise. */
static status exact_total(const bench *b, double *total_s, const restore_case *c,
                          restore_kind kind, errbuf *err) {
    virtual_device_config device = device_of(b, 0, 0);
    restore_outcome o;
    TRY(restore_run(&o, c, kind, &device, err));
    *total_s = o.total_s;
    return ST_OK;
}

static bool is_near(double swap_s, double recompute_s) {
    return swap_s > 0 && recompute_s > 0 && swap_s <= NEAR * recompute_s &&
           recompute_s <= NEAR * swap_s;
}

/* The shortest queue with which a swap comes to wanted_s; the longest where none does. */
static status shortest_queue(const bench *b, uint32_t *n_blocks, const restore_case *c,
                             double wanted_s, errbuf *err) {
    restore_case tried = *c;
    uint32_t low = 0, high = RESTORE_QUEUE_MAX;
    while (low < high) {
        double swap_s;
        tried.n_queued_blocks = (low + high) / 2;
        TRY(exact_total(b, &swap_s, &tried, RESTORE_SWAP, err));
        if (swap_s >= wanted_s)
            high = tried.n_queued_blocks;
        else
            low = tried.n_queued_blocks + 1;
    }
    *n_blocks = low;
    return ST_OK;
}

/* Draws a queue from those that bring the case near the crossover; *found is false where no
 * queue does. */
static status bring_near(const bench *b, restore_case *c, bool *found, errbuf *err) {
    double free_s, recompute_s, swap_s;
    uint32_t low, high;
    TRY(exact_total(b, &free_s, c, RESTORE_FREE, err));
    TRY(exact_total(b, &recompute_s, c, RESTORE_RECOMPUTE, err));
    double price_s = recompute_s - free_s;
    TRY(shortest_queue(b, &low, c, free_s + price_s / NEAR, err));
    TRY(shortest_queue(b, &high, c, free_s + price_s * NEAR, err));
    double share = rng_uniform(b->seed, STREAM_NEAR, b->n_drawn);
    c->n_queued_blocks = low + (uint32_t)(share * (high - low));
    TRY(exact_total(b, &swap_s, c, RESTORE_SWAP, err));
    *found = is_near(swap_s - free_s, price_s);
    return ST_OK;
}

static status next_case(bench *b, restore_case *c, bool near, errbuf *err) {
    for (bool found = false; !found; b->n_drawn++) {
        restore_case_draw(c, &b->limits, b->seed, b->n_drawn);
        found = !near;
        if (near) TRY(bring_near(b, c, &found, err));
    }
    return ST_OK;
}

static restore_errors errors_of(const rule *r, uint64_t seed, uint64_t index) {
    double copy = 0, recompute = 0;
    if (r->kind == SWAP_CHEAPER) copy = -1, recompute = 1;
    if (r->kind == SWAP_DEARER) copy = 1, recompute = -1;
    if (r->kind == AT_RANDOM) {
        copy = 2 * rng_uniform(seed, STREAM_ERROR, 2 * index) - 1;
        recompute = 2 * rng_uniform(seed, STREAM_ERROR, 2 * index + 1) - 1;
    }
    return (restore_errors){1 + r->error * copy, 1 + r->error * recompute};
}

static restore_kind choose(const bench *b, const rule *r, const load_forecast *f,
                           const restore_case *c, uint64_t index) {
    if (r->always != N_RESTORE_KINDS) return r->always;
    restore_errors e = errors_of(r, b->seed, index);
    double swap_s = predict_total(f, &b->costs, c, RESTORE_SWAP, e);
    return swap_s <= predict_total(f, &b->costs, c, RESTORE_RECOMPUTE, e) ? RESTORE_SWAP
                                                                          : RESTORE_RECOMPUTE;
}

static void add_score(score *s, const restore_outcome *chosen, const restore_outcome *better,
                      bool near) {
    double lost_s = chosen->total_s - better->total_s;
    s->n_wrong[near] += lost_s > 0;
    s->lost_s[near] += lost_s;
    s->worst_share = fmax(s->worst_share, lost_s / better->total_s);
    s->worst_s = fmax(s->worst_s, lost_s);
    s->makespan_s += chosen->makespan_s;
    s->victim_s += chosen->victim_s;
}

static status judge_case(bench *b, const restore_case *c, uint32_t index, bool near,
                         errbuf *err) {
    virtual_device_config device = device_of(b, NOISE, rng_bits(b->seed, STREAM_NOISE, index));
    restore_outcome o[N_RESTORE_KINDS];
    for (int k = 0; k < N_RESTORE_KINDS; k++)
        TRY(restore_run(&o[k], c, (restore_kind)k, &device, err));
    bool swap_better = o[RESTORE_SWAP].total_s <= o[RESTORE_RECOMPUTE].total_s;
    const restore_outcome *better = &o[swap_better ? RESTORE_SWAP : RESTORE_RECOMPUTE];
    b->n[near]++;
    b->n_swap_better += swap_better;
    b->total_s += better->total_s;
    b->price_s[near] += better->total_s - o[RESTORE_FREE].total_s;
    b->makespan_s += better->makespan_s;
    b->victim_s += better->victim_s;
    load_forecast f;
    load_forecast_init(&f, c->others, c->n_others);
    for (int i = 0; i < N_RULES; i++)
        add_score(&b->scores[i], &o[choose(b, &rules[i], &f, c, index)], better, near);
    return ST_OK;
}

static status judge_all(bench *b, errbuf *err) {
    restore_case c;
    for (uint32_t i = 0; i < b->n_cases; i++) {
        bool near = i % 2 == 1;
        TRY(next_case(b, &c, near, err));
        TRY(judge_case(b, &c, i, near, err));
    }
    return ST_OK;
}

static double percent(double part, double whole) {
    return 100 * part / whole;
}

/* What a rule lost, in percent of all finish times and of the prices. */
static double lost_of_total(const bench *b, int rule_no) {
    const double *lost_s = b->scores[rule_no].lost_s;
    return percent(lost_s[0] + lost_s[1], b->total_s);
}

static double lost_of_prices(const bench *b, int rule_no) {
    const double *lost_s = b->scores[rule_no].lost_s;
    return percent(lost_s[0] + lost_s[1], b->price_s[0] + b->price_s[1]);
}

static void print_losses(const bench *b) {
    const score *p = &b->scores[PREDICTED];
    printf("1 | %s | %s | %.0f | %.2f | %.2f | %.4f | %.3f | %.3f | %.2f | %.1f |", b->device,
           b->model, percent(b->n_swap_better, b->n_cases), percent(p->n_wrong[0], b->n[0]),
           percent(p->n_wrong[1], b->n[1]), lost_of_total(b, PREDICTED),
           lost_of_prices(b, PREDICTED), percent(p->lost_s[1], b->price_s[1]),
           100 * p->worst_share, 1e3 * p->worst_s);
    for (int i = ALWAYS_SWAP; i <= ALWAYS_RECOMPUTE; i++)
        printf(" %.2f | %.1f |", lost_of_total(b, i), lost_of_prices(b, i));
    putchar('\n');
}

static void print_errors(const bench *b) {
    printf("2 | %s | %s |", b->device, b->model);
    for (int i = FIRST_WRONG; i < N_RULES; i++)
        printf(" %.3f (%.2f) |", lost_of_total(b, i), lost_of_prices(b, i));
    putchar('\n');
}

static void print_others(const bench *b) {
    printf("3 | %s | %s |", b->device, b->model);
    for (int i = ALWAYS_SWAP; i <= PREDICTED; i++)
        printf(" %+.3f | %+.3f |", percent(b->scores[i].makespan_s, b->makespan_s) - 100,
               percent(b->scores[i].victim_s, b->victim_s) - 100);
    putchar('\n');
}

static status open_fits(bench *b, const char *profile, errbuf *err) {
    profile_store *store;
    TRY(profile_store_open(&store, profile, DATABASE_READ, err));
    status st = fitted_model_load(&b->fits, store, b->device, b->model, 1, err);
    profile_store_close(store);
    if (st != ST_OK) return st;
    if (!fitted_model_has_iteration(b->fits) || !fitted_model_has_copy(b->fits, LINK_TO_DEVICE))
        return fail(err, ST_NOT_FOUND,
                    "%s: no fit of iterations or of copies to %s: profile it", profile,
                    b->device);
    b->costs = fitted_model_costs(b->fits);
    return ST_OK;
}

static status judge(bench *b, const char *profile, errbuf *err) {
    const scheduler_config *config = &b->setup.config;
    TRY(open_fits(b, profile, err));
    b->limits = (restore_limits){.block_tokens = config->block_tokens,
                                 .max_model_len = config->max_model_len,
                                 .pool_tokens =
                                     (uint64_t)config->n_device_blocks * config->block_tokens};
    TRY(judge_all(b, err));
    print_losses(b);
    print_errors(b);
    print_others(b);
    return ST_OK;
}

static bool read_count(uint64_t *out, const char *text) {
    char *end;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0';
}

int main(int argc, char **argv) {
    gsl_set_error_handler_off();
    uint64_t n_cases, seed;
    if (argc != 6 || !read_count(&n_cases, argv[4]) || !read_count(&seed, argv[5]) ||
        n_cases < 2 || n_cases > 10000000) {
        fprintf(stderr, "usage: decision_regret PROFILE_DB DEVICE MODEL CASES SEED\n"
                        "CASES: 2 to 10000000\n");
        return 2;
    }
    bench b = {.device = argv[2], .model = argv[3], .seed = seed, .n_cases = (uint32_t)n_cases};
    run_settings settings = run_settings_defaults();
    settings.device = b.device;
    settings.model = b.model;
    errbuf err = {0};
    status st = run_setup_init(&b.setup, &settings, &err);
    if (st == ST_OK) {
        st = judge(&b, argv[1], &err);
        fitted_model_destroy(b.fits);
        run_setup_finish(&b.setup);
    }
    if (st != ST_OK) fprintf(stderr, "decision_regret: %s\n", err.text);
    return st == ST_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
