/* Fits of operations: what they learn, what they refuse, how honest their intervals are. */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <gsl/gsl_errno.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fit.h"
#include "fit_json.h"
#include "fitted_model.h"
#include "import.h"
#include "rng.h"

/* Behind status.h, whose fail() is a macro of cmocka. */
#include <cmocka.h>

enum { N = 300, SMS = 132 };

static uint64_t seed;

/* A staircase as a matrix product has it: waves of 40 tile columns, 128 rows a tile. */
static double staircase_s(double n) {
    return 20e-6 + 1e-9 * n + 30e-6 * ceil(40 * ceil(n / 128) / SMS);
}

static sample layer_sample(uint32_t n_tokens, double seconds) {
    sample s = {.op = OP_LAYER, .tp = 1, .seconds = seconds, .n_repeats = 1};
    strcpy(s.part, "mlp_up_proj");
    s.batch.n_tokens = n_tokens;
    return s;
}

/* Sizes drawn at random, noise of one part in 200. */
static void fill_staircase(sample *samples, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t tokens = 1 + (uint32_t)(4096 * rng_uniform(seed, 1, i));
        double noise = 1 + 0.005 * rng_normal(seed, 2, i);
        samples[i] = layer_sample(tokens, staircase_s(tokens) * noise);
    }
}

static void a_staircase_is_learnt_off_its_samples(void **state) {
    (void)state;
    static sample samples[N];
    fit f;
    errbuf err = {0};
    fill_staircase(samples, N);
    assert_int_equal(fit_make(&f, NULL, samples, N, SMS, &err), ST_OK);
    double sum = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t tokens = 1 + (uint32_t)(4096 * rng_uniform(seed, 3, i));
        sample s = layer_sample(tokens, 1);
        sum += fabs(fit_predict(&f, &s).s / staircase_s(tokens) - 1) / 1000;
    }
    assert_true(sum < 0.01);
    assert_true(f.quality.held_out.mape < 0.015);
    fit_finish(&f);
}

static void intervals_cover_what_they_promise(void **state) {
    (void)state;
    static sample samples[N];
    fit f;
    errbuf err = {0};
    fill_staircase(samples, N);
    assert_int_equal(fit_make(&f, NULL, samples, N, SMS, &err), ST_OK);
    assert_true(f.quality.coverage > 0.85 && f.quality.coverage < 0.95);
    size_t covered = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t tokens = 1 + (uint32_t)(4096 * rng_uniform(seed, 4, i));
        double truth = staircase_s(tokens) * (1 + 0.005 * rng_normal(seed, 5, i));
        sample s = layer_sample(tokens, truth);
        cost c = fit_predict(&f, &s);
        covered += truth >= c.low_s && truth <= c.high_s;
    }
    assert_true(covered > 850);
    fit_finish(&f);
}

static void outside_of_the_samples_it_says_so_and_widens(void **state) {
    (void)state;
    static sample samples[N];
    fit f;
    errbuf err = {0};
    fill_staircase(samples, N);
    assert_int_equal(fit_make(&f, NULL, samples, N, SMS, &err), ST_OK);
    sample inside = layer_sample(2000, 1), outside = layer_sample(20000, 1);
    cost near = fit_predict(&f, &inside), far = fit_predict(&f, &outside);
    assert_true(near.in_range);
    assert_false(far.in_range);
    assert_true(far.high_s / far.s > near.high_s / near.s);
    fit_finish(&f);
}

static void odd_measurements_do_not_bend_the_rest(void **state) {
    (void)state;
    static sample samples[N];
    fit f;
    errbuf err = {0};
    fill_staircase(samples, N);
    for (size_t i = 0; i < N; i += 30) samples[i].seconds *= 3;
    assert_int_equal(fit_make(&f, NULL, samples, N, SMS, &err), ST_OK);
    double sum = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t tokens = 1 + (uint32_t)(4096 * rng_uniform(seed, 3, i));
        sample s = layer_sample(tokens, 1);
        sum += fabs(fit_predict(&f, &s).s / staircase_s(tokens) - 1) / 1000;
    }
    assert_true(sum < 0.03);
    fit_finish(&f);
}

