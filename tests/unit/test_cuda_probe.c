/* test_cuda_probe.c - the probe without a device: its points, repeats, pieces, options, and
 * that the table it writes is the one that is imported. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "probe_copies.h"
#include "probe_gemms.h"
#include "probe_options.h"
#include "probe_repeats.h"
#include "probe_rows.h"
#include "sample_set.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint64_t mib = 1024 * 1024;

static void assert_near(double value, double expected) {
    if (fabs(value - expected) > 1e-9 * fabs(expected)) fail_msg("%g, not %g", value, expected);
}

/* ------------------------------------------------------------ repeats */

static probe_repeats repeats_of(const double *seconds, size_t n) {
    probe_repeats r = {0};
    for (size_t i = 0; i < n; i++) probe_repeats_add(&r, seconds[i]);
    return r;
}

static void test_one_outlier_moves_the_mean_and_not_the_median(void **state) {
    (void)state;
    const double seconds[] = {1, 1, 9, 1, 1, 1, 1};
    probe_repeats r = repeats_of(seconds, 7);
    repeat_summary s = probe_repeats_summary(&r);
    assert_near(s.median_s, 1);
    assert_near(s.mean_s, 15.0 / 7);
    assert_near(s.min_s, 1);
    assert_near(s.deviation_s, sqrt(64.0 / 7)); /* squares: 6 * (8/7)^2 + (48/7)^2 */
    assert_int_equal(s.n_repeats, 7);
    r = repeats_of(seconds + 1, 4);
    assert_near(probe_repeats_summary(&r).median_s, 1);
}

static void test_the_interval_is_that_of_order_statistics(void **state) {
    (void)state;
    /* Of 0 .. n - 1 in any order: [0, n - 1] up to 8 values, [1, 7] of 9, [5, 14] of 20. */
    static const struct {
        uint32_t n;
        double half_width;
    } cases[] = {{6, 2.5}, {8, 3.5}, {9, 3}, {20, 4.5}};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        probe_repeats r = {0};
        for (uint32_t i = 0; i < cases[c].n; i++)
            probe_repeats_add(&r, (i * 7 + 3) % cases[c].n);
        assert_near(probe_repeats_summary(&r).half_width_s, cases[c].half_width);
    }
    const double five[] = {1, 1, 1, 1, 1};
    probe_repeats r = repeats_of(five, 5);
    assert_true(isinf(probe_repeats_summary(&r).half_width_s));
}

static void test_repeats_end_by_precision_number_or_time(void **state) {
    (void)state;
    const repeat_rule rule = {6, 10, 0.01, 1.0};
    const double steady[] = {1, 1.004, 1, 1.002, 1, 1.001},
                 wild[] = {1, 2, 1, 2, 1, 2, 1, 2, 1};
    probe_repeats r = repeats_of(steady, 5);
    assert_false(probe_repeats_enough(&r, &rule, 9)); /* never before n_min */
    probe_repeats_add(&r, steady[5]);
    assert_true(probe_repeats_enough(&r, &rule, 0));
    r = repeats_of(wild, 9);
    assert_false(probe_repeats_enough(&r, &rule, 0.5));
    assert_true(probe_repeats_enough(&r, &rule, 1.0));
    probe_repeats_add(&r, 2);
    assert_true(probe_repeats_enough(&r, &rule, 0.5));
}

/* ------------------------------------------------------------ copies */

static int compare_points(const void *a, const void *b) {
    const copy_point *x = a, *y = b;
    const uint64_t left[] = {x->direction,
                             x->method,
                             x->bytes,
                             x->block_bytes,
                             x->n_segments,
                             x->n_blocks,
                             x->other_direction_busy,
                             x->compute_busy};
    const uint64_t right[] = {y->direction,
                              y->method,
                              y->bytes,
                              y->block_bytes,
                              y->n_segments,
                              y->n_blocks,
                              y->other_direction_busy,
                              y->compute_busy};
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
    return 0;
}

static void check_point(const copy_point *p, uint64_t bytes_max) {
    assert_in_range(p->bytes, 64 * 1024, bytes_max);
    assert_in_range(p->n_segments, 1, 4096);
    assert_int_equal(p->bytes % p->n_segments, 0);
    assert_true(p->bytes / p->n_segments >= 4096);
    assert_true((p->method == COPY_SINGLE) == (p->n_segments == 1));
    assert_int_equal(p->bytes, p->n_blocks ? p->n_blocks * p->block_bytes : p->bytes);
    if (p->n_blocks) assert_int_equal(p->n_blocks % p->n_segments, 0);
    if (p->n_blocks) assert_non_null(copy_block_model(p->block_bytes, 0));
}

