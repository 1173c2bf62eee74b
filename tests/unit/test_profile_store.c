/* test_profile_store.c - profiles.db: samples, fits, merges, and what is refused at the door.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profile_store.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static char folder[64], file[96], other[96];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/test_profile_store.XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(file, sizeof(file), "%s/a.db", folder);
    snprintf(other, sizeof(other), "%s/b.db", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s%s", file, suffixes[i]);
        unlink(name);
        snprintf(name, sizeof(name), "%s%s", other, suffixes[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static profile_store *open_or_die(const char *path) {
    profile_store *s = NULL;
    errbuf err = {0};
    if (profile_store_open(&s, path, DATABASE_CREATE, &err) != ST_OK) fail_msg("%s", err.text);
    return s;
}

static const profile_info info = {.device = "h200",
                                  .model = "opt-13b",
                                  .tp = 1,
                                  .backend = "sim",
                                  .source = "microbenchmark",
                                  .settings = "{\"a\": 1}",
                                  .seed = 7};
static const profile_query layers = {
    .device = "h200", .model = "opt-13b", .tp = 1, .op = OP_LAYER};

static sample layer(uint32_t n_tokens, double seconds) {
    return (sample){.op = OP_LAYER,
                    .part = "mlp",
                    .tp = 1,
                    .batch = {.n_tokens = n_tokens},
                    .seconds = seconds,
                    .n_repeats = 3};
}

static bool add_or_die(profile_store *s, const profile_info *of, const sample *samples,
                       size_t n) {
    bool added = false;
    errbuf err = {0};
    if (profile_store_add(s, &added, of, samples, n, &err) != ST_OK) fail_msg("%s", err.text);
    return added;
}

static size_t count(profile_store *s, const profile_query *query) {
    stored_samples found;
    assert_int_equal(profile_store_read_samples(s, &found, query, NULL), ST_OK);
    size_t n = found.n;
    stored_samples_finish(&found);
    return n;
}

/* The samples must be refused with a message that holds that, and nothing be stored. */
static void assert_refused(profile_store *s, const sample *samples, size_t n, status expected,
                           const char *wanted) {
    bool added = false;
    errbuf err = {0};
    size_t before = count(s, &layers);
    assert_int_equal(profile_store_add(s, &added, &info, samples, n, &err), expected);
    if (!strstr(err.text, wanted)) fail_msg("'%s' lacks '%s'", err.text, wanted);
    assert_int_equal(count(s, &layers), before);
}

/* ------------------------------------------------------------ samples */

static void test_every_column_of_a_sample_comes_back(void **state) {
    (void)state;
    const sample stored[] = {
        {.op = OP_MIXED_ATTENTION,
         .part = "p",
         .tp = 1,
         .batch = {1, 2, 3, 4, UINT64_C(5) << 40, 6, 7, UINT64_C(8) << 40, 9},
         .gemm_n = 10,
         .gemm_k = 11,
         .n_heads = 12,
         .n_kv_heads = 13,
         .head_dim = 14,
         .bytes = 1.5e10,
         .n_blocks = 15,
         .n_segments = 16,
         .other_direction_busy = true,
         .seconds = 0.1,
         .deviation_s = 1e-3,
         .n_repeats = UINT32_MAX},
        {.op = OP_MIXED_ATTENTION, .tp = 1, .compute_busy = true, .seconds = 2, .n_repeats = 1},
    };
    profile_store *s = open_or_die(file);
    assert_true(add_or_die(s, &info, stored, 2));
    profile_store_close(s);
    s = open_or_die(file);
    profile_query query = layers;
    query.op = OP_MIXED_ATTENTION;
    stored_samples found;
    assert_int_equal(profile_store_read_samples(s, &found, &query, NULL), ST_OK);
    assert_int_equal(found.n, 2);
    assert_int_equal(found.ids[0], 1);
    assert_int_equal(found.ids[1], 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(sample_compare_features(&found.samples[i], &stored[i]), 0);
        assert_int_equal(samples_hash(&found.samples[i], 1), samples_hash(&stored[i], 1));
    }
    stored_samples_finish(&found);
    profile_store_close(s);
}