/* Mostly one time, a few forty times shorter, as a loaded machine gives: relative errors of
 * these weigh so much that the best fit may be 0 s somewhere. */
static void samples_without_a_rule_are_refused_or_fitted_finitely(void **state) {
    (void)state;
    enum { FEW = 60, RUNS = 40 };
    uint32_t n_refused = 0;
    for (uint64_t run = 0; run < RUNS; run++) {
        sample samples[FEW];
        for (uint32_t i = 0; i < FEW; i++) {
            bool odd = i % 20 == 0;
            samples[i] = (sample){.op = OP_ITERATION, .tp = 1, .n_repeats = 1};
            if (i % 3 == 0) batch_shape_add_chunk(&samples[i].batch, i, i + 1, true);
            if (i % 3 != 1)
                batch_shape_add_decodes(&samples[i].batch, 1 + i / 8, 4 * i + 20, i + 20);
            if (i % 3 == 1) batch_shape_add_decodes(&samples[i].batch, 1 + i / 4, 9 * i, i);
            samples[i].seconds = (odd ? 4.5e-5 : 1.8e-3) *
                                 (1 + 0.2 * rng_normal(seed + run, 41, i)) *
                                 (1 + 0.01 * samples[i].batch.n_tokens);
        }
        fit f;
        errbuf err = {0};
        status st = fit_make(&f, NULL, samples, FEW, SMS, &err);
        if (st == ST_OK) {
            assert_true(isfinite(f.quality.fitted.mape));
            assert_true(isfinite(f.quality.held_out.mape));
            fit_finish(&f);
            continue;
        }
        assert_int_equal(st, ST_FORMAT);
        assert_non_null(strstr(err.text, "iteration"));
        n_refused++;
    }
    printf("%u of %d refused\n", n_refused, RUNS);
}

static void order_of_the_samples_plays_no_part(void **state) {
    (void)state;
    static sample samples[N], turned[N];
    fit f, g;
    errbuf err = {0};
    fill_staircase(samples, N);
    for (size_t i = 0; i < N; i++) turned[i] = samples[N - 1 - i];
    assert_int_equal(fit_make(&f, NULL, samples, N, SMS, &err), ST_OK);
    assert_int_equal(fit_make(&g, NULL, turned, N, SMS, &err), ST_OK);
    for (uint32_t tokens = 1; tokens < 4096; tokens += 37) {
        sample s = layer_sample(tokens, 1);
        assert_true(fabs(fit_predict(&f, &s).s / fit_predict(&g, &s).s - 1) < 1e-6);
    }
    fit_finish(&f);
    fit_finish(&g);
}

static void a_copy_costs_bytes_pieces_and_what_else_goes_on(void **state) {
    (void)state;
    static sample samples[200];
    fit f;
    errbuf err = {0};
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t blocks = 1 + i * 5 % 512, pieces = 1 + i % blocks;
        bool busy = i % 3 == 0, beside = i % 4 == 0;
        double s = 4e-6 + pieces * 1e-6 + blocks * 2e6 / (busy ? 40e9 : 50e9) +
                   beside * blocks * 2e6 / 500e9;
        samples[i] = (sample){.op = OP_SWAP_OUT,
                              .tp = 1,
                              .n_repeats = 1,
                              .n_blocks = blocks,
                              .n_segments = pieces,
                              .bytes = blocks * 2e6,
                              .other_direction_busy = busy,
                              .compute_busy = beside,
                              .seconds = s};
    }
    assert_int_equal(fit_make(&f, NULL, samples, 200, SMS, &err), ST_OK);
    assert_true(f.quality.held_out.mape < 0.01);
    sample asked = samples[100];
    asked.compute_busy = false;
    double alone_s = fit_predict(&f, &asked).s;
    asked.compute_busy = true;
    assert_true(fabs(fit_predict(&f, &asked).s / alone_s - 1.1) < 0.02);
    assert_true(fabs(f.bytes_per_block - 2e6) < 1);
    fit_finish(&f);
}

