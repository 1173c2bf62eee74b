/* cmd_trace.c - `adaptivellm trace`: describes, makes and converts request streams. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "nearest.h"
#include "trace_cli.h"
#include "trace_reader.h"
#include "trace_report.h"
#include "trace_writer.h"

static const char usage_text[] =
    "usage: adaptivellm trace stat FILE... | --workload NAME   describes requests\n"
    "       adaptivellm trace generate WORKLOAD [OPTION...]    makes requests\n"
    "       adaptivellm trace convert FILE [OPTION...]         writes a trace natively\n"
    "\n"
    "`adaptivellm trace stat --help` and so on explain each.\n";

static const char stat_usage[] =
    "usage: adaptivellm trace stat FILE... [--limit N] [--skip-bad] [--json]\n"
    "       adaptivellm trace stat --workload NAME[,KEY=VALUE...] [OPTION...] [--json]\n"
    "\n"
    "Prints count, clients, duration, lengths, rate and prefix reuse. A file is described as\n"
    "it is, with times out of order and requests without tokens, which `replay` would not\n"
    "take.\n"
    "\n"
    "  --json               prints a JSON array instead, an object for each stream\n"
    "  --help               prints this\n";

static const char generate_usage[] =
    "usage: adaptivellm trace generate NAME[,KEY=VALUE...] [OPTION...]\n"
    "\n"
    "Makes requests and writes them as a native trace. The same seed gives the same bytes.\n"
    "Keys: n (requests, default 1000), rate, arrival (default poisson) with its keys as in\n"
    "--arrival below, clients, priorities, prompt_mean, output_mean; of `fixed` prompt and\n"
    "output instead of the means.\n"
    "clients=N: requests come from clients 0 to N - 1, client i with a weight of 1 / (i + 1);\n"
    "lengths and times stay as they are with one client. Workloads:\n"
    "\n";

static const char convert_usage[] =
    "usage: adaptivellm trace convert FILE [OPTION...]\n"
    "\n"
    "Writes the requests of a trace of any known format as a native trace, the times counted\n"
    "from the first request.\n"
    "\n";

static const char writing_usage[] =
    "  --output FILE        where to (default: standard output); .gz at the end compresses\n"
    "  --format csv|jsonl   default: jsonl when the name of the output says so, otherwise csv\n"
    "  --help               prints this\n";

enum { OPTION_JSON = 1, OPTION_OUTPUT, OPTION_FORMAT };

typedef struct options {
    const char *command; /* stat, generate, convert */
    trace_options trace;
    bool json, help;
    const char *output, *format; /* NULL: not given */
    int n_names;
    char **names; /* [n_names] what is no option */
} options;

static int misuse(const options *o, const char *text) {
    fprintf(stderr, "adaptivellm trace %s: %s; `adaptivellm trace %s --help` explains\n",
            o->command, text, o->command);
    return EXIT_MISUSE;
}

/* A wrong option or name is misuse, all else a failure. */
static int failed(const options *o, status st, const errbuf *err) {
    fprintf(stderr, "adaptivellm trace %s: %s\n", o->command,
            err->text[0] ? err->text : status_text(st));
    return st == ST_INVALID ? EXIT_MISUSE : EXIT_FAILED;
}