static void test_a_query_separates_device_model_tp_operation_and_part(void **state) {
    (void)state;
    profile_store *s = open_or_die(file);
    sample two[] = {layer(1, 1), layer(2, 1)};
    strcpy(two[1].part, "qkv");
    add_or_die(s, &info, two, 2);
    profile_info kernels = info;
    kernels.model = NULL;
    add_or_die(s, &kernels, two, 1);
    profile_query q = layers;
    assert_int_equal(count(s, &q), 2);
    q.part = "qkv";
    assert_int_equal(count(s, &q), 1);
    q.part = "";
    assert_int_equal(count(s, &q), 0);
    q = layers;
    q.model = NULL;
    assert_int_equal(count(s, &q), 1);
    q.model = "opt-30b"; /* unknown is not none */
    assert_int_equal(count(s, &q), 0);
    q = layers;
    q.tp = 2;
    assert_int_equal(count(s, &q), 0);
    q = layers;
    q.op = OP_GEMM;
    assert_int_equal(count(s, &q), 0);
    profile_store_close(s);
}

static void test_the_same_samples_are_stored_once(void **state) {
    (void)state;
    profile_store *s = open_or_die(file);
    sample two[] = {layer(1, 1), layer(2, 1)};
    assert_true(add_or_die(s, &info, two, 2));
    assert_false(add_or_die(s, &info, two, 2));
    two[1].seconds = 1.5;
    assert_true(add_or_die(s, &info, two, 2));
    assert_int_equal(count(s, &layers), 4);
    profile_store_close(s);
}

static void test_times_that_are_none_are_refused(void **state) {
    (void)state;
    profile_store *s = open_or_die(file);
    static const double wrong[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        sample two[] = {layer(64, 1), layer(128, wrong[i])};
        assert_refused(s, two, 2, ST_INVALID, "layer mlp (tp 1, n_tokens 128)");
    }
    sample one = layer(1, 1);
    one.deviation_s = NAN;
    assert_refused(s, &one, 1, ST_INVALID, "deviation");
    one = layer(1, 1);
    one.n_repeats = 0;
    assert_refused(s, &one, 1, ST_INVALID, "repeats");
    one = layer(1, 1);
    one.tp = 2;
    assert_refused(s, &one, 1, ST_INVALID, "tp 2");
    one = layer(1, 1);
    one.batch.prefill_pairs = UINT64_MAX;
    assert_refused(s, &one, 1, ST_INVALID, "2^63");
    assert_refused(s, &one, 0, ST_INVALID, "no samples");
    profile_store_close(s);
}

static void test_contradictions_are_refused_by_operation(void **state) {
    (void)state;
    profile_store *s = open_or_die(file);
    sample two[] = {layer(64, 1), layer(64, 10)};
    assert_refused(s, two, 2, ST_FORMAT, "layer mlp (tp 1, n_tokens 64): samples contradict");
    two[1].seconds = 20;
    two[1].deviation_s = 6.3;
    assert_refused(s, two, 2, ST_FORMAT, "samples contradict");
    two[1].seconds = 9.9; /* noise, as far as one can tell */
    two[1].deviation_s = 0;
    add_or_die(s, &info, two, 2);
    sample later = layer(64, 0.9); /* against what is stored */
    assert_refused(s, &later, 1, ST_FORMAT, "measure this operation again");
    later.deviation_s = 3.1; /* repeats differ by as much */
    add_or_die(s, &info, &later, 1);
    profile_store_close(s);
}

static void test_settings_must_be_json(void **state) {
    (void)state;
    profile_store *s = open_or_die(file);
    sample one = layer(1, 1);
    profile_info wrong = info;
    wrong.settings = "{a";
    bool added;
    errbuf err = {0};
    assert_int_equal(profile_store_add(s, &added, &wrong, &one, 1, &err), ST_INVALID);
    assert_int_equal(count(s, &layers), 0);
    profile_store_close(s);
}

