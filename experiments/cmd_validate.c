#include "cmd_validate.h"

#include <errno.h>
#include <string.h>

#include "commands.h"
#include "device_options.h"
#include "import_names.h"
#include "measured_settings.h"
#include "validate.h"

typedef struct options {
    run_settings run;
    const char *requests, *settings, *timeseries, *json, *points;
    measured_settings server;
    char model[IMPORT_NAME_MAX + 1]; /* as the settings file names it, in our words */
    char policy[64];                 /* as its version and its prefix cache have it */
} options;

#define AT(field) offsetof(options, field)
static const option_row rows[] = {
    {"validate", OPTION_TEXT, AT(requests), OPTION_NO_FLAG},
    {"settings", OPTION_TEXT, AT(settings), OPTION_NO_FLAG},
    {"timeseries", OPTION_TEXT, AT(timeseries), OPTION_NO_FLAG},
    {"json", OPTION_TEXT, AT(json), OPTION_NO_FLAG},
    {"points", OPTION_TEXT, AT(points), OPTION_NO_FLAG},
    {"policy", OPTION_TEXT, AT(run.policy), OPTION_NO_FLAG},
    {"profile", OPTION_TEXT, AT(run.profile), OPTION_NO_FLAG},
    {"host-step-us", OPTION_REAL, AT(run.host_step_us), OPTION_NO_FLAG},
};
enum {
    N_ROWS = sizeof(rows) / sizeof(rows[0]),
    CODE_OWN = 0x100,
    CODE_DEVICE = 0x200,
};

static void print_usage(void) {
    printf(
        "usage: adaptivellm compare --validate REQUESTS --device NAME --profile DB "
        "[OPTION...]\n\n"
        "Replays what a real server was asked under its settings and prints measured\n"
        "against simulated figures. REQUESTS is a .jsonl or .csv of a measured run.\n\n"
        "  --settings FILE          the server's settings (JSON); options below override\n"
        "  --timeseries FILE        its queues over time (CSV: t, running, waiting)\n"
        "  --policy NAME[,key=value...]  vllm-v1 as the server's version has it\n"
        "  --profile DB             samples for measured latency, which is the default then\n"
        "  --host-step-us X         host time of a step beside the samples; 0\n"
        "  --json FILE              {figure: {measured, simulated, error}}; - is standard\n"
        "                           output\n"
        "  --points FILE            for plots/validate.gp\n"
        "%s"
        "  --help                   print this\n",
        device_options_help);
}

/* The versions from which vLLM decides one iteration ahead, and admits with room for the whole
 * prompt only: 0.14 (asynchronous scheduling by default) and 0.19 (full_isl of policy.h). */
enum { VERSION_ASYNC = 14, VERSION_FULL_ISL = 19 };

static const char *policy_of_version(uint32_t version) {
    if (version == 0) return "vllm-v1";
    if (version >= VERSION_FULL_ISL) return "vllm-v1,async=on";
    if (version >= VERSION_ASYNC) return "vllm-v1,full_isl=off,async=on";
    return "vllm-v1,full_isl=off";
}

/* What the server's settings say becomes the default of the options. */
static status take_server(options *o, errbuf *err) {
    const measured_settings *s = &o->server;
    run_settings *r = &o->run;
    TRY(measured_settings_read(&o->server, o->settings, err));
    if (s->model[0]) {
        if (!import_model_name(o->model, s->model))
            return fail(err, ST_FORMAT, "%s: '%s' is no name of a model", o->settings,
                        s->model);
        r->model = o->model;
    }
    if (s->tp) r->tp = s->tp;
    if (s->max_seqs) r->max_seqs = s->max_seqs;
    if (s->max_batched_tokens) r->max_batched_tokens = s->max_batched_tokens;
    if (s->max_model_len) r->max_model_len = s->max_model_len;
    if (s->block_size) r->block_size = s->block_size;
    if (s->kv_blocks && !r->has_kv_gib) {
        r->has_kv_blocks = true;
        r->kv_blocks = s->kv_blocks;
    }
    bool caches = !s->says_prefix_cache || s->prefix_cache;
    snprintf(o->policy, sizeof(o->policy), "%s%s", policy_of_version(s->version),
             caches ? "" : ",prefix_cache=off");
    r->policy = o->policy;
    return ST_OK;
}