static int parse(options *o, const struct option *longs, int argc, char **argv) {
    for (int option; (option = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        errbuf err = {0};
        if (trace_cli_knows(option)) {
            status st = trace_cli_set(&o->trace, option, optarg, &err);
            if (st != ST_OK) return failed(o, st, &err);
        } else if (option == OPTION_JSON)
            o->json = true;
        else if (option == OPTION_OUTPUT)
            o->output = optarg;
        else if (option == OPTION_FORMAT)
            o->format = optarg;
        else if (option == 'h')
            o->help = true;
        else
            return EXIT_MISUSE; /* getopt_long said why */
    }
    o->n_names = argc - optind;
    o->names = argv + optind;
    return EXIT_DONE;
}

/* Adds the described stream to the list, or prints it when there is none. */
static status deliver(json_t *list, const trace_report *report, const trace_stat *stat,
                      bool first, errbuf *err) {
    if (list)
        return json_array_append_new(list, trace_report_json(report, stat)) == 0
                   ? ST_OK
                   : fail(err, ST_NO_MEMORY, "%s: out of memory", report->name);
    if (!first) printf("\n");
    trace_report_print(report, stat);
    return ST_OK;
}

static status add_records(trace_stat *stat, trace_reader *reader, uint64_t limit, errbuf *err) {
    trace_record record;
    status st = ST_OK;
    for (uint64_t n = 0; (limit == 0 || n < limit) && st == ST_OK; n++) {
        st = trace_reader_next(reader, &record, err);
        if (st == ST_OK) st = trace_stat_add(stat, &record, err);
    }
    return st == ST_END ? ST_OK : st;
}

static status stat_file(const options *o, const char *path, json_t *list, bool first,
                        errbuf *err) {
    trace_reader_options settings = trace_reader_options_defaults();
    settings.any_order = true;
    settings.allow_empty = true;
    settings.skip_bad = o->trace.skip_bad;
    trace_reader *reader = NULL;
    status st = trace_reader_open(&reader, path, &settings, err);
    if (st != ST_OK) return st;
    trace_stat *stat = NULL;
    st = trace_stat_create(&stat, err);
    if (st == ST_OK) st = add_records(stat, reader, o->trace.limit, err);
    if (st == ST_OK) {
        trace_report report = {path, trace_reader_format(reader),
                               trace_reader_has_arrivals(reader), trace_reader_n_bad(reader),
                               trace_reader_n_failed(reader)};
        st = deliver(list, &report, stat, first, err);
    }
    trace_stat_destroy(stat);
    trace_reader_close(reader);
    return st;
}

static status add_requests(trace_stat *stat, request_source source, errbuf *err) {
    for (;;) {
        request r;
        uint32_t n_output;
        status st = source.next(source.context, &r, &n_output, err);
        if (st != ST_OK) return st == ST_END ? ST_OK : st;
        trace_record record = {.time_ns = r.arrival_ns,
                               .n_prompt = r.n_prompt,
                               .n_output = n_output,
                               .client = r.client};
        st = trace_stat_add(stat, &record, err);
        if (st != ST_OK) return st;
    }
}

static status stat_workload(const options *o, json_t *list, errbuf *err) {
    trace *t = NULL;
    status st = trace_open(&t, &o->trace, err);
    if (st != ST_OK) return st;
    trace_stat *stat = NULL;
    st = trace_stat_create(&stat, err);
    if (st == ST_OK) st = add_requests(stat, trace_requests(t), err);
    if (st == ST_OK) {
        trace_report report = {o->trace.workload, trace_format(t), true, 0, 0};
        st = deliver(list, &report, stat, true, err);
    }
    trace_stat_destroy(stat);
    trace_close(t);
    return st;
}

static status stat_all(const options *o, json_t *list, errbuf *err) {
    if (o->trace.workload) return stat_workload(o, list, err);
    for (int i = 0; i < o->n_names; i++) {
        status st = stat_file(o, o->names[i], list, i == 0, err);
        if (st != ST_OK) return st;
    }
    return ST_OK;
}

static int run_stat(options *o, int argc, char **argv) {
    static const struct option longs[] = {
        {"workload", required_argument, NULL, TRACE_CLI_WORKLOAD},
        TRACE_CLI_LONGS,
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {0}};
    int code = parse(o, longs, argc, argv);
    if (code != EXIT_DONE) return code;
    if (o->help) {
        printf("%s%s", stat_usage, trace_cli_help);
        return EXIT_DONE;
    }
    if ((o->n_names > 0) == (o->trace.workload != NULL))
        return misuse(o, "give trace files, or a --workload");
    if (o->n_names > 0 && (o->trace.rate_per_s > 0 || o->trace.arrival || o->trace.sort))
        return misuse(o, "a file is described as it is, without --rate, --arrival and --sort");
    json_t *list = o->json ? json_array() : NULL;
    errbuf err = {0};
    status st = stat_all(o, list, &err);
    if (st == ST_OK && list) {
        json_dumpf(list, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
        printf("\n");
    }
    json_decref(list);
    return st == ST_OK ? EXIT_DONE : failed(o, st, &err);
}

/* Ends in .jsonl or .jsonl.gz? */
static bool names_jsonl(const char *path) {
    size_t n = strlen(path);
    if (n >= 3 && strcmp(path + n - 3, ".gz") == 0) n -= 3;
    return n >= 6 && strncmp(path + n - 6, ".jsonl", 6) == 0;
}

static status write_requests(trace_writer *writer, request_source source, uint64_t *n,
                             errbuf *err) {
    for (*n = 0;; ++*n) {
        request r;
        uint32_t n_output;
        status st = source.next(source.context, &r, &n_output, err);
        if (st == ST_END) return trace_writer_commit(writer, err);
        if (st == ST_OK) st = trace_writer_add(writer, &r, n_output, err);
        if (st != ST_OK) return st;
    }
}

static int write_trace(const options *o, trace_output_format format) {
    const char *output = o->output ? o->output : "-";
    errbuf err = {0};
    trace *t = NULL;
    trace_writer *writer = NULL;
    uint64_t n = 0;
    status st = trace_open(&t, &o->trace, &err);
    if (st == ST_OK) st = trace_writer_open(&writer, output, format, &err);
    if (st == ST_OK) st = write_requests(writer, trace_requests(t), &n, &err);
    if (st == ST_OK && (o->output || trace_n_bad(t) || trace_n_failed(t)))
        fprintf(stderr,
                "%s: %llu requests; passed over: %llu bad lines, %llu failed requests\n",
                output, (unsigned long long)n, (unsigned long long)trace_n_bad(t),
                (unsigned long long)trace_n_failed(t));
    trace_writer_close(writer);
    trace_close(t);
    return st == ST_OK ? EXIT_DONE : failed(o, st, &err);
}

/* generate and convert differ in what their one name is. */
static int run_write(options *o, bool generate, int argc, char **argv) {
    static const struct option longs[] = {TRACE_CLI_LONGS,
                                          {"output", required_argument, NULL, OPTION_OUTPUT},
                                          {"format", required_argument, NULL, OPTION_FORMAT},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int code = parse(o, longs, argc, argv);
    if (code != EXIT_DONE) return code;
    if (o->help) {
        printf("%s", generate ? generate_usage : convert_usage);
        if (generate) trace_cli_print_workloads();
        printf("%s%s%s", generate ? "\n" : "", writing_usage, trace_cli_help);
        return EXIT_DONE;
    }
    if (o->n_names != 1)
        return misuse(o, generate ? "give one workload" : "give one trace file, or -");
    if (generate)
        o->trace.workload = o->names[0];
    else
        o->trace.file = o->names[0];
    bool jsonl =
        o->format ? strcmp(o->format, "jsonl") == 0 : o->output && names_jsonl(o->output);
    if (o->format && !jsonl && strcmp(o->format, "csv") != 0)
        return misuse(o, "--format is csv or jsonl");
    return write_trace(o, jsonl ? TRACE_OUTPUT_JSONL : TRACE_OUTPUT_CSV);
}

int cmd_trace(int argc, char **argv) {
    static const char *const commands[] = {"stat", "generate", "convert"};
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        printf("%s", usage_text);
        return EXIT_DONE;
    }
    if (argc < 2) {
        fprintf(stderr, "%s", usage_text);
        return EXIT_MISUSE;
    }
    options o = {.command = argv[1], .trace = trace_options_defaults()};
    if (strcmp(argv[1], "stat") == 0) return run_stat(&o, argc - 1, argv + 1);
    if (strcmp(argv[1], "generate") == 0) return run_write(&o, true, argc - 1, argv + 1);
    if (strcmp(argv[1], "convert") == 0) return run_write(&o, false, argc - 1, argv + 1);
    const char *near = nearest_name(argv[1], commands, 3);
    fprintf(stderr, "adaptivellm trace: there is no command '%s'%s%s%s\n%s", argv[1],
            near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "", usage_text);
    return EXIT_MISUSE;
}