/* A fit of a staircase, and its text, to be freed. */
static char *staircase_text(fit *f) {
    static sample samples[N];
    errbuf err = {0};
    char *text;
    fill_staircase(samples, N);
    assert_int_equal(fit_make(f, NULL, samples, N, SMS, &err), ST_OK);
    assert_int_equal(fit_to_json(&text, f, &err), ST_OK);
    return text;
}

/* Takes the bounds of the last two variables out of a stored fit. */
static void forget_later_variables(char *text, const char *bounds) {
    char *at = strstr(text, bounds), *end = at ? strchr(at, ']') : NULL;
    const char last[] = ",null,null";
    const size_t n = sizeof(last) - 1;
    assert_non_null(end);
    assert_memory_equal(end - n, last, n);
    memmove(end - n, end, strlen(end) + 1);
}

static void fits_of_before_a_variable_came_are_read(void **state) {
    (void)state;
    fit f, g;
    errbuf err = {0};
    char *text = staircase_text(&f);
    forget_later_variables(text, "\"low\":[");
    forget_later_variables(text, "\"high\":[");
    assert_int_equal(fit_from_json(&g, text, &err), ST_OK);
    sample s = layer_sample(100, 1);
    s.compute_busy = true;
    cost a = fit_predict(&f, &s), b = fit_predict(&g, &s);
    assert_true(fabs(a.s / b.s - 1) < 1e-9 && b.in_range);
    for (int i = 0; i < 20; i++) { /* this many there never were */
        char *end = strchr(strstr(text, "\"low\":["), ']');
        char *comma = end;
        while (*comma != ',') comma--;
        memmove(comma, end, strlen(end) + 1);
    }
    fit_finish(&g);
    assert_int_equal(fit_from_json(&g, text, &err), ST_FORMAT);
    free(text);
    fit_finish(&f);
}

static void what_is_read_back_predicts_the_same(void **state) {
    (void)state;
    fit f, g;
    errbuf err = {0};
    char *text = staircase_text(&f);
    assert_int_equal(fit_from_json(&g, text, &err), ST_OK);
    for (uint32_t tokens = 1; tokens < 8192; tokens += 61) {
        sample s = layer_sample(tokens, 1);
        cost a = fit_predict(&f, &s), b = fit_predict(&g, &s);
        assert_true(fabs(a.s / b.s - 1) < 1e-9 && fabs(a.high_s / b.high_s - 1) < 1e-9);
        assert_true(a.in_range == b.in_range);
    }
    fit_finish(&g);
    text[strlen(text) / 2] = '\0';
    assert_int_equal(fit_from_json(&g, text, &err), ST_FORMAT);
    assert_int_equal(fit_from_json(&g, "{}", &err), ST_FORMAT);
    free(text);
    fit_finish(&f);
}

static void bad_samples_are_refused_by_name(void **state) {
    (void)state;
    static sample samples[N];
    fit f;
    errbuf err = {0};
    for (size_t i = 0; i < N; i++) samples[i] = layer_sample(64, 1e-3);
    assert_int_equal(fit_make(&f, NULL, samples, N, SMS, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "mlp_up_proj"));
    assert_non_null(strstr(err.text, "measure more"));
    fill_staircase(samples, N);
    samples[1] = samples[0];
    samples[1].seconds *= 12;
    assert_int_equal(fit_make(&f, NULL, samples, N, SMS, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "mlp_up_proj"));
    fill_staircase(samples, N);
    samples[7].seconds = NAN;
    assert_int_equal(fit_make(&f, NULL, samples, N, SMS, &err), ST_INVALID);
}