static void check_design(bool full, uint64_t bytes_max, size_t n_min, size_t n_max) {
    copy_design d;
    assert_int_equal(copy_design_make(&d, full), ST_OK);
    assert_in_range(d.n, n_min, n_max);
    assert_int_equal(d.bytes_max, bytes_max);
    size_t n_most_pieces = 0, n_both = 0;
    for (size_t i = 0; i < d.n; i++) {
        check_point(&d.points[i], bytes_max);
        n_most_pieces += d.points[i].n_segments == (full ? 4096 : 2048);
        n_both += d.points[i].other_direction_busy && d.points[i].compute_busy;
    }
    assert_true(n_most_pieces > 0 && n_both > 0);
    qsort(d.points, d.n, sizeof(*d.points), compare_points);
    for (size_t i = 1; i < d.n; i++)
        assert_true(compare_points(&d.points[i - 1], &d.points[i]) < 0);
    copy_design_finish(&d);
}

static void test_copy_points_are_different_and_fit_their_pool(void **state) {
    (void)state;
    check_design(true, 1024 * mib, 600, 2000);
    check_design(false, 256 * mib, 150, 700);
}

static void test_blocks_are_those_of_models(void **state) {
    (void)state;
    assert_string_equal(copy_block_model(mib * 7 / 8, 0), "qwen2.5-7b");
    assert_string_equal(copy_block_model(8 * mib, 0), "opt-6.7b");
    assert_string_equal(copy_block_model(8 * mib, 1), "llama-2-7b");
    assert_null(copy_block_model(8 * mib, 2));
    assert_null(copy_block_model(3, 0));
}

static void test_pieces_never_overlap_and_lie_in_other_orders(void **state) {
    (void)state;
    enum { N = 100, SLOTS = 128 };
    copy_piece pieces[N], again[N];
    assert_int_equal(copy_layout_make(pieces, N, 4096, SLOTS * 4096 + 5, 7), ST_OK);
    bool device[SLOTS] = {0}, host[SLOTS] = {0};
    size_t n_joined = 0;
    for (size_t i = 0; i < N; i++) {
        assert_true(pieces[i].device_at % 4096 == 0 && pieces[i].host_at % 4096 == 0);
        assert_in_range(pieces[i].device_at / 4096, 0, SLOTS - 1);
        assert_in_range(pieces[i].host_at / 4096, 0, SLOTS - 1);
        assert_false(device[pieces[i].device_at / 4096]);
        assert_false(host[pieces[i].host_at / 4096]);
        device[pieces[i].device_at / 4096] = host[pieces[i].host_at / 4096] = true;
        n_joined += i > 0 && pieces[i].device_at == pieces[i - 1].device_at + 4096 &&
                    pieces[i].host_at == pieces[i - 1].host_at + 4096;
    }
    assert_int_equal(n_joined, 0);
    assert_int_equal(copy_layout_make(again, N, 4096, SLOTS * 4096 + 5, 7), ST_OK);
    assert_memory_equal(pieces, again, sizeof(pieces));
    assert_int_equal(copy_layout_make(pieces, N, 4096, N * 4096 - 1, 7), ST_INVALID);
    assert_int_equal(copy_layout_make(pieces, N, 4096, N * 4096, 7), ST_OK);
}

/* ------------------------------------------------------------ products */

static void test_shapes_are_those_of_three_models_once(void **state) {
    (void)state;
    gemm_shape s[GEMM_SHAPES_MAX];
    size_t n = gemm_shapes(s);
    assert_int_equal(n, 14); /* both Llamas share o */
    assert_int_equal(s[0].n, 12288);
    assert_int_equal(s[2].n, 2 * 11008);
    assert_int_equal(s[3].k, 11008);
    assert_int_equal(s[5].n, 6144); /* fewer KV heads */
    assert_int_equal(s[n - 1].n, 50272);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) assert_false(s[i].n == s[j].n && s[i].k == s[j].k);
}

static void test_steps_cover_all_multiples_of_64_once(void **state) {
    (void)state;
    uint32_t steps[GEMM_STEPS_MAX];
    bool seen[GEMM_TOKENS_MAX + 1] = {0};
    size_t n = gemm_steps(steps, true, 3);
    assert_int_equal(n, 6 + 128);
    for (size_t i = 0; i < n; i++) {
        assert_false(seen[steps[i]]);
        seen[steps[i]] = true;
    }
    for (uint32_t m = 64; m <= GEMM_TOKENS_MAX; m += 64) assert_true(seen[m]);
    for (uint32_t m = 1; m <= 32; m *= 2) assert_true(seen[m]);
    n = gemm_steps(steps, false, 3);
    for (size_t i = 0; i < n; i++) assert_true(seen[steps[i]]);
    assert_in_range(n, 12, 24);
}

