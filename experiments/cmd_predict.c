/* cmd_predict.c - `adaptivellm predict`: one prediction of the stored fits, with its interval.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fitted_model.h"

static const char usage[] =
    "usage: adaptivellm predict --profile DB --device NAME [--model NAME] [OPTION...]\n"
    "\n"
    "Prints what the fits say an iteration or a copy takes, with an interval that covers the\n"
    "truth in 90 % of cases. An iteration is made of chunks and decodes, as often as wanted:\n"
    "\n"
    "  --prefill N[@CACHED]     a chunk of N new tokens behind CACHED ones (0)\n"
    "  --decodes N[@CONTEXT]    N decodes of CONTEXT tokens each, the new one included (1)\n"
    "  --tokens N               the same as --prefill N\n"
    "\n"
    "or a copy is asked for:\n"
    "\n"
    "  --swap-out BLOCKS        KV blocks to the host\n"
    "  --swap-in BLOCKS         KV blocks to the device\n"
    "  --segments N             contiguous pieces (as many as blocks)\n"
    "  --busy                   while the other direction is busy\n"
    "  --beside-compute         while an iteration runs\n"
    "\n"
    "  --profile DB    fits made by `adaptivellm fit`\n"
    "  --device NAME   --model NAME   --tp N (1)   as they were fitted\n"
    "  --help          prints this\n";

typedef struct options {
    const char *profile, *device, *model;
    uint32_t tp, n_blocks, n_segments;
    link_direction direction;
    bool copy, help;
    copy_load load;
    batch_shape batch;
} options;

static int misuse(const char *text) {
    fprintf(stderr, "adaptivellm predict: %s; `adaptivellm predict --help` explains\n", text);
    return EXIT_MISUSE;
}

/* Of all numbers; the messages below have it in words. */
enum { NUMBER_MAX = 1 << 24 };
#define ANY_NUMBER "a whole number from 1 to 16777216"

/* Reads "N" or "N@M"; false: it is neither. */
static bool read_pair(uint32_t *n, uint32_t *m, const char *text) {
    char *end;
    if (text[0] < '0' || text[0] > '9') return false;
    unsigned long long first = strtoull(text, &end, 10), second = *m;
    if (*end == '@') {
        if (end[1] < '0' || end[1] > '9') return false;
        second = strtoull(end + 1, &end, 10);
    }
    if (*end != '\0' || first < 1 || first > NUMBER_MAX || second > NUMBER_MAX) return false;
    *n = (uint32_t)first;
    *m = (uint32_t)second;
    return true;
}

static bool read_number(uint32_t *n, const char *text) {
    uint32_t none = 0;
    return !strchr(text, '@') && read_pair(n, &none, text);
}

/* One option; NULL: taken, else what is wrong. */
static const char *take(options *o, int c) {
    uint32_t n, cached = 0, context = 1;
    switch (c) {
    case 'p':
        o->profile = optarg;
        return NULL;
    case 'd':
        o->device = optarg;
        return NULL;
    case 'm':
        o->model = optarg;
        return NULL;
    case 't':
        return read_number(&o->tp, optarg) ? NULL : "--tp is " ANY_NUMBER;
    case 'n':
    case 'f':
        if (!read_pair(&n, &cached, optarg))
            return "--prefill is N or N@CACHED, N from 1 and CACHED from 0 to 16777216";
        batch_shape_add_chunk(&o->batch, cached, n, true);
        return NULL;
    case 'c':
        if (!read_pair(&n, &context, optarg) || context == 0)
            return "--decodes is N or N@CONTEXT, both from 1 to 16777216";
        batch_shape_add_decodes(&o->batch, n, (uint64_t)n * context, context);
        return NULL;
    case 'o':
    case 'i':
        if (o->copy) return "one copy at a time: --swap-out or --swap-in, once";
        o->copy = true;
        o->direction = c == 'o' ? LINK_TO_HOST : LINK_TO_DEVICE;
        return read_number(&o->n_blocks, optarg) ? NULL
                                                 : "the blocks of a copy are " ANY_NUMBER;
    case 's':
        return read_number(&o->n_segments, optarg) ? NULL : "--segments is " ANY_NUMBER;
    case 'b':
        o->load.other_direction = true;
        return NULL;
    case 'e':
        o->load.compute = true;
        return NULL;
    default:
        o->help = true;
        return NULL;
    }
}

