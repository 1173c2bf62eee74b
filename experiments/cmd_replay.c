#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "device_options.h"
#include "run.h"
#include "trace_cli.h"

#define AT(field) offsetof(run_settings, field)

static const option_row replay_options[] = {
    {"policy", OPTION_TEXT, AT(policy), OPTION_NO_FLAG},
    {"profile", OPTION_TEXT, AT(profile), OPTION_NO_FLAG},
    {"auto-profile", OPTION_FLAG, AT(auto_profile), OPTION_NO_FLAG},
    {"host-step-us", OPTION_REAL, AT(host_step_us), OPTION_NO_FLAG},
    {"pad-tokens", OPTION_COUNT, AT(pad_tokens), OPTION_NO_FLAG},
    {"no-horizon", OPTION_FLAG, AT(no_horizon), OPTION_NO_FLAG},
    {"eos", OPTION_FLAG, AT(eos), OPTION_NO_FLAG},
    {"temperature", OPTION_REAL, AT(temperature), OPTION_NO_FLAG},
    {"top-k", OPTION_COUNT, AT(top_k), OPTION_NO_FLAG},
    {"top-p", OPTION_REAL, AT(top_p), OPTION_NO_FLAG},
    {"outputs", OPTION_TEXT, AT(outputs), OPTION_NO_FLAG},
    {"step-times", OPTION_TEXT, AT(step_times), OPTION_NO_FLAG},
    {"results", OPTION_TEXT, AT(results), OPTION_NO_FLAG},
    {"results-wait", OPTION_REAL, AT(results_wait_s), OPTION_NO_FLAG},
    {"label", OPTION_TEXT, AT(label), OPTION_NO_FLAG},
    {"json", OPTION_TEXT, AT(json), OPTION_NO_FLAG},
    {"log", OPTION_TEXT, AT(log), OPTION_NO_FLAG},
    {"timeline", OPTION_TEXT, AT(timeline), OPTION_NO_FLAG},
    {"slo", OPTION_TEXT, AT(slo), OPTION_NO_FLAG},
    {"keep-requests", OPTION_COUNT, AT(keep_requests), OPTION_NO_FLAG},
    {"quiet", OPTION_FLAG, AT(quiet), OPTION_NO_FLAG},
};
enum {
    N_REPLAY_OPTIONS = sizeof(replay_options) / sizeof(replay_options[0]),
    CODE_REPLAY = 0x100,
    CODE_DEVICE = 0x200, /* trace_cli.h has its own */
};

static void print_usage(FILE *out) {
    fprintf(
        out,
        "usage: adaptivellm replay --trace FILE | --workload NAME[,key=value...] "
        "[OPTION...]\n\n"
        "Serves a stream of requests under a policy and prints what came of it.\n\n"
        "Requests\n%s%s\n"
        "Device, model and limits\n%s"
        "  --profile DB             fits to predict with, and samples for --latency measured\n"
        "  --auto-profile           where these have no fits for this device, model and tp: "
        "measure\n"
        "                           and fit first, and keep that in --profile DB; without a "
        "DB\n"
        "                           fits are made in memory, the same in every run, and not "
        "kept\n"
        "  --host-step-us X         with measured latency: host time of a step beside the "
        "samples; 0\n\n"
        "Policy\n"
        "  --policy NAME[,key=value...]  vllm-v1 (default); `adaptivellm policies` lists them\n"
        "  --pad-tokens N           fill iterations up to a multiple of N tokens (64) where "
        "the\n"
        "                           predictor says that it pays; 0\n"
        "  --no-horizon             plan every iteration by itself: same log, slower\n\n"
        "Real tokens (--backend cpu); prompts are made up from --seed\n"
        "  --eos                    a request ends at an end-of-sequence token, too\n"
        "  --temperature T, --top-k K, --top-p P   sampling; greedy without\n"
        "  --outputs FILE           token ids, one line per finished request\n"
        "  --step-times FILE        cpu writes when iterations and copies ended; --backend "
        "sim\n"
        "                           with the same options replays that\n\n"
        "Results\n"
        "  --results DB             store the run in this database\n"
        "  --results-wait S         how long to wait at the end for a program that holds it; "
        "60\n"
        "  --label TEXT             name of the run in tables and figures\n"
        "  --json FILE              figures and settings as JSON; - is standard output\n"
        "  --log FILE               one line per iteration\n"
        "  --timeline FILE          trace of the device, opens in Perfetto\n"
        "  --slo NAME=LIMIT,...     limits for SLO attainment: ttft_s, tpot_s, turnaround_s,\n"
        "                           weighted_turnaround\n"
        "  --keep-requests N        rows kept per request in the database; 1000000\n"
        "  --quiet                  no progress bar and no table\n"
        "  --help                   print this\n",
        trace_cli_source_help, trace_cli_help, device_options_help);
}

