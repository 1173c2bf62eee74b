#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cmd_models.h"
#include "commands.h"
#include "model_spec.h"
#include "nearest.h"

static void print_usage(FILE *out) {
    fprintf(
        out,
        "usage: adaptivellm models [--json]\n"
        "       adaptivellm models show DIR [OPTION...]         describes a directory\n"
        "       adaptivellm models init ARCH DIR [OPTION...]    writes a random model\n\n"
        "Lists the models that can be simulated. Their shapes come from the config.json of\n"
        "the repository named last, on the Hugging Face hub. What `--backend cpu` runs is a\n"
        "directory: `adaptivellm models show --help` and so on explain more.\n\n"
        "  --json   print an array of objects, sizes in bytes and tokens\n"
        "  --help   print this\n");
}

static void print_table(const model_spec *models, size_t n) {
    printf("%-13s %11s %6s %6s %5s %8s %4s %6s %7s %9s %8s  %s\n", "model", "parameters",
           "layers", "hidden", "heads", "KV heads", "dim", "MLP", "vocab", "KiB/token",
           "context", "repository");
    for (size_t i = 0; i < n; i++) {
        const model_spec *m = &models[i];
        printf("%-13s %10.3fB %6u %6u %5u %8u %4u %6u %7u %9.0f %8u  %s\n", m->name,
               (double)model_n_parameters(m) / 1e9, (unsigned)m->n_layers, (unsigned)m->hidden,
               (unsigned)m->n_heads, (unsigned)m->n_kv_heads, (unsigned)m->head_dim,
               (unsigned)m->ffn, (unsigned)m->vocab,
               (double)model_kv_bytes_per_token(m, 1) / 1024, (unsigned)m->max_model_len,
               m->hf_name);
    }
    printf("\nKiB/token: keys and values of one token over all layers, 16 bits each.\n"
           "context: prompt and output together, tokens.\n");
}

static json_t *model_json(const model_spec *m) {
    return json_pack(
        "{s:s, s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:i}", "name", m->name,
        "hf_name", m->hf_name, "n_parameters", (json_int_t)model_n_parameters(m), "n_layers",
        (int)m->n_layers, "hidden", (int)m->hidden, "n_heads", (int)m->n_heads, "n_kv_heads",
        (int)m->n_kv_heads, "head_dim", (int)m->head_dim, "ffn", (int)m->ffn, "vocab",
        (int)m->vocab, "kv_bytes_per_token", (json_int_t)model_kv_bytes_per_token(m, 1),
        "max_model_len", (int)m->max_model_len);
}

static bool print_json(const model_spec *models, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        if (json_array_append_new(list, model_json(&models[i])) != 0) {
            json_decref(list);
            return false;
        }
    bool written = list && json_dumpf(list, stdout, JSON_INDENT(2)) == 0 && puts("") >= 0;
    json_decref(list);
    return written;
}

static int list(int argc, char **argv) {
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool as_json = false;
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (c == 'h') {
            print_usage(stdout);
            return EXIT_DONE;
        }
        if (c != 'j') return EXIT_MISUSE; /* getopt has said why */
        as_json = true;
    }
    if (optind < argc) {
        static const char *const names[] = {"init", "show"};
        char hint[NEAREST_HINT_SIZE];
        fprintf(stderr, "adaptivellm models: there is no command '%s'; %s%s\n", argv[optind],
                nearest_hint(hint, argv[optind], names, 2),
                "`adaptivellm models --help` explains");
        return EXIT_MISUSE;
    }
    size_t n;
    const model_spec *models = model_specs(&n);
    if (!as_json) print_table(models, n);
    if (as_json && !print_json(models, n)) {
        fprintf(stderr, "adaptivellm models: out of memory, or standard output is closed\n");
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

int cmd_models(int argc, char **argv) {
    if (argc >= 2 && strcmp(argv[1], "init") == 0) return cmd_models_init(argc - 1, argv + 1);
    if (argc >= 2 && strcmp(argv[1], "show") == 0) return cmd_models_show(argc - 1, argv + 1);
    return list(argc, argv);
}
