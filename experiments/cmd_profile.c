/* cmd_profile.c - `adaptivellm profile`: measured samples into profiles.db and what is there.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build_commit.h"
#include "commands.h"
#include "import.h"
#include "profile_report.h"
#include "profile_run.h"
#include "profile_store.h"

static const char import_usage[] =
    "usage: adaptivellm profile import FORMAT FILE... --profile DB [OPTION...]\n"
    "\n"
    "Stores the samples of measured tables, plain or .gz. Tables that are stored already are\n"
    "passed over. Formats:\n"
    "\n";

static const char import_options_usage[] =
    "\n"
    "  --profile DB   the database, made when missing\n"
    "  --device NAME  whose tables they are, where neither columns nor the path say so;\n"
    "  --model NAME   where the columns name devices and models, only those rows are taken;\n"
    "  --tp N         tensor-parallel devices, in the same way\n"
    "  --skip-bad     count wrong rows and go on\n"
    "  --quiet        no table\n"
    "  --help         prints this\n";

static const char list_usage[] =
    "usage: adaptivellm profile list --profile DB\n"
    "\n"
    "Prints what is stored: samples by device, model, operation and part, and their fits.\n";

static const char merge_usage[] =
    "usage: adaptivellm profile merge INTO FROM...\n"
    "\n"
    "Adds the profiles of the databases FROM that INTO does not have. Samples that contradict\n"
    "(the same work, times 10x apart) are refused, and then nothing of that file is added.\n"
    "Fits are not merged: run `fit` on the merged samples.\n";

typedef struct options {
    const char *command, *usage;
    const char *profile;
    import_options import;
    bool quiet, help;
    int n_names;
    char **names; /* [n_names] what is no option */
} options;

static int misuse(const options *o, const char *text) {
    fprintf(stderr, "adaptivellm profile %s: %s; `adaptivellm profile %s --help` explains\n",
            o->command, text, o->command);
    return EXIT_MISUSE;
}

/* A wrong option or name is misuse, all else a failure. */
static int failed(const options *o, status st, const errbuf *err) {
    fprintf(stderr, "adaptivellm profile %s: %s\n", o->command,
            err->text[0] ? err->text : status_text(st));
    return st == ST_INVALID ? EXIT_MISUSE : EXIT_FAILED;
}

/* 0: not a whole number from 1 to 1024. */
static uint32_t parse_tp(const char *text) {
    char *end;
    if (*text < '1' || *text > '9') return 0;
    unsigned long value = strtoul(text, &end, 10);
    return *end || value > 1024 ? 0 : (uint32_t)value;
}

static int parse(options *o, const struct option *longs, int argc, char **argv) {
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) switch (c) {
        case 'p':
            o->profile = optarg;
            break;
        case 'd':
            o->import.device = optarg;
            break;
        case 'm':
            o->import.model = optarg;
            break;
        case 't':
            o->import.tp = parse_tp(optarg);
            if (o->import.tp == 0) return misuse(o, "--tp is a whole number from 1 to 1024");
            break;
        case 's':
            o->import.skip_bad = true;
            break;
        case 'q':
            o->quiet = true;
            break;
        case 'h':
            o->help = true;
            break;
        default:
            return EXIT_MISUSE; /* getopt_long said why */
        }
    o->n_names = argc - optind;
    o->names = argv + optind;
    return EXIT_DONE;
}

/* ------------------------------------------------------------ import */

static void print_formats(void) {
    const char *text;
    for (size_t i = 0; import_format(i, &text); i++)
        printf("  %-15s %s\n", import_format(i, &text), text);
}

static status store_groups(profile_store *s, const imported *all, const char *settings,
                           size_t *n_known, errbuf *err) {
    *n_known = 0;
    for (size_t i = 0; i < all->n_groups; i++) {
        const import_group *g = &all->groups[i];
        const profile_info info = {.device = g->device,
                                   .model = g->model[0] ? g->model : NULL,
                                   .tp = g->tp,
                                   .source = g->source,
                                   .commit_hash =
                                       strcmp(BUILD_COMMIT, "unknown") ? BUILD_COMMIT : NULL,
                                   .settings = settings};
        bool added = false;
        TRY(profile_store_add(s, &added, &info, g->samples, g->n, err));
        *n_known += !added;
    }
    return ST_OK;
}

static status store_imported(const options *o, const imported *all, errbuf *err) {
    json_t *settings = json_pack("{s:s}", "format", o->names[0]);
    char *text = settings ? json_dumps(settings, JSON_COMPACT) : NULL;
    json_decref(settings);
    if (!text) return fail(err, ST_NO_MEMORY, "out of memory");
    profile_store *s = NULL;
    size_t n_known = 0;
    status st = profile_store_open(&s, o->profile, DATABASE_CREATE, err);
    if (st == ST_OK) st = store_groups(s, all, text, &n_known, err);
    if (st == ST_OK && !o->quiet)
        printf("%zu profiles stored in %s, %zu were there already\n", all->n_groups - n_known,
               o->profile, n_known);
    profile_store_close(s);
    free(text);
    return st;
}