static status set_option(run_settings *s, int code, const char *value, errbuf *err) {
    status st;
    if (trace_cli_knows(code)) return trace_cli_set(&s->trace, code, value, err);
    if (!option_table_set(s, &st, device_options, N_DEVICE_OPTIONS, CODE_DEVICE, code, value,
                          err) &&
        !option_table_set(s, &st, replay_options, N_REPLAY_OPTIONS, CODE_REPLAY, code, value,
                          err))
        /* getopt has named the option that it does not know */
        return fail(err, ST_INVALID, "`adaptivellm replay --help` lists the options");
    return st;
}

/* Reads argv into s. *help: --help was given. */
static status parse_options(run_settings *s, bool *help, int argc, char **argv, errbuf *err) {
    const struct option others[] = {
        TRACE_CLI_SOURCE_LONGS, TRACE_CLI_LONGS, {"help", no_argument, NULL, 'h'}, {0}};
    struct option
        longs[N_DEVICE_OPTIONS + N_REPLAY_OPTIONS + sizeof(others) / sizeof(others[0])];
    option_table_longs(longs, device_options, N_DEVICE_OPTIONS, CODE_DEVICE);
    option_table_longs(longs + N_DEVICE_OPTIONS, replay_options, N_REPLAY_OPTIONS, CODE_REPLAY);
    memcpy(longs + N_DEVICE_OPTIONS + N_REPLAY_OPTIONS, others, sizeof(others));
    *help = false;
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        *help = c == 'h';
        if (*help) return ST_OK;
        TRY(set_option(s, c, optarg, err));
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
                                        FIG_n_written_back_blocks,
                                        FIG_recomputed_tokens,
                                        FIG_prefix_hit_tokens,
                                        FIG_stall_swap_s,
                                        FIG_stall_recompute_s,
                                        FIG_kv_utilization_mean,
                                        FIG_compute_busy_fraction,
                                        FIG_copy_busy_fraction,
                                        FIG_n_iterations,
                                        FIG_predictor_mape_iteration,
                                        FIG_predictor_mape_swap,
                                        FIG_predictor_mape_recompute,
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

/* What was asked for and not served. */
static void print_missing(const run *r) {
    const cut_outputs *cut = run_get_cut(r);
    double n_rejected = run_get_figures(r)->value[FIG_n_rejected];
    if (n_rejected > 0)
        printf(
            "\n  %.0f requests were rejected: their prompts leave no room within the %u tokens "
            "of --max-model-len\n",
            n_rejected, run_max_model_len(r));
    if (cut->n_requests > 0)
        printf(
            "\n  %llu outputs were cut, by %llu tokens in all: a request ends at the %u tokens "
            "of --max-model-len,\n  by default what both the model and the KV pool hold\n",
            (unsigned long long)cut->n_requests, (unsigned long long)cut->n_tokens,
            run_max_model_len(r));
}

static void print_belief(const belief *b) {
    uint32_t n;
    uint64_t n_all;
    const noticed_drift *drifts = belief_drifts(b, &n, &n_all);
    printf("\n  predictor off by more than 2 %% (mean of %d): %llu iterations; drifts noticed: "
           "%llu\n",
           BELIEF_WINDOW, (unsigned long long)belief_n_off(b), (unsigned long long)n_all);
    for (uint32_t i = 0; i < n; i++)
        printf("    at %.3f s, iteration %llu: %s take %.3f times what was fitted\n",
               drifts[i].t_s, (unsigned long long)drifts[i].iteration,
               drifts[i].of_copies ? "copies" : "iterations", drifts[i].factor);
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
    if (prints_table(s)) print_missing(r);
    if (prints_table(s) && run_get_belief(r)) print_belief(run_get_belief(r));
    int64_t run_id;
    errbuf store_err = {0};
    status stored = run_store(r, &run_id, st, st == ST_OK ? NULL : err->text, &store_err);
    if (prints_table(s) && run_id)
        printf("\nstored as run %lld in %s\n", (long long)run_id, s->results);
    if (stored != ST_OK) fprintf(stderr, "adaptivellm replay: %s\n", store_err.text);
    return st != ST_OK       ? st
           : stored == ST_OK ? ST_OK
                             : fail(err, stored, "%s",
                                    run_id ? "the run was stored, but not that file"
                                           : "the run was not kept");
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
