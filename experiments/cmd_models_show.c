/* cmd_models_show.c - `adaptivellm models show`: checks and describes a directory. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd_models.h"
#include "commands.h"
#include "memory_check.h"
#include "model.h"

static const char usage_text[] =
    "usage: adaptivellm models show DIR [OPTION...]\n"
    "\n"
    "Checks a directory of Hugging Face (config.json, *.safetensors) and prints its shape, "
    "its\n"
    "parameters, and the bytes that weights and KV cache take.\n"
    "\n"
    "  --block-size N     tokens of a KV block, default 16\n"
    "  --check-weights    also reads every value: NaN and infinity are errors\n"
    "  --json             prints an object instead\n"
    "  --help             prints this\n";

typedef struct options {
    uint32_t block_tokens;
    bool check_weights, as_json, help;
} options;

static bool parse_block_size(uint32_t *out, const char *text) {
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || n < 1 || n > MODEL_SIZE_MAX) return false;
    *out = (uint32_t)n;
    return true;
}

static bool parse(options *o, int argc, char **argv) {
    static const struct option longs[] = {{"block-size", required_argument, NULL, 'b'},
                                          {"check-weights", no_argument, NULL, 'c'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    for (int code; (code = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        if (code == 'c') o->check_weights = true;
        if (code == 'j') o->as_json = true;
        if (code == 'h') o->help = true;
        if (code == '?') return false; /* getopt_long has said why */
        if (code == 'b' && !parse_block_size(&o->block_tokens, optarg)) {
            fprintf(stderr,
                    "adaptivellm models show: --block-size needs a whole number from 1 to %d, "
                    "not '%s'\n",
                    MODEL_SIZE_MAX, optarg);
            return false;
        }
    }
    if (o->help || argc - optind == 1) return true;
    fprintf(stderr, "adaptivellm models show: give one directory; `adaptivellm models show "
                    "--help` explains\n");
    return false;
}

/* ------------------------------------------------------------ text */

static void print_positions(const model_config *c) {
    static const char *const kinds[] = {"", ", linear scaling", ", llama3 scaling"};
    if (c->learned_positions) {
        printf("learned\n");
        return;
    }
    printf("rotary, base %g%s", c->rope_theta, kinds[c->rope.kind]);
    if (c->rope.kind != ROPE_UNSCALED) printf(" by %g", c->rope.factor);
    printf("\n");
}

static void print_shape(const model_config *c) {
    printf("architecture        %s\n", model_arch_class(c->arch));
    printf("layers              %lu\n", (unsigned long)c->n_layers);
    printf("hidden              %lu\n", (unsigned long)c->hidden);
    printf("heads               %lu, of them KV %lu, each %lu wide\n",
           (unsigned long)c->n_heads, (unsigned long)c->n_kv_heads, (unsigned long)c->head_dim);
    printf("MLP                 %lu, %s\n", (unsigned long)c->n_ffn,
           c->gated_mlp ? "gated" : "not gated");
    printf("vocabulary          %lu, head %s\n", (unsigned long)c->vocab,
           c->tied_embeddings ? "tied to the embedding" : "of its own");
    printf("context             %lu tokens\n", (unsigned long)c->max_model_len);
    printf("positions           ");
    print_positions(c);
}

static void print_line(const char *name, uint64_t n) {
    printf("%-19s %llu\n", name, (unsigned long long)n);
}

static void print_text(const model *m, uint32_t block_tokens) {
    const model_config *c = model_config_of(m);
    uint64_t kv = model_config_kv_bytes(c, sizeof(float)), available = memory_available_bytes();
    print_shape(c);
    print_line("parameters", model_config_n_parameters(c));
    print_line("weight bytes", model_stored_bytes(m));
    print_line("  as float32", model_config_bytes(c, TENSOR_F32));
    if (available != UINT64_MAX) print_line("memory available", available);
    print_line("KV bytes per token", kv);
    printf("KV bytes per block  %llu, of %lu tokens\n", (unsigned long long)kv * block_tokens,
           (unsigned long)block_tokens);
    printf("\nKV bytes: float32, as `--backend cpu` keeps them.\n");
}

/* ------------------------------------------------------------ JSON */

static bool print_json(const model *m, uint32_t block_tokens) {
    const model_config *c = model_config_of(m);
    uint64_t kv = model_config_kv_bytes(c, sizeof(float));
    json_t *all = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I}",
        "architecture", model_arch_class(c->arch), "n_layers", (json_int_t)c->n_layers,
        "hidden", (json_int_t)c->hidden, "n_heads", (json_int_t)c->n_heads, "n_kv_heads",
        (json_int_t)c->n_kv_heads, "head_dim", (json_int_t)c->head_dim, "ffn",
        (json_int_t)c->n_ffn, "vocab", (json_int_t)c->vocab, "max_model_len",
        (json_int_t)c->max_model_len, "tied_embeddings", (int)c->tied_embeddings,
        "n_parameters", (json_int_t)model_config_n_parameters(c), "weight_bytes",
        (json_int_t)model_stored_bytes(m), "kv_bytes_per_token", (json_int_t)kv,
        "kv_bytes_per_block", (json_int_t)(kv * block_tokens), "block_tokens",
        (json_int_t)block_tokens);
    bool written = all && json_dumpf(all, stdout, JSON_INDENT(2)) == 0 && puts("") >= 0;
    json_decref(all);
    return written;
}

int cmd_models_show(int argc, char **argv) {
    options o = {.block_tokens = 16};
    if (!parse(&o, argc, argv)) return EXIT_MISUSE;
    if (o.help) {
        printf("%s", usage_text);
        return EXIT_DONE;
    }
    model *m = NULL;
    errbuf err = {0};
    status st = model_open(&m, argv[optind], o.check_weights, &err);
    if (st == ST_OK && !o.as_json) print_text(m, o.block_tokens);
    if (st == ST_OK && o.as_json && !print_json(m, o.block_tokens))
        st = fail(&err, ST_IO, "out of memory, or standard output is closed");
    model_close(m);
    if (st == ST_OK) return EXIT_DONE;
    fprintf(stderr, "adaptivellm models show: %s\n", err.text[0] ? err.text : status_text(st));
    return EXIT_FAILED;
}