/* Fits of a model whose layer takes staircase_s and whose decode attention reads contexts. */
static fitted_model *make_model(void) {
    static sample dense[N], decodes[N];
    fit fits[2];
    errbuf err = {0};
    fill_staircase(dense, N);
    for (size_t i = 0; i < N; i++) {
        uint32_t n = 1 + (uint32_t)(255 * rng_uniform(seed, 6, i));
        uint64_t context = 16 + (uint64_t)(4000 * rng_uniform(seed, 7, i));
        sample s = {.op = OP_DECODE_ATTENTION,
                    .tp = 1,
                    .n_repeats = 1,
                    .n_heads = 32,
                    .n_kv_heads = 8,
                    .head_dim = 128};
        batch_shape_add_decodes(&s.batch, n, n * context, context);
        s.seconds = 8e-6 + (double)(n * context) * 2e-9;
        decodes[i] = s;
    }
    assert_int_equal(fit_make(&fits[0], NULL, dense, N, SMS, &err), ST_OK);
    assert_int_equal(fit_make(&fits[1], NULL, decodes, N, SMS, &err), ST_OK);
    fitted_model *m;
    const model_spec *spec = model_spec_find("llama-3-8b");
    assert_int_equal(fitted_model_create(&m, fits, 2, spec, &err), ST_OK);
    return m;
}

static void iterations_are_put_together_from_operators(void **state) {
    (void)state;
    fitted_model *m = make_model();
    batch_shape b = {0};
    batch_shape_add_decodes(&b, 100, 100 * 1000, 1000);
    double truth = 32 * (staircase_s(100) + 8e-6 + 100 * 1000 * 2e-9);
    cost c = fitted_model_iteration(m, &b);
    assert_true(fabs(c.s / truth - 1) < 0.02);
    assert_true(c.low_s < c.s && c.s < c.high_s && c.in_range);
    fitted_model_destroy(m);
}

static void observations_rescale_what_policies_see(void **state) {
    (void)state;
    fitted_model *m = make_model();
    cost_model costs = fitted_model_costs(m);
    batch_shape b = {0};
    batch_shape_add_decodes(&b, 100, 100 * 1000, 1000);
    double before = costs.iteration(costs.context, &b).s;
    for (int i = 0; i < 200; i++) costs.observe_iteration(costs.context, &b, 1.2 * before);
    assert_true(fabs(costs.iteration(costs.context, &b).s / (1.2 * before) - 1) < 0.02);
    fitted_model_destroy(m);
}

/* One operator of a table; false: the table is not there. */
static size_t read_part(sample *out, size_t n_max, const char *file, const char *part) {
    const char *data = getenv("ADAPTIVELLM_SHARED_DATA");
    char path[1024];
    snprintf(path, sizeof(path), "%s/profiles/%s", data ? data : "../shared/data", file);
    if (access(path, R_OK) != 0) return 0;
    imported all;
    import_options options = {.tp = 0};
    errbuf err = {0};
    char *files[] = {path};
    assert_int_equal(profile_read_format(&all, "vidur", files, 1, &options, &err), ST_OK);
    size_t n = 0;
    for (size_t g = 0; g < all.n_groups; g++)
        for (size_t i = 0; all.groups[g].tp == 1 && i < all.groups[g].n && n < n_max; i++)
            if (strcmp(all.groups[g].samples[i].part, part) == 0)
                out[n++] = all.groups[g].samples[i];
    imported_finish(&all);
    return n;
}

