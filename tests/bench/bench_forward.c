/* bench_forward.c - tokens per second of the CPU engine's forward pass on a random model.
 *
 * usage: bench_forward [--threads N] [--dtype F32|F16|BF16] [--keep DIR]
 * The model (a Llama of 12 layers, hidden 768, 12 heads, FFN 3072, vocabulary 8000, tied: 119 M
 * parameters) is written to a temporary directory, or to DIR, which stays. The timed window
 * holds forward_run alone, sampling excluded; the best of 5 after a warm-up. Prefill: one chunk
 * of 512 tokens, logits of the last. Decode: 8 sequences at 512 tokens, logits of each. Prints
 * CSV. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "forward.h"
#include "gemm.h"
#include "model_init.h"

enum { PROMPT = 512, BATCH = 8, BLOCK_TOKENS = 16, N_ROUNDS = 5, VOCAB = 8000 };
enum { BLOCKS_EACH = (PROMPT + N_ROUNDS + 1) / BLOCK_TOKENS + 1 };

typedef struct bench {
    model *m;
    forward *f;
    float *arena, *logits;
    uint32_t tokens[PROMPT], blocks[BATCH][BLOCKS_EACH];
} bench;

static void stop(status st, const errbuf *err) {
    if (st == ST_OK) return;
    fprintf(stderr, "bench_forward: %s: %s\n", status_text(st), err->text);
    exit(1);
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void make_model(bench *b, const char *dir, tensor_dtype dtype) {
    errbuf err = {0};
    model_init_options o = model_init_defaults(ARCH_LLAMA);
    o.n_layers = 12, o.hidden = 768, o.n_heads = 12, o.n_ffn = 3072, o.vocab = VOCAB;
    o.tied_embeddings = true;
    o.dtype = dtype;
    char path[4096];
    snprintf(path, sizeof(path), "%s/config.json", dir);
    if (access(path, F_OK) != 0) stop(model_init_random(dir, &o, &err), &err);
    stop(model_open(&b->m, dir, false, &err), &err);
}

static void prepare(bench *b, uint32_t n_threads, bool deterministic) {
    errbuf err = {0};
    forward_options o = {BLOCK_TOKENS, n_threads, PROMPT, deterministic};
    stop(forward_create(&b->f, b->m, &o, &err), &err);
    size_t n = BATCH * BLOCKS_EACH * forward_block_floats(model_config_of(b->m), BLOCK_TOKENS);
    b->arena = aligned_alloc(64, n * sizeof(float));
    b->logits = malloc((size_t)BATCH * VOCAB * sizeof(float));
    if (!b->arena || !b->logits) stop(ST_NO_MEMORY, &err);
    memset(b->arena, 0, n * sizeof(float));
    for (uint32_t i = 0; i < PROMPT; i++) b->tokens[i] = i * 7919 % VOCAB;
    for (uint32_t i = 0; i < BATCH; i++)
        for (uint32_t j = 0; j < BLOCKS_EACH; j++) b->blocks[i][j] = j * BATCH + i;
}

static double prefill_s(bench *b, uint32_t sequence) {
    token_chunk c = {b->tokens, PROMPT, 0, b->blocks[sequence], true};
    double start = now_s();
    forward_run(b->f, b->arena, &c, 1, b->logits);
    return now_s() - start;
}

static double decode_s(bench *b, uint32_t round) {
    token_chunk c[BATCH];
    for (uint32_t i = 0; i < BATCH; i++)
        c[i] = (token_chunk){b->tokens + i, 1, PROMPT + round, b->blocks[i], true};
    double start = now_s();
    forward_run(b->f, b->arena, c, BATCH, b->logits);
    return now_s() - start;
}

static void measure(bench *b, uint32_t n_threads, const char *dtype, bool deterministic) {
    prepare(b, n_threads, deterministic);
    double prefill = 1e30, decode = 1e30;
    for (uint32_t i = 0; i < BATCH; i++) {
        double s = prefill_s(b, i);
        if (i > 0 && s < prefill) prefill = s;
    }
    for (uint32_t i = 0; i <= N_ROUNDS; i++) {
        double s = decode_s(b, i);
        if (i > 0 && s < decode) decode = s;
    }
    const char *mode = deterministic ? "deterministic" : "default";
    printf("prefill,%s,%s,%u,%.1f\n", mode, dtype, n_threads, PROMPT / prefill);
    printf("decode,%s,%s,%u,%.1f\n", mode, dtype, n_threads, BATCH / decode);
    forward_destroy(b->f);
    free(b->arena);
    free(b->logits);
}

static void remove_model(const char *root, const char *dir) {
    char path[4096];
    const char *names[] = {"config.json", "model.safetensors"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    rmdir(root);
}

int main(int argc, char **argv) {
    const struct option options[] = {{"threads", required_argument, NULL, 't'},
                                     {"dtype", required_argument, NULL, 'd'},
                                     {"keep", required_argument, NULL, 'k'},
                                     {0}};
    uint32_t n_threads = 2;
    tensor_dtype dtype = TENSOR_F32;
    const char *keep = NULL;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == '?') return 2;
        if (c == 't') n_threads = (uint32_t)strtoul(optarg, NULL, 10);
        if (c == 'k') keep = optarg;
        for (int d = 0; c == 'd' && d < N_TENSOR_DTYPES; d++)
            if (!strcmp(optarg, tensor_dtype_name((tensor_dtype)d))) dtype = (tensor_dtype)d;
    }
    char root[] = "/tmp/bench_forward.XXXXXX", dir[64];
    if (!keep && !mkdtemp(root)) return 1;
    snprintf(dir, sizeof(dir), "%s/m", root);
    bench b = {0};
    make_model(&b, keep ? keep : dir, dtype);
    fprintf(stderr, "kernels %s, products of many tokens: %s\n", cpu_kernels_best()->name,
            gemm_provider());
    printf("phase,mode,dtype,n_threads,tokens_per_s\n");
    measure(&b, n_threads, tensor_dtype_name(dtype), false);
    measure(&b, n_threads, tensor_dtype_name(dtype), true);
    model_close(b.m);
    if (!keep) remove_model(root, dir);
    return 0;
}