/* ------------------------------------------------------------ fits */

static fit_record fit_of(operation op, char *kind, const int64_t *ids, size_t n) {
    return (fit_record){.device = "h200",
                        .model = "opt-13b",
                        .tp = 1,
                        .op = op,
                        .part = "mlp",
                        .kind = kind,
                        .json = "{\"terms\": [1]}",
                        .n_samples = n,
                        .mape = 0.01,
                        .held_out_mape = NAN,
                        .sample_ids = ids,
                        .n_sample_ids = n};
}

static void assert_kinds(profile_store *s, const char *first, const char *second) {
    stored_fits found;
    assert_int_equal(profile_store_read_fits(s, &found, "h200", "opt-13b", 1, NULL), ST_OK);
    assert_int_equal(found.n, 2);
    assert_string_equal(found.fits[0].kind, first);
    assert_string_equal(found.fits[1].kind, second);
    assert_int_equal(found.fits[0].op, OP_SWAP_IN);
    assert_int_equal(found.fits[1].op, OP_LAYER);
    assert_string_equal(found.fits[1].json, "{\"terms\": [1]}");
    assert_string_equal(found.fits[1].device, "h200");
    assert_true(found.fits[1].mape == 0.01);
    assert_true(isnan(found.fits[1].held_out_mape));
    stored_fits_finish(&found);
}

static void test_fits_replace_older_ones_all_or_none(void **state) {
    (void)state;
    profile_store *s = open_or_die(file);
    sample two[] = {layer(1, 1), layer(2, 1)};
    add_or_die(s, &info, two, 2);
    const int64_t ids[] = {1, 2}, missing[] = {1, 99};
    fit_record fits[] = {fit_of(OP_LAYER, "old", ids, 2), fit_of(OP_SWAP_IN, "old", ids, 1)};
    assert_int_equal(profile_store_save_fits(s, fits, 2, NULL), ST_OK);
    assert_kinds(s, "old", "old");
    fits[0].kind = "new";
    assert_int_equal(profile_store_save_fits(s, fits, 1, NULL), ST_OK);
    assert_kinds(s, "old", "new");

    fits[0].kind = fits[1].kind = "newest";
    fits[1].json = "{";
    assert_int_equal(profile_store_save_fits(s, fits, 2, NULL), ST_INVALID);
    assert_kinds(s, "old", "new");
    fits[1] = fit_of(OP_SWAP_IN, "newest", missing, 2);
    assert_int_equal(profile_store_save_fits(s, fits, 2, NULL), ST_INVALID);
    assert_kinds(s, "old", "new");
    profile_store_close(s);
}

static void test_the_list_shows_samples_beside_their_fit(void **state) {
    (void)state;
    profile_store *s = open_or_die(file);
    sample two[] = {layer(1, 1), layer(2, 1)};
    add_or_die(s, &info, two, 2);
    add_or_die(s, &info, two, 1);
    profile_info kernels = info;
    kernels.model = NULL;
    add_or_die(s, &kernels, two, 1);
    fit_record fit = fit_of(OP_LAYER, "k", NULL, 0);
    assert_int_equal(profile_store_save_fits(s, &fit, 1, NULL), ST_OK);
    profile_summaries list;
    assert_int_equal(profile_store_list(s, &list, NULL), ST_OK);
    assert_int_equal(list.n, 2);
    assert_null(list.rows[0].model);
    assert_null(list.rows[0].fit_kind);
    assert_int_equal(list.rows[1].n_profiles, 2);
    assert_int_equal(list.rows[1].n_samples, 3);
    assert_string_equal(list.rows[1].fit_kind, "k");
    profile_summaries_finish(&list);
    profile_store_close(s);
}

/* ------------------------------------------------------------ merge */