static void measured_matrix_products_are_held_out_under_two_percent(void **state) {
    (void)state;
    static sample samples[2000];
    static const char *const files[] = {"vidur/h100/llama-2-7b_mlp.csv",
                                        "vidur/a100/llama-3-8b_mlp.csv"};
    for (size_t i = 0; i < 2; i++) {
        fit f;
        errbuf err = {0};
        size_t n = read_part(samples, 2000, files[i], "mlp_up_proj");
        if (n == 0) {
            print_message("%s is not there: skipped\n", files[i]);
            skip();
        }
        assert_int_equal(fit_make(&f, NULL, samples, n, i == 0 ? 132 : 108, &err), ST_OK);
        assert_true(f.quality.held_out.mape < 0.02);
        fit_finish(&f);
    }
}

/* Coefficients of a straight line, fitted again and again to fresh noise: they scatter as much
 * as the covariance of each fit says. */
static void covariance_is_the_scatter_of_the_coefficients(void **state) {
    (void)state;
    enum { FITS = 200, ROWS = 100 };
    const term line[] = {{.form = TERM_PRODUCT, .a = VAR_ONE, .b = VAR_ONE},
                         {.form = TERM_PRODUCT, .a = VAR_TOKENS, .b = VAR_ONE}};
    static double v[ROWS * N_VARIABLES];
    double seconds[ROWS], sum = 0, sum2 = 0, said = 0;
    unsigned fold[ROWS];
    for (uint64_t f = 0; f < FITS; f++) {
        for (uint64_t i = 0; i < ROWS; i++) {
            v[i * N_VARIABLES + VAR_ONE] = 1;
            v[i * N_VARIABLES + VAR_TOKENS] = (double)(i + 1);
            seconds[i] = (1e-3 + 1e-5 * (double)(i + 1)) *
                         (1 + 0.01 * rng_normal(seed, 77, f * ROWS + i));
            fold[i] = (unsigned)(i % 5);
        }
        const fit_rows rows = {v, seconds, fold, ROWS, 5};
        trend t;
        errbuf err = {0};
        assert_int_equal(trend_fit(&t, line, 2, &rows, &err), ST_OK);
        assert_int_equal(t.n_terms, 2);
        assert_true(t.covariance[1] == t.covariance[2]);
        sum += t.coefficients[1];
        sum2 += t.coefficients[1] * t.coefficients[1];
        said += t.covariance[3] / FITS;
    }
    double seen = sum2 / FITS - sum / FITS * (sum / FITS);
    assert_true(seen > 0.6 * said && seen < 1.6 * said);
}

/* OpenBLAS offers the same symbols; its sums change with the processor and its threads. */
static void fits_use_the_blas_of_gsl(void **state) {
    (void)state;
    void *found = dlsym(RTLD_DEFAULT, "cblas_dscal"); /* as the loader finds it for GSL */
    Dl_info info;
    if (!found || !dladdr(found, &info)) skip(); /* a static program has no choice */
    assert_null(strstr(info.dli_fname, "openblas"));
}

int main(void) {
    gsl_set_error_handler_off();
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 10) : 20240917;
    printf("SEED=%" PRIu64 "\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_staircase_is_learnt_off_its_samples),
        cmocka_unit_test(intervals_cover_what_they_promise),
        cmocka_unit_test(outside_of_the_samples_it_says_so_and_widens),
        cmocka_unit_test(odd_measurements_do_not_bend_the_rest),
        cmocka_unit_test(samples_without_a_rule_are_refused_or_fitted_finitely),
        cmocka_unit_test(order_of_the_samples_plays_no_part),
        cmocka_unit_test(a_copy_costs_bytes_pieces_and_what_else_goes_on),
        cmocka_unit_test(fits_of_before_a_variable_came_are_read),
        cmocka_unit_test(what_is_read_back_predicts_the_same),
        cmocka_unit_test(bad_samples_are_refused_by_name),
        cmocka_unit_test(iterations_are_put_together_from_operators),
        cmocka_unit_test(observations_rescale_what_policies_see),
        cmocka_unit_test(covariance_is_the_scatter_of_the_coefficients),
        cmocka_unit_test(fits_use_the_blas_of_gsl),
        cmocka_unit_test(measured_matrix_products_are_held_out_under_two_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