static int run_import(options *o) {
    if (o->n_names < 2) return misuse(o, "give a format and its files");
    if (!o->profile) return misuse(o, "say where the samples go: --profile DB");
    errbuf err = {0};
    imported all = {0};
    status st = profile_read_format(&all, o->names[0], o->names + 1, (size_t)o->n_names - 1,
                                    &o->import, &err);
    if (st == ST_OK && !o->quiet) profile_report_imported(&all);
    if (st == ST_OK) st = store_imported(o, &all, &err);
    imported_finish(&all);
    return st == ST_OK ? EXIT_DONE : failed(o, st, &err);
}

/* ------------------------------------------------------------ list, merge */

static int run_list(options *o) {
    if (o->n_names > 0) return misuse(o, "takes no argument besides --profile DB");
    if (!o->profile) return misuse(o, "say which database: --profile DB");
    errbuf err = {0};
    profile_store *s = NULL;
    profile_summaries list = {0};
    status st = profile_store_open(&s, o->profile, DATABASE_READ, &err);
    if (st == ST_OK) st = profile_store_list(s, &list, &err);
    if (st == ST_OK) profile_report_list(&list);
    profile_summaries_finish(&list);
    profile_store_close(s);
    return st == ST_OK ? EXIT_DONE : failed(o, st, &err);
}

static status merge_file(profile_store *into, const char *path, errbuf *err) {
    profile_store *from = NULL;
    size_t n_added = 0, n_known = 0;
    TRY(profile_store_open(&from, path, DATABASE_READ, err));
    status st = profile_store_merge(into, &n_added, &n_known, from, err);
    profile_store_close(from);
    if (st == ST_OK)
        printf("%s: %zu profiles added, %zu were there already\n", path, n_added, n_known);
    return st;
}

/* Before the database to merge into is made. */
static status check_readable(const char *path, errbuf *err) {
    profile_store *from;
    TRY(profile_store_open(&from, path, DATABASE_READ, err));
    profile_store_close(from);
    return ST_OK;
}

static int run_merge(options *o) {
    if (o->n_names < 2) return misuse(o, "give two databases or more");
    errbuf err = {0};
    profile_store *into = NULL;
    status st = ST_OK;
    for (int i = 1; i < o->n_names && st == ST_OK; i++) st = check_readable(o->names[i], &err);
    if (st == ST_OK) st = profile_store_open(&into, o->names[0], DATABASE_CREATE, &err);
    for (int i = 1; i < o->n_names && st == ST_OK; i++)
        st = merge_file(into, o->names[i], &err);
    profile_store_close(into);
    return st == ST_OK ? EXIT_DONE : failed(o, st, &err);
}

/* ------------------------------------------------------------ dispatch */

#define OPTION_PROFILE                                                                         \
    { "profile", required_argument, NULL, 'p' }
#define OPTION_HELP                                                                            \
    { "help", no_argument, NULL, 'h' }

static const struct option import_longs[] = {OPTION_PROFILE,
                                             {"device", required_argument, NULL, 'd'},
                                             {"model", required_argument, NULL, 'm'},
                                             {"tp", required_argument, NULL, 't'},
                                             {"skip-bad", no_argument, NULL, 's'},
                                             {"quiet", no_argument, NULL, 'q'},
                                             OPTION_HELP,
                                             {0}};
static const struct option list_longs[] = {OPTION_PROFILE, OPTION_HELP, {0}};
static const struct option merge_longs[] = {OPTION_HELP, {0}};

static const struct {
    const char *name, *usage;
    const struct option *longs;
    int (*run)(options *o);
} commands[] = {
    {"import", import_usage, import_longs, run_import},
    {"list", list_usage, list_longs, run_list},
    {"merge", merge_usage, merge_longs, run_merge},
};
enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static int run_command(size_t i, int argc, char **argv) {
    options o = {.command = commands[i].name, .usage = commands[i].usage};
    int code = parse(&o, commands[i].longs, argc, argv);
    if (code != EXIT_DONE) return code;
    if (!o.help) return commands[i].run(&o);
    printf("%s", o.usage);
    if (commands[i].run == run_import) {
        print_formats();
        printf("%s", import_options_usage);
    }
    return EXIT_DONE;
}

/* Without one of the words above, the microbenchmarks run. */
int cmd_profile(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return run_command(i, argc - 1, argv + 1);
    return profile_run_main(argc, argv);
}
