#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "run.h"
#include "trace_cli.h"

enum {
    OPT_BACKEND = 0x100,
    OPT_DEVICE,
    OPT_MODEL,
    OPT_POLICY,
    OPT_LATENCY,
    OPT_TP,
    OPT_KV_BLOCKS,
    OPT_KV_GIB,
    OPT_HOST_BLOCKS,
    OPT_HOST_GIB,
    OPT_BLOCK_SIZE,
    OPT_MAX_SEQS,
    OPT_MAX_BATCHED_TOKENS,
    OPT_MAX_MODEL_LEN,
    OPT_NOISE,
    OPT_NO_HORIZON,
    OPT_SLO,
    OPT_LABEL,
    OPT_RESULTS,
    OPT_JSON,
    OPT_LOG,
    OPT_TIMELINE,
    OPT_KEEP_REQUESTS,
    OPT_QUIET,
};

static const struct option options[] = {
    TRACE_CLI_SOURCE_LONGS,
    TRACE_CLI_LONGS,
    {"backend", required_argument, NULL, OPT_BACKEND},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"model", required_argument, NULL, OPT_MODEL},
    {"policy", required_argument, NULL, OPT_POLICY},
    {"latency", required_argument, NULL, OPT_LATENCY},
    {"tp", required_argument, NULL, OPT_TP},
    {"kv-blocks", required_argument, NULL, OPT_KV_BLOCKS},
    {"kv-gib", required_argument, NULL, OPT_KV_GIB},
    {"host-blocks", required_argument, NULL, OPT_HOST_BLOCKS},
    {"host-gib", required_argument, NULL, OPT_HOST_GIB},
    {"block-size", required_argument, NULL, OPT_BLOCK_SIZE},
    {"max-seqs", required_argument, NULL, OPT_MAX_SEQS},
    {"max-batched-tokens", required_argument, NULL, OPT_MAX_BATCHED_TOKENS},
    {"max-model-len", required_argument, NULL, OPT_MAX_MODEL_LEN},
    {"noise", required_argument, NULL, OPT_NOISE},
    {"no-horizon", no_argument, NULL, OPT_NO_HORIZON},
    {"slo", required_argument, NULL, OPT_SLO},
    {"label", required_argument, NULL, OPT_LABEL},
    {"results", required_argument, NULL, OPT_RESULTS},
    {"json", required_argument, NULL, OPT_JSON},
    {"log", required_argument, NULL, OPT_LOG},
    {"timeline", required_argument, NULL, OPT_TIMELINE},
    {"keep-requests", required_argument, NULL, OPT_KEEP_REQUESTS},
    {"quiet", no_argument, NULL, OPT_QUIET},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void print_usage(FILE *out) {
    fprintf(
        out,
        "usage: adaptivellm replay --trace FILE | --workload NAME[,key=value...] "
        "[OPTION...]\n\n"
        "Serves a stream of requests under a policy and prints what came of it.\n\n"
        "Requests\n%s%s\n"
        "Device and model\n"
        "  --backend NAME           sim (default)\n"
        "  --device NAME            h200 (default); `adaptivellm devices` lists them\n"
        "  --model NAME             llama-3-8b (default); `adaptivellm models` lists them\n"
        "  --tp N                   tensor-parallel devices: 1 (default), 2, 4, 8\n"
        "  --latency NAME           analytic (default): times from published limits\n"
        "  --noise S                standard deviation of every time, as a share; 0\n\n"
        "Policy and limits\n"
        "  --policy NAME[,key=value...]  vllm-v1 (default); `adaptivellm policies` lists them\n"
        "  --kv-blocks N, --kv-gib X     KV pool on the device; default 90 %% of its memory\n"
        "                           less the weights\n"
        "  --host-blocks N, --host-gib X  KV pool on the host; 4 GiB per device\n"
        "  --block-size N           tokens per KV block; 16\n"
        "  --max-seqs N             running at once; 256\n"
        "  --max-batched-tokens N   tokens per iteration; 8192\n"
        "  --max-model-len N        tokens per request; the model's, if the pool holds them\n"
        "  --no-horizon             plan every iteration by itself: same result, slower\n\n"
        "Results\n"
        "  --results DB             store the run in this database\n"
        "  --label TEXT             name of the run in tables and figures\n"
        "  --json FILE              figures and settings as JSON; - is standard output\n"
        "  --log FILE               one line per iteration\n"
        "  --timeline FILE          trace of the device, opens in Perfetto\n"
        "  --slo NAME=LIMIT,...     limits for SLO attainment: ttft_s, tpot_s, turnaround_s,\n"
        "                           weighted_turnaround\n"
        "  --keep-requests N        rows kept per request in the database; 1000000\n"
        "  --quiet                  no progress bar and no table\n"
        "  --help                   print this\n",
        trace_cli_source_help, trace_cli_help);
}