static void test_weights_rotate_through_twice_the_cache(void **state) {
    (void)state;
    for (uint64_t weight = mib; weight < 2048 * mib; weight = weight * 3 / 2) {
        uint32_t n = gemm_n_copies(weight, 50 * mib);
        assert_true(n >= 2);
        assert_true((n - 1) * weight >= 100 * mib);
        assert_true(n == 2 || (n - 2) * weight < 100 * mib);
    }
}

static void test_a_window_holds_whole_rounds(void **state) {
    (void)state;
    assert_int_equal(gemm_n_together(10e-6, 4, 1e-3), 100);
    assert_int_equal(gemm_n_together(9e-6, 4, 1e-3), 112); /* 27.8 rounds */
    assert_int_equal(gemm_n_together(5e-3, 2, 1e-3), 2);
    assert_int_equal(gemm_n_together(1e-12, 3, 1e-3), 1023);
}

/* ------------------------------------------------------------ options */

static status parse(probe_options *o, errbuf *err, const char *first, const char *second) {
    char *argv[] = {"cuda_probe", (char *)first, (char *)second};
    return probe_options_parse(o, second ? 3 : 2, argv, err);
}

static void test_options_are_taken_and_wrong_ones_named(void **state) {
    (void)state;
    probe_options o;
    errbuf err = {0};
    assert_int_equal(parse(&o, &err, "--only", "gemms"), ST_OK);
    assert_true(o.gemms && !o.copies && !o.full && o.device == 0);
    assert_int_equal(parse(&o, &err, "--full", NULL), ST_OK);
    assert_true(o.full && o.gemms && o.copies);
    static const char *const wrong[][2] = {
        {"--device", "-1"}, {"--device", "x"}, {"--only", "x"}, {"--out", NULL}, {"x", NULL}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        err = (errbuf){0};
        assert_int_equal(parse(&o, &err, wrong[i][0], wrong[i][1]), ST_INVALID);
        assert_non_null(strstr(err.text, wrong[i][0]));
    }
}

/* ------------------------------------------------------------ the table */

static const probe_machine machine = {.device = "NVIDIA H200, odd",
                                      .driver = 13000,
                                      .runtime = 13000,
                                      .sm_clock_max_mhz = 1980,
                                      .memory_clock_max_mhz = 3201,
                                      .l2_bytes = 60 << 20};

static imported import_text(const char *text, size_t n) {
    imported all = {0};
    errbuf err = {0};
    const import_options options = {0};
    if (profile_read_memory(&all, "cuda-probe", text, n, "probe.csv", &options, &err) != ST_OK)
        fail_msg("%s", err.text);
    return all;
}

static size_t write_table(char **text) {
    size_t n;
    FILE *out = open_memstream(text, &n);
    assert_non_null(out);
    const repeat_summary times = {.median_s = 330.5e-6,
                                  .mean_s = 340e-6,
                                  .min_s = 330e-6,
                                  .deviation_s = 2.5e-6,
                                  .half_width_s = 1e-6,
                                  .n_repeats = 8};
    const probe_remark remark = {.issue_s = 3e-6, .method = "algorithm 66, (1 of 8)"};
    const gemm_shape shape = {"llama-3-8b", "qkv", 6144, 4096};
    probe_rows_begin(out, &machine, "2026-01-31", "quick");
    copy_point p = {LINK_TO_HOST, COPY_BATCH, 16 * mib, 8 * mib, 2, 2, true, false};
    probe_rows_copy(out, &machine, &p, &times, &remark);
    p.method = COPY_LOOP;
    probe_rows_copy(out, &machine, &p, &times, &remark);
    p = (copy_point){LINK_TO_DEVICE, COPY_SINGLE, 1024 * mib, 0, 1, 0, false, true};
    probe_rows_copy(out, &machine, &p, &times, &remark);
    probe_rows_gemm(out, &machine, &shape, 192, &times, &remark);
    fclose(out);
    return n;
}

static const import_group *group_of(const imported *all, const char *model) {
    for (size_t i = 0; i < all->n_groups; i++)
        if (strcmp(all->groups[i].model, model) == 0) return &all->groups[i];
    fail_msg("no samples of '%s'", model);
    return NULL;
}