static int read_options(options *o, int argc, char **argv) {
    static const struct option longs[] = {
        {"profile", required_argument, NULL, 'p'}, {"device", required_argument, NULL, 'd'},
        {"model", required_argument, NULL, 'm'},   {"tp", required_argument, NULL, 't'},
        {"tokens", required_argument, NULL, 'n'},  {"prefill", required_argument, NULL, 'f'},
        {"decodes", required_argument, NULL, 'c'}, {"swap-out", required_argument, NULL, 'o'},
        {"swap-in", required_argument, NULL, 'i'}, {"segments", required_argument, NULL, 's'},
        {"busy", no_argument, NULL, 'b'},          {"beside-compute", no_argument, NULL, 'e'},
        {"help", no_argument, NULL, 'h'},          {0}};
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        if (c == '?') return EXIT_MISUSE; /* getopt has said why */
        const char *wrong = take(o, c);
        if (wrong) return misuse(wrong);
    }
    if (o->help) return EXIT_DONE;
    if (optind < argc) return misuse("takes options only");
    if (!o->profile || !o->device) return misuse("--profile and --device are needed");
    if (o->copy == (o->batch.n_tokens > 0))
        return misuse("either --prefill and --decodes, or one copy");
    if (!o->copy && (o->n_segments || o->load.other_direction || o->load.compute))
        return misuse("--segments, --busy and --beside-compute are of a copy");
    if (o->n_segments == 0) o->n_segments = o->n_blocks;
    return EXIT_DONE;
}

static status predict(cost *out, const options *o, errbuf *err) {
    profile_store *store;
    fitted_model *m = NULL;
    TRY(profile_store_open(&store, o->profile, DATABASE_READ, err));
    status st = fitted_model_load(&m, store, o->device, o->model, o->tp, err);
    profile_store_close(store);
    TRY(st);
    if (o->copy && !fitted_model_has_copy(m, o->direction))
        st = fail(err, ST_NOT_FOUND,
                  "no fit of copies of KV blocks in this direction: run `adaptivellm profile` "
                  "and `adaptivellm fit`");
    else if (!o->copy && !fitted_model_has_iteration(m))
        st = fail(err, ST_NOT_FOUND,
                  "no fit of iterations or of the model's layers: name the --model, or run "
                  "`adaptivellm profile` and `adaptivellm fit`");
    else if (o->copy)
        *out = fitted_model_copy(m, o->direction, o->n_blocks, o->n_segments, o->load);
    else
        *out = fitted_model_iteration(m, &o->batch);
    fitted_model_destroy(m);
    return st;
}

int cmd_predict(int argc, char **argv) {
    options o = {.tp = 1};
    int misused = read_options(&o, argc, argv);
    if (misused != EXIT_DONE) return misused;
    if (o.help) {
        fputs(usage, stdout);
        return EXIT_DONE;
    }
    errbuf err = {0};
    cost c;
    if (predict(&c, &o, &err) != ST_OK) {
        fprintf(stderr, "adaptivellm predict: %s\n", err.text);
        return EXIT_FAILED;
    }
    printf("%.6g ms, 90 %% of cases within %.6g to %.6g ms\n", 1e3 * c.s, 1e3 * c.low_s,
           1e3 * c.high_s);
    if (!c.in_range)
        printf(
            "This is outside of what was measured: the interval is widened, measure there.\n");
    return EXIT_DONE;
}