static status parse_count(uint32_t *out, const char *name, const char *text, errbuf *err) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || n > UINT32_MAX - 1)
        return fail(err, ST_INVALID, "--%s needs a whole number, not '%s'", name, text);
    *out = (uint32_t)n;
    return ST_OK;
}

static status parse_positive(uint32_t *out, const char *name, const char *text, errbuf *err) {
    TRY(parse_count(out, name, text, err));
    return *out ? ST_OK : fail(err, ST_INVALID, "--%s must be above 0", name);
}

static status parse_real(double *out, const char *name, const char *text, errbuf *err) {
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !(x >= 0 && x < 1e12))
        return fail(err, ST_INVALID, "--%s needs a number of at least 0, not '%s'", name, text);
    *out = x;
    return ST_OK;
}

static status set_option(run_settings *s, int option, const char *name, const char *value,
                         errbuf *err) {
    uint32_t n;
    switch (option) {
    case OPT_BACKEND:
        s->backend = value;
        return ST_OK;
    case OPT_DEVICE:
        s->device = value;
        return ST_OK;
    case OPT_MODEL:
        s->model = value;
        return ST_OK;
    case OPT_POLICY:
        s->policy = value;
        return ST_OK;
    case OPT_LATENCY:
        s->latency = value;
        return ST_OK;
    case OPT_TP:
        return parse_positive(&s->tp, name, value, err);
    case OPT_KV_BLOCKS:
        s->has_kv_blocks = true;
        return parse_count(&s->kv_blocks, name, value, err);
    case OPT_KV_GIB:
        s->has_kv_gib = true;
        return parse_real(&s->kv_gib, name, value, err);
    case OPT_HOST_BLOCKS:
        s->has_host_blocks = true;
        return parse_count(&s->host_blocks, name, value, err);
    case OPT_HOST_GIB:
        s->has_host_gib = true;
        return parse_real(&s->host_gib, name, value, err);
    case OPT_BLOCK_SIZE:
        return parse_positive(&s->block_size, name, value, err);
    case OPT_MAX_SEQS:
        return parse_positive(&s->max_seqs, name, value, err);
    case OPT_MAX_BATCHED_TOKENS:
        return parse_positive(&s->max_batched_tokens, name, value, err);
    case OPT_MAX_MODEL_LEN:
        return parse_positive(&s->max_model_len, name, value, err);
    case OPT_NOISE:
        return parse_real(&s->noise, name, value, err);
    case OPT_NO_HORIZON:
        s->no_horizon = true;
        return ST_OK;
    case OPT_SLO:
        s->slo = value;
        return ST_OK;
    case OPT_LABEL:
        s->label = value;
        return ST_OK;
    case OPT_RESULTS:
        s->results = value;
        return ST_OK;
    case OPT_JSON:
        s->json = value;
        return ST_OK;
    case OPT_LOG:
        s->log = value;
        return ST_OK;
    case OPT_TIMELINE:
        s->timeline = value;
        return ST_OK;
    case OPT_KEEP_REQUESTS:
        TRY(parse_count(&n, name, value, err));
        s->keep_requests = n;
        return ST_OK;
    case OPT_QUIET:
        s->quiet = true;
        return ST_OK;
    default:
        return fail(err, ST_INVALID, "--%s is not an option of replay", name);
    }
}