static void test_a_merge_adds_what_is_new_once(void **state) {
    (void)state;
    profile_store *a = open_or_die(file), *b = open_or_die(other);
    sample two[] = {layer(1, 1), layer(2, 1)};
    add_or_die(a, &info, two, 2);
    add_or_die(b, &info, two, 2);
    add_or_die(b, &info, two, 1);
    size_t n_added, n_known;
    assert_int_equal(profile_store_merge(a, &n_added, &n_known, b, NULL), ST_OK);
    assert_int_equal(n_added, 1);
    assert_int_equal(n_known, 1);
    assert_int_equal(count(a, &layers), 3);
    assert_int_equal(profile_store_merge(a, &n_added, &n_known, b, NULL), ST_OK);
    assert_int_equal(n_added, 0);
    profile_store_close(a);
    profile_store_close(b);
}

static void test_a_merge_that_contradicts_adds_nothing(void **state) {
    (void)state;
    profile_store *a = open_or_die(file), *b = open_or_die(other);
    sample one = layer(64, 1e-3), fine = layer(1, 1), wrong = layer(64, 1);
    add_or_die(a, &info, &one, 1);
    add_or_die(b, &info, &fine, 1);
    add_or_die(b, &info, &wrong, 1);
    size_t n_added = 9, n_known = 9;
    errbuf err = {0};
    assert_int_equal(profile_store_merge(a, &n_added, &n_known, b, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "layer mlp (tp 1, n_tokens 64)"));
    assert_int_equal(n_added, 9);
    assert_int_equal(count(a, &layers), 1);
    profile_store_close(a);
    profile_store_close(b);
}

static void assert_algorithms(profile_store *s, const char *const *lines, size_t n) {
    stored_algorithms found;
    assert_int_equal(profile_store_read_algorithms(s, &found, NULL), ST_OK);
    assert_int_equal(found.n, n);
    for (size_t i = 0; i < n; i++) assert_string_equal(found.lines[i], lines[i]);
    stored_algorithms_finish(&found);
}

static void test_algorithms_are_kept_once_in_the_order_of_storing(void **state) {
    (void)state;
    const char *const lines[] = {"9 3 z", "1 2 b", "1 2 a", "9 3 z"};
    profile_store *s = open_or_die(file);
    assert_algorithms(s, NULL, 0); /* as in a file of before there were any */
    assert_int_equal(profile_store_save_algorithms(s, lines, 2, NULL), ST_OK);
    assert_int_equal(profile_store_save_algorithms(s, lines + 1, 3, NULL), ST_OK);
    profile_store_close(s);
    assert_int_equal(profile_store_open(&s, file, DATABASE_READ, NULL), ST_OK);
    assert_algorithms(s, lines, 3);
    assert_int_not_equal(profile_store_save_algorithms(s, lines, 1, NULL), ST_OK);
    profile_store_close(s);
}

static void test_another_file_is_not_taken_for_a_profile_database(void **state) {
    (void)state;
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fputs("device,time\nh200,1\n", out);
    fclose(out);
    profile_store *s = NULL;
    errbuf err = {0};
    assert_int_equal(profile_store_open(&s, file, DATABASE_CREATE, &err), ST_FORMAT);
    assert_null(s);
    assert_non_null(strstr(err.text, "profile database"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_every_column_of_a_sample_comes_back),
        TEST(test_a_query_separates_device_model_tp_operation_and_part),
        TEST(test_the_same_samples_are_stored_once),
        TEST(test_times_that_are_none_are_refused),
        TEST(test_contradictions_are_refused_by_operation),
        TEST(test_settings_must_be_json),
        TEST(test_fits_replace_older_ones_all_or_none),
        TEST(test_the_list_shows_samples_beside_their_fit),
        TEST(test_a_merge_adds_what_is_new_once),
        TEST(test_a_merge_that_contradicts_adds_nothing),
        TEST(test_algorithms_are_kept_once_in_the_order_of_storing),
        TEST(test_another_file_is_not_taken_for_a_profile_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