static void test_the_table_is_imported_as_it_was_measured(void **state) {
    (void)state;
    char *text;
    size_t n = write_table(&text);
    imported all = import_text(text, n);
    assert_int_equal(all.n_groups, 3); /* two models, and none */
    assert_int_equal(all.n_left_out, 2);
    const import_group *blocks = group_of(&all, "opt-6.7b"), *none = group_of(&all, "");
    assert_int_equal(group_of(&all, "llama-2-7b")->n, 1);
    assert_int_equal(blocks->n, 1);
    assert_string_equal(blocks->device, "nvidia h200  odd");
    const sample *s = &blocks->samples[0];
    assert_int_equal(s->op, OP_SWAP_OUT);
    assert_near(s->bytes, 16.0 * (double)mib);
    assert_int_equal(s->n_blocks, 2);
    assert_int_equal(s->n_segments, 2);
    assert_true(s->other_direction_busy && !s->compute_busy);
    assert_near(s->seconds, 330.5e-6);
    assert_near(s->deviation_s, 2.5e-6);
    assert_int_equal(s->n_repeats, 8);
    assert_int_equal(none->n, 2);
    assert_int_equal(none->samples[0].op, OP_SWAP_IN);
    assert_int_equal(none->samples[0].n_blocks, 0);
    assert_true(none->samples[0].compute_busy);
    assert_int_equal(none->samples[1].op, OP_GEMM);
    assert_int_equal(none->samples[1].batch.n_tokens, 192);
    assert_int_equal(none->samples[1].gemm_n, 6144);
    assert_int_equal(none->samples[1].gemm_k, 4096);
    imported_finish(&all);
    free(text);
}

static void assert_refused(const char *text, const char *first, const char *second) {
    imported all = {0};
    errbuf err = {0};
    const import_options options = {0};
    assert_int_equal(profile_read_memory(&all, "cuda-probe", text, strlen(text), "probe.csv",
                                         &options, &err),
                     ST_FORMAT);
    if (!strstr(err.text, first) || !strstr(err.text, second))
        fail_msg("'%s' lacks '%s' or '%s'", err.text, first, second);
}

static void test_wrong_rows_are_refused_with_their_line(void **state) {
    (void)state;
    assert_refused("# cuda-probe 1\ndevice,model,op\nx,,gemm\n", "probe.csv:2:", "missing");
    static const char *const rows[][2] = {
        {"x,,swap,single,64,1,,0,0,,,,9,0,6", "'swap'"},
        {"x,,swap_in,single,64,1,,2,0,,,,9,0,6", "'other_direction_busy'"},
        {"x,,swap_in,single,64,65,,0,0,,,,9,0,6", "'n_segments'"},
        {"x,opt-13b,swap_in,single,64,1,,0,0,,,,9,0,6", "'n_blocks'"},
        {"x,,gemm,a,,,,,,64,8,8,0,0,6", "'median_us'"},
        {"x,,gemm,a,,,,,,64,8,8,1,0,0", "'n_repeats'"},
        {",,gemm,a,,,,,,64,8,8,1,0,6", "device"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text),
                 "# of itself\ndevice,model,op,method,bytes,n_segments,n_blocks,"
                 "other_direction_busy,compute_busy,n_tokens,gemm_n,gemm_k,median_us,"
                 "deviation_us,n_repeats\n%s\n",
                 rows[i][0]);
        assert_refused(text, "probe.csv", rows[i][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_outlier_moves_the_mean_and_not_the_median),
        cmocka_unit_test(test_the_interval_is_that_of_order_statistics),
        cmocka_unit_test(test_repeats_end_by_precision_number_or_time),
        cmocka_unit_test(test_copy_points_are_different_and_fit_their_pool),
        cmocka_unit_test(test_blocks_are_those_of_models),
        cmocka_unit_test(test_pieces_never_overlap_and_lie_in_other_orders),
        cmocka_unit_test(test_shapes_are_those_of_three_models_once),
        cmocka_unit_test(test_steps_cover_all_multiples_of_64_once),
        cmocka_unit_test(test_weights_rotate_through_twice_the_cache),
        cmocka_unit_test(test_a_window_holds_whole_rounds),
        cmocka_unit_test(test_options_are_taken_and_wrong_ones_named),
        cmocka_unit_test(test_the_table_is_imported_as_it_was_measured),
        cmocka_unit_test(test_wrong_rows_are_refused_with_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