/* Reads argv into s. *help: --help was given. */
static status parse_options(run_settings *s, bool *help, int argc, char **argv, errbuf *err) {
    *help = false;
    int at = 0;
    for (int c; (c = getopt_long(argc, argv, "h", options, &at)) != -1;) {
        if (c == '?')
            return fail(err, ST_INVALID, "%s", "`adaptivellm replay --help` lists the options");
        if (c == 'h') {
            *help = true;
            return ST_OK;
        }
        if (trace_cli_knows(c))
            TRY(trace_cli_set(&s->trace, c, optarg, err));
        else
            TRY(set_option(s, c, options[at].name, optarg, err));
    }
    if (optind < argc)
        return fail(err, ST_INVALID, "'%s' is no option; a trace is given as --trace %s",
                    argv[optind], argv[optind]);
    if (!s->trace.file && !s->trace.workload)
        return fail(err, ST_INVALID, "say what to replay: --trace FILE or --workload NAME");
    return ST_OK;
}

static void print_scalar(const run_figures *f, figure_id id) {
    if (!f->known[id]) return;
    if (figure_is_whole(id))
        printf("  %-28s %14.0f\n", figure_text(id), f->value[id]);
    else
        printf("  %-28s %14.4g\n", figure_text(id), f->value[id]);
}

static void print_table(const run_figures *f) {
    static const figure_id scalars[] = {FIG_n_finished,
                                        FIG_n_rejected,
                                        FIG_makespan_s,
                                        FIG_request_throughput_per_s,
                                        FIG_output_throughput_tokens_per_s,
                                        FIG_total_throughput_tokens_per_s,
                                        FIG_slo_attainment,
                                        FIG_jain_fairness,
                                        FIG_n_preemptions,
                                        FIG_n_swap_out_blocks,
                                        FIG_n_swap_in_blocks,
                                        FIG_recomputed_tokens,
                                        FIG_prefix_hit_tokens,
                                        FIG_stall_swap_s,
                                        FIG_stall_recompute_s,
                                        FIG_kv_utilization_mean,
                                        FIG_compute_busy_fraction,
                                        FIG_copy_busy_fraction,
                                        FIG_n_iterations,
                                        FIG_sim_wall_s};
    for (size_t i = 0; i < sizeof(scalars) / sizeof(scalars[0]); i++)
        print_scalar(f, scalars[i]);
    static const struct {
        figure_id mean;
        const char *text;
    } rows[] = {
#define X(name, text) {FIG_##name##_mean, text},
        FIGURE_DISTRIBUTIONS(X)
#undef X
    };
    printf("\n  %-28s %10s %10s %10s %10s %10s\n", "", "mean", "p50", "p90", "p99", "max");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!f->known[rows[i].mean]) continue;
        printf("  %-28s", rows[i].text);
        for (int j = 0; j < 5; j++) printf(" %10.4g", f->value[rows[i].mean + j]);
        putchar('\n');
    }
}

/* Figures on JSON's standard output must stay alone there. */
static bool prints_table(const run_settings *s) {
    return !s->quiet && !(s->json && strcmp(s->json, "-") == 0);
}

static status replay(run *r, const run_settings *s, errbuf *err) {
    char text[512];
    run_describe(r, text, sizeof(text));
    if (prints_table(s)) printf("%s\n\n", text);
    fflush(stdout);
    status st = run_execute(r, err);
    if (prints_table(s)) print_table(run_get_figures(r));
    int64_t run_id;
    errbuf store_err = {0};
    status stored = run_store(r, &run_id, st, st == ST_OK ? NULL : err->text, &store_err);
    if (prints_table(s) && run_id)
        printf("\nstored as run %lld in %s\n", (long long)run_id, s->results);
    if (stored != ST_OK) fprintf(stderr, "adaptivellm replay: %s\n", store_err.text);
    return st != ST_OK       ? st
           : stored == ST_OK ? ST_OK
                             : fail(err, stored, "%s", "the run was not kept");
}

int cmd_replay(int argc, char **argv) {
    run_settings s = run_settings_defaults();
    errbuf err = {0};
    bool help;
    run *r = NULL;
    if (parse_options(&s, &help, argc, argv, &err) != ST_OK) {
        fprintf(stderr, "adaptivellm replay: %s\n", err.text);
        return EXIT_MISUSE;
    }
    if (help) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    status st = run_create(&r, &s, &err);
    bool misuse = st == ST_INVALID;
    if (st == ST_OK) st = replay(r, &s, &err);
    run_destroy(r);
    if (st == ST_OK) return EXIT_DONE;
    fprintf(stderr, "adaptivellm replay: %s\n", err.text);
    return misuse ? EXIT_MISUSE : EXIT_FAILED;
}