static status set_option(options *o, int code, const char *value, errbuf *err) {
    status st;
    if (!option_table_set(&o->run, &st, device_options, N_DEVICE_OPTIONS, CODE_DEVICE, code,
                          value, err) &&
        !option_table_set(o, &st, rows, N_ROWS, CODE_OWN, code, value, err))
        /* getopt has named the option that it does not know */
        return fail(err, ST_INVALID,
                    "`adaptivellm compare --validate --help` lists the options");
    return st;
}

static status parse_over(options *o, int argc, char **argv, errbuf *err) {
    struct option longs[N_DEVICE_OPTIONS + N_ROWS + 1] = {{0}};
    option_table_longs(longs, device_options, N_DEVICE_OPTIONS, CODE_DEVICE);
    option_table_longs(longs + N_DEVICE_OPTIONS, rows, N_ROWS, CODE_OWN);
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;)
        TRY(set_option(o, c, optarg, err));
    if (optind < argc) return fail(err, ST_INVALID, "'%s' is no option", argv[optind]);
    return ST_OK;
}

/* Twice: what is given overrides the settings file, whose name is given, too. */
static status parse_options(options *o, int argc, char **argv, errbuf *err) {
    TRY(parse_over(o, argc, argv, err));
    if (!o->settings) return ST_OK;
    TRY(take_server(o, err));
    return parse_over(o, argc, argv, err);
}

static status write_file(const char *path, const validation *v, const measured_run *m,
                         const measured_series *series, const simulated_run *s, errbuf *err) {
    bool to_terminal = strcmp(path, "-") == 0;
    FILE *out = to_terminal ? stdout : fopen(path, "w");
    if (!out) return fail(err, ST_IO, "%s: cannot be written: %s", path, strerror(errno));
    status st = v ? validation_write_json(out, v, err)
                  : validation_write_points(out, m, series, s, err);
    bool written = fflush(out) == 0 && !ferror(out);
    if (!to_terminal && fclose(out) != 0) written = false;
    if (st != ST_OK || written) return st;
    return fail(err, ST_IO, "%s: cannot be written: %s", path, strerror(errno));
}

static status report(const options *o, const measured_run *m, const measured_series *series,
                     const simulated_run *s, errbuf *err) {
    validation v;
    TRY(validation_make(&v, m, series, s, err));
    if (!o->json || strcmp(o->json, "-") != 0) validation_print(stdout, &v);
    if (o->json) TRY(write_file(o->json, &v, m, series, s, err));
    if (o->points) TRY(write_file(o->points, NULL, m, series, s, err));
    return ST_OK;
}

static status validate(options *o, errbuf *err) {
    measured_run measured = {0};
    measured_series series = {0};
    simulated_run simulated = {0};
    status st = measured_run_read(&measured, o->requests, err);
    if (st == ST_OK && o->timeseries) st = measured_series_read(&series, o->timeseries, err);
    if (st == ST_OK) st = simulated_run_make(&simulated, &measured, &o->run, err);
    if (st == ST_OK) st = report(o, &measured, o->timeseries ? &series : NULL, &simulated, err);
    measured_run_finish(&measured);
    measured_series_finish(&series);
    simulated_run_finish(&simulated);
    return st;
}

/* Is there a word that begins so? */
static bool has_word(int argc, char **argv, const char *beginning) {
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], beginning, strlen(beginning)) == 0) return true;
    return false;
}

bool is_validate(int argc, char **argv) {
    return has_word(argc, argv, "--validate") && !has_word(argc, argv, "--results");
}

int validate_main(int argc, char **argv) {
    if (has_word(argc, argv, "--help")) { /* before --validate takes it for its file */
        print_usage();
        return EXIT_DONE;
    }
    options o = {.run = run_settings_defaults()};
    errbuf err = {0};
    status st = parse_options(&o, argc, argv, &err);
    if (o.run.profile) o.run.latency = "measured";
    if (st == ST_OK) st = validate(&o, &err);
    if (st == ST_OK) return EXIT_DONE;
    fprintf(stderr, "adaptivellm compare: %s\n", err.text);
    return st == ST_INVALID ? EXIT_MISUSE : EXIT_FAILED;
}
