/* bench_predict.c - how long one prediction takes, and how long the fits take.
 *
 * The timed window of a prediction is one call of fitted_model_iteration() (or _copy) on a
 * batch that differs from the one before; reading the batch is in it, making it is not. The
 * timed window of a fit is fit_make(), cross-validation included. Prints CSV. */
#include <gsl/gsl_errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fitted_model.h"
#include "rng.h"

enum { SAMPLES = 900, BATCHES = 4096, ROUNDS = 200, SMS = 132 };

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t draw(uint64_t stream, uint64_t i, uint32_t low, uint32_t high) {
    return low + (uint32_t)((high - low) * rng_uniform(1, stream, i));
}

static batch_shape random_batch(uint64_t i) {
    batch_shape b = {0};
    uint32_t n_decode = draw(2, i, 0, 200), context = draw(3, i, 16, 4000);
    if (n_decode) batch_shape_add_decodes(&b, n_decode, (uint64_t)n_decode * context, context);
    if (i % 3 || !n_decode)
        batch_shape_add_chunk(&b, draw(4, i, 0, 4000), draw(5, i, 2, 2048), true);
    return b;
}

static double staircase_s(const batch_shape *b) {
    double n = b->n_tokens;
    return 4e-3 + 3e-6 * n + 1e-3 * ceil(40 * ceil(n / 128) / SMS) +
           6e-10 * (double)b->prefill_pairs + 4e-9 * (double)b->decode_kv_tokens;
}

static void make_samples(sample *iterations, sample *copies) {
    for (uint32_t i = 0; i < SAMPLES; i++) {
        iterations[i] = (sample){.op = OP_ITERATION, .tp = 1, .n_repeats = 1};
        iterations[i].batch = random_batch(i);
        iterations[i].seconds =
            staircase_s(&iterations[i].batch) * (1 + 0.005 * rng_normal(1, 6, i));
        uint32_t blocks = draw(7, i, 1, 1024);
        copies[i] = (sample){.op = OP_SWAP_OUT,
                             .tp = 1,
                             .n_repeats = 1,
                             .n_blocks = blocks,
                             .n_segments = draw(8, i, 1, blocks + 1),
                             .bytes = blocks * 2e6};
        copies[i].seconds = 4e-6 + 1e-6 * copies[i].n_segments + copies[i].bytes / 50e9;
    }
}

int main(void) {
    static sample iterations[SAMPLES], copies[SAMPLES];
    static batch_shape batches[BATCHES];
    gsl_set_error_handler_off();
    make_samples(iterations, copies);
    for (uint32_t i = 0; i < BATCHES; i++) batches[i] = random_batch(SAMPLES + i);

    fit fits[2];
    errbuf err = {0};
    double start = now_s();
    if (fit_make(&fits[0], NULL, iterations, SAMPLES, SMS, &err) != ST_OK ||
        fit_make(&fits[1], NULL, copies, SAMPLES, SMS, &err) != ST_OK) {
        fprintf(stderr, "bench_predict: %s\n", err.text);
        return EXIT_FAILURE;
    }
    double fit_s = now_s() - start;
    double held_out = fits[0].quality.held_out.mape;
    fitted_model *m;
    if (fitted_model_create(&m, fits, 2, model_spec_find("llama-3-8b"), &err) != ST_OK) {
        fprintf(stderr, "bench_predict: %s\n", err.text);
        return EXIT_FAILURE;
    }
    double sum = 0, best_iteration = INFINITY, best_copy = INFINITY;
    for (int round = 0; round < ROUNDS;
         round++) { /* the first rounds warm up: the best counts */
        start = now_s();
        for (uint32_t i = 0; i < BATCHES; i++) sum += fitted_model_iteration(m, &batches[i]).s;
        best_iteration = fmin(best_iteration, now_s() - start);
        start = now_s();
        for (uint32_t i = 0; i < BATCHES; i++)
            sum +=
                fitted_model_copy(m, LINK_TO_HOST, 1 + i % 1024, 1 + i % 16, (copy_load){0}).s;
        best_copy = fmin(best_copy, now_s() - start);
    }
    fitted_model_destroy(m);
    printf("fit_s,iteration_held_out_mape,iteration_ns,copy_ns\n%.3f,%.5f,%.1f,%.1f\n", fit_s,
           held_out, 1e9 * best_iteration / BATCHES, 1e9 * best_copy / BATCHES);
    return sum > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
