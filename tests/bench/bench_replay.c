/* bench_replay.c - how many requests per second of wall time the simulator serves on one core.
 *
 * ShareGPT-like requests on an H200 with Llama-3-8B under vllm-v1, Poisson arrivals at 80 % of
 * the throughput of the same requests all at once. Every figure is computed; no file is
 * written.
 *
 *   execute  run_execute(): requests are generated, scheduled, simulated and booked
 *   whole    the same with run_create() and run_destroy()
 *
 * Without arguments: 10,000 requests, one run to warm up and 5 to measure, with the prefix
 * cache on (the policy's default) and off. With --stream N: one run of N requests, which must
 * stay below 2 GiB of memory. Prints CSV. Exit 0 done, 1 failed, 2 misuse. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "progress.h"
#include "run.h"

enum { N_REQUESTS = 10000, N_REPETITIONS = 5 };

static const double LOAD = 0.8;
static const double MEMORY_LIMIT_MIB = 2048;

typedef struct measurement {
    double execute_s, whole_s;
    run_figures figures;
} measurement;

static status measure(measurement *out, const char *policy_text, const char *arrival,
                      double rate_per_s, uint64_t n, errbuf *err) {
    run_settings s = run_settings_defaults();
    s.trace.workload = "sharegpt";
    s.trace.arrival = arrival;
    s.trace.rate_per_s = rate_per_s;
    s.trace.limit = n;
    s.policy = policy_text;
    s.quiet = true;
    run *r;
    double started_s = monotonic_s();
    TRY(run_create(&r, &s, err));
    double created_s = monotonic_s();
    status st = run_execute(r, err);
    out->execute_s = monotonic_s() - created_s;
    out->figures = *run_get_figures(r);
    run_destroy(r);
    out->whole_s = monotonic_s() - started_s;
    return st;
}

/* Requests per second of simulated time that make the load. */
static status find_rate(double *rate_per_s, const char *policy_text, errbuf *err) {
    measurement m;
    TRY(measure(&m, policy_text, "all-at-once", 0, N_REQUESTS, err));
    *rate_per_s = LOAD * m.figures.value[FIG_request_throughput_per_s];
    return ST_OK;
}

static double peak_mib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024; /* Linux counts in KiB */
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_header(void) {
    printf("policy,n_requests,rate_per_s,load,repetitions,n_iterations,n_preemptions,"
           "execute_requests_per_s_min,execute_requests_per_s_median,"
           "execute_requests_per_s_max,whole_requests_per_s_median,peak_memory_mib\n");
}

/* Runs of one setting, whose times are put in order. */
static status measure_many(const char *policy_text, uint64_t n, int n_repetitions,
                           errbuf *err) {
    double execute_s[N_REPETITIONS], whole_s[N_REPETITIONS], rate_per_s;
    measurement m;
    TRY(find_rate(&rate_per_s, policy_text, err));
    for (int i = 0; i < n_repetitions; i++) {
        TRY(measure(&m, policy_text, NULL, rate_per_s, n, err));
        execute_s[i] = m.execute_s;
        whole_s[i] = m.whole_s;
    }
    qsort(execute_s, (size_t)n_repetitions, sizeof(*execute_s), ascending);
    qsort(whole_s, (size_t)n_repetitions, sizeof(*whole_s), ascending);
    double all = (double)n;
    printf("\"%s\",%.0f,%.2f,%.2f,%d,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.1f\n", policy_text, all,
           rate_per_s, LOAD, n_repetitions, m.figures.value[FIG_n_iterations],
           m.figures.value[FIG_n_preemptions], all / execute_s[n_repetitions - 1],
           all / execute_s[n_repetitions / 2], all / execute_s[0],
           all / whole_s[n_repetitions / 2], peak_mib());
    return ST_OK;
}

static status bench(errbuf *err) {
    measurement warm_up;
    TRY(measure(&warm_up, "vllm-v1", NULL, 1, N_REQUESTS, err));
    print_header();
    TRY(measure_many("vllm-v1", N_REQUESTS, N_REPETITIONS, err));
    return measure_many("vllm-v1,prefix_cache=off", N_REQUESTS, N_REPETITIONS, err);
}

static status stream(uint64_t n, errbuf *err) {
    print_header();
    TRY(measure_many("vllm-v1", n, 1, err));
    if (peak_mib() < MEMORY_LIMIT_MIB) return ST_OK;
    return fail(err, ST_NO_MEMORY, "%.0f MiB of memory were used; %.0f MiB are allowed",
                peak_mib(), MEMORY_LIMIT_MIB);
}

int main(int argc, char **argv) {
    errbuf err = {0};
    char *end = NULL;
    uint64_t n = argc == 3 ? strtoull(argv[2], &end, 10) : 0;
    if (argc != 1 && (argc != 3 || strcmp(argv[1], "--stream") != 0 || *end || n == 0)) {
        fprintf(stderr, "usage: bench_replay [--stream N_REQUESTS]\n");
        return 2;
    }
    status st = n ? stream(n, &err) : bench(&err);
    if (st == ST_OK) return 0;
    fprintf(stderr, "bench_replay: %s\n", err.text);
    return 1;
}
