/* test_run_belief.c - where a run gets its predictor from, and what it says when it has none.
 */
#include "run_belief.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/test_run_belief.XXXXXX", db[64];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(db, sizeof(db), "%s/p.db", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(db);
    return rmdir(folder);
}

static status open_belief(belief **out, const run_settings *o, errbuf *err) {
    run_setup setup;
    assert_int_equal(run_setup_init(&setup, o, err), ST_OK);
    status st = run_belief_open(out, NULL, &setup, o, err);
    run_setup_finish(&setup);
    return st;
}

/* Of a policy that asks a predictor. */
static run_settings quiet_settings(void) {
    run_settings o = run_settings_defaults();
    o.policy = "adaptive";
    o.quiet = true;
    return o;
}

/* Predictions that depend on every fit. */
typedef struct answers {
    double prefill_s, decode_s, out_s, in_s;
} answers;

static answers ask(const run_settings *o) {
    belief *b = NULL;
    errbuf err = {0};
    status st = open_belief(&b, o, &err);
    if (st != ST_OK) fail_msg("%s", err.text);
    const cost_model *m = belief_costs(b);
    batch_shape prefill = {0}, decode = {0};
    batch_shape_add_chunk(&prefill, 100, 700, true);
    batch_shape_add_decodes(&decode, 50, 50000, 2000);
    const answers a = {
        .prefill_s = m->iteration(m->context, &prefill).s,
        .decode_s = m->iteration(m->context, &decode).s,
        .out_s =
            m->copy(m->context, LINK_TO_HOST, 30, 3, (copy_load){.other_direction = true}).s,
        .in_s = m->copy(m->context, LINK_TO_DEVICE, 30, 3, (copy_load){0}).s};
    belief_destroy(b);
    return a;
}

static void assert_same(const answers *a, const answers *b) {
    assert_memory_equal(a, b, sizeof(*a));
    assert_true(a->prefill_s > 0 && a->decode_s > 0 && a->out_s > 0 && a->in_s > 0);
}

static void without_fits_the_commands_that_make_them_are_told(void **state) {
    (void)state;
    belief *b;
    errbuf err = {0};
    char expected[512];
    run_settings o = quiet_settings();
    o.tp = 2;
    o.model = "opt-13b";
    o.noise = 0.01;
    o.block_size = 32;
    assert_int_equal(open_belief(&b, &o, &err), ST_INVALID);
    assert_null(b);
    assert_string_equal(
        err.text,
        "policy adaptive needs a predictor, and no --profile is given. These make it:\n"
        "  adaptivellm profile --profile profiles.db --device h200 --model opt-13b --tp 2 "
        "--noise 0.01 --block-size 32\n"
        "  adaptivellm fit --profile profiles.db --device h200 --model opt-13b --tp 2\n"
        "Give it by --profile profiles.db; or by --auto-profile the run makes it itself");
    o.profile = db;
    assert_int_equal(open_belief(&b, &o, &err), ST_NOT_FOUND);
    snprintf(expected, sizeof(expected),
             "  adaptivellm fit --profile %s --device h200 --model opt-13b --tp 2\nOr by", db);
    assert_non_null(strstr(err.text, "--profile has no fits of this model on this device"));
    assert_non_null(strstr(err.text, expected));
    assert_int_equal(access(db, F_OK), -1); /* asking for fits makes no file */
}

static void who_does_not_ask_needs_no_fits(void **state) {
    (void)state;
    belief *b;
    errbuf err = {0};
    run_settings o = quiet_settings();
    o.policy = "vllm-v1";
    assert_int_equal(open_belief(&b, &o, &err), ST_OK);
    assert_null(b);
    o.profile = db; /* but a file that was named must be there */
    assert_int_equal(open_belief(&b, &o, &err), ST_NOT_FOUND);
    assert_null(b);
    assert_non_null(strstr(err.text, db));
}

static void fits_are_the_same_in_memory_made_and_found(void **state) {
    (void)state;
    run_settings o = quiet_settings();
    o.auto_profile = true;
    answers in_memory = ask(&o);
    o.profile = db;
    answers made = ask(&o), found = ask(&o);
    assert_same(&in_memory, &made);
    assert_same(&in_memory, &found);
    o.auto_profile = false;
    answers stored = ask(&o);
    assert_same(&in_memory, &stored);
}

/* Otherwise the first of several runs would decide what the others predict. */
static void fits_do_not_depend_on_what_is_the_runs_own(void **state) {
    (void)state;
    run_settings o = quiet_settings();
    o.auto_profile = true;
    answers plain = ask(&o);
    o.trace.seed = 77;
    o.policy = "vllm-v0-swap";
    o.drift = "1.5@0";
    o.has_kv_blocks = o.has_host_blocks = true;
    o.kv_blocks = 20; /* too small to measure in */
    o.host_blocks = 0;
    o.max_seqs = 8;
    o.max_batched_tokens = 512;
    o.max_model_len = 300;
    answers other = ask(&o);
    assert_same(&plain, &other);
    o.noise = 0.01;
    answers noisy = ask(&o);
    assert_true(noisy.prefill_s != plain.prefill_s);
    o.trace.seed = 78;
    answers again = ask(&o);
    assert_same(&noisy, &again);
}

static void a_model_that_does_not_fit_is_measured_in_a_pool_of_its_own(void **state) {
    (void)state;
    run_settings o = quiet_settings();
    o.auto_profile = true;
    o.model = "llama-2-70b";
    o.has_kv_gib = true;
    o.kv_gib = 4;
    answers a = ask(&o);
    assert_true(a.decode_s > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_fits_the_commands_that_make_them_are_told,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(who_does_not_ask_needs_no_fits, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(fits_are_the_same_in_memory_made_and_found, make_folder,
                                        remove_folder),
        cmocka_unit_test(fits_do_not_depend_on_what_is_the_runs_own),
        cmocka_unit_test(a_model_that_does_not_fit_is_measured_in_a_pool_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
