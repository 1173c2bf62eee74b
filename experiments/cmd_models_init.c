/* cmd_models_init.c - `adaptivellm models init`: writes a random model. */
#include <stdio.h>
#include <string.h>

#include "cmd_models.h"
#include "commands.h"
#include "model_init.h"
#include "nearest.h"
#include "option_table.h"

static const char usage_text[] =
    "usage: adaptivellm models init ARCH DIR [OPTION...]\n"
    "\n"
    "Writes a model with random weights to a new directory, in the format of Hugging Face\n"
    "(config.json, model.safetensors): normal, scaled by the width of the input, none zero.\n"
    "The same options give the same bytes. ARCH: llama, mistral, qwen2, qwen3 or opt.\n"
    "\n"
    "  --layers N      default 2\n"
    "  --hidden N      width, default 64\n"
    "  --heads N       default 4\n"
    "  --kv-heads N    a divisor of heads, default as many\n"
    "  --head-dim N    default hidden / heads\n"
    "  --ffn N         inner width of the MLP, default 4 * hidden\n"
    "  --vocab N       default 256\n"
    "  --max-len N     tokens of prompt and output together, default 2048\n"
    "  --dtype TYPE    f32, f16 or bf16, default f32\n"
    "  --tied          the head is the token embedding (always with opt)\n"
    "  --seed N        default 1\n"
    "  --help          prints this\n";

typedef struct settings {
    uint32_t n_layers, hidden, n_heads, n_kv_heads, head_dim, n_ffn, vocab, max_len, seed;
    const char *dtype;
    bool tied, help;
} settings;

#define ROW(name, kind, field)                                                                 \
    { name, OPTION_##kind, offsetof(settings, field), OPTION_NO_FLAG }
static const option_row rows[] = {
    ROW("layers", POSITIVE, n_layers),
    ROW("hidden", POSITIVE, hidden),
    ROW("heads", POSITIVE, n_heads),
    ROW("kv-heads", POSITIVE, n_kv_heads),
    ROW("head-dim", POSITIVE, head_dim),
    ROW("ffn", POSITIVE, n_ffn),
    ROW("vocab", POSITIVE, vocab),
    ROW("max-len", POSITIVE, max_len),
    ROW("seed", COUNT, seed),
    ROW("dtype", TEXT, dtype),
    ROW("tied", FLAG, tied),
    ROW("help", FLAG, help),
};
#undef ROW
enum { N_ROWS = sizeof(rows) / sizeof(rows[0]), FIRST_CODE = 256 };

static settings settings_defaults(void) {
    model_init_options o = model_init_defaults(ARCH_LLAMA);
    return (settings){.n_layers = o.n_layers,
                      .hidden = o.hidden,
                      .n_heads = o.n_heads,
                      .vocab = o.vocab,
                      .max_len = o.max_model_len,
                      .dtype = "f32",
                      .seed = (uint32_t)o.seed};
}

static status parse(settings *s, int argc, char **argv, errbuf *err) {
    struct option longs[N_ROWS + 1] = {0};
    option_table_longs(longs, rows, N_ROWS, FIRST_CODE);
    for (int code; (code = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        status st = ST_INVALID; /* where it is no row: getopt_long has said why */
        if (code == 'h') {
            s->help = true;
            continue;
        }
        option_table_set(s, &st, rows, N_ROWS, FIRST_CODE, code, optarg, err);
        if (st != ST_OK) return st;
    }
    return ST_OK;
}

static status find_arch(model_arch *out, const char *name, errbuf *err) {
    if (model_arch_find(out, name)) return ST_OK;
    const char *names[N_MODEL_ARCHS];
    for (int i = 0; i < N_MODEL_ARCHS; i++) names[i] = model_arch_name((model_arch)i);
    char hint[NEAREST_HINT_SIZE];
    return fail(err, ST_INVALID, "there is no architecture '%s'; %s%s", name,
                nearest_hint(hint, name, names, N_MODEL_ARCHS),
                "known are llama, mistral, qwen2, qwen3 and opt");
}

static status find_dtype(tensor_dtype *out, const char *name, errbuf *err) {
    static const char *const names[N_TENSOR_DTYPES] = {"f32", "f16", "bf16"};
    for (int i = 0; i < N_TENSOR_DTYPES; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (tensor_dtype)i;
            return ST_OK;
        }
    return fail(err, ST_INVALID, "--dtype is f32, f16 or bf16, not '%s'", name);
}

static status init(const settings *s, const char *arch, const char *dir, errbuf *err) {
    model_init_options o = {.n_layers = s->n_layers,
                            .hidden = s->hidden,
                            .n_heads = s->n_heads,
                            .vocab = s->vocab,
                            .n_kv_heads = s->n_kv_heads,
                            .head_dim = s->head_dim,
                            .n_ffn = s->n_ffn,
                            .max_model_len = s->max_len,
                            .seed = s->seed};
    TRY(find_arch(&o.arch, arch, err));
    TRY(find_dtype(&o.dtype, s->dtype, err));
    o.tied_embeddings = s->tied || o.arch == ARCH_OPT;
    TRY(model_init_random(dir, &o, err));
    model_config c = {0};
    TRY(model_config_read(&c, dir, err));
    printf("%s: %s, %llu parameters, %llu bytes\n", dir, model_arch_class(c.arch),
           (unsigned long long)model_config_n_parameters(&c),
           (unsigned long long)model_config_bytes(&c, c.dtype));
    return ST_OK;
}

int cmd_models_init(int argc, char **argv) {
    settings s = settings_defaults();
    errbuf err = {0};
    status st = parse(&s, argc, argv, &err);
    if (st == ST_OK && s.help) {
        printf("%s", usage_text);
        return EXIT_DONE;
    }
    if (st == ST_OK && argc - optind != 2)
        st = fail(&err, ST_INVALID,
                  "give an architecture and a directory; `adaptivellm models init --help` "
                  "explains");
    if (st == ST_OK) st = init(&s, argv[optind], argv[optind + 1], &err);
    if (st == ST_OK) return EXIT_DONE;
    if (err.text[0]) fprintf(stderr, "adaptivellm models init: %s\n", err.text);
    return st == ST_INVALID ? EXIT_MISUSE : EXIT_FAILED;
}
