/* test_belief.c - predictions of asynchronous copies beside what a virtual device then took.
 *
 * The device is measured and fitted in memory; copies are submitted by plans made by hand. */
#include "belief.h"
#include "device_profile.h"
#include "fit_device.h"
#include "hand_plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct world {
    run_settings settings;
    run_setup setup;
    executor device;
    belief *belief;
    copy_ledger ledger;
    hand_plan h;
    uint64_t n_copies;
} world;

static void must(status st, const errbuf *err) {
    if (st != ST_OK) fail_msg("%s: %s", status_text(st), err->text);
}

/* Fits of what is measured without drift. */
static void make_belief(belief **out, const run_setup *setup, const run_settings *settings) {
    device_profile_design design = device_profile_design_defaults();
    device_profile p = {0};
    profile_store *store;
    judged_fits fits;
    bool added;
    errbuf err = {0};
    const char *device = setup->device->name, *model = setup->model->name;
    design.n_iterations = 100;
    must(profile_store_open(&store, ":memory:", DATABASE_CREATE, &err), &err);
    must(device_profile_measure(&p, &design, setup, settings, &err), &err);
    must(device_profile_store(store, &added, &p, &design, setup, settings, &err), &err);
    must(fit_device_make(&fits, store, device, model, 1, &err), &err);
    must(fit_device_save(store, &fits, device, model, 1, &err), &err);
    must(belief_create(out, store, device, model, 1, &err), &err);
    judged_fits_finish(&fits);
    device_profile_finish(&p);
    profile_store_close(store);
}

/* drift: of the device on which the copies then run; NULL: none. */
static void world_init(world *w, const char *drift) {
    errbuf err = {0};
    *w = (world){.settings = run_settings_defaults()};
    w->settings.quiet = true;
    w->settings.noise = 0.002;
    must(run_setup_init(&w->setup, &w->settings, &err), &err);
    make_belief(&w->belief, &w->setup, &w->settings);
    run_setup_finish(&w->setup);
    w->settings.drift = drift;
    must(run_setup_init(&w->setup, &w->settings, &err), &err);
    must(run_setup_executor(&w->device, &w->setup, &w->settings, &err), &err);
    hand_plan_init(&w->h);
}

static void world_finish(world *w) {
    w->device.destroy(w->device.context);
    run_setup_finish(&w->setup);
    belief_destroy(w->belief);
    copy_ledger_finish(&w->ledger);
    hand_plan_finish(&w->h);
}

static void add_copy(world *w, link_direction direction, uint32_t n_blocks) {
    plan *p = &w->h.plan;
    plan_copy c = {.id = w->n_copies++,
                   .direction = direction,
                   .first_pair = p->n_pairs,
                   .n_pairs = n_blocks};
    for (uint32_t i = 0; i < n_blocks; i++)
        assert_int_equal(plan_add_pair(p, (block_pair){i, i}), ST_OK);
    assert_int_equal(plan_add_copy(p, c), ST_OK);
}

/* Submits what was added, and predicts it. */
static void submit(world *w) {
    errbuf err = {0};
    uint32_t i;
    int64_t now_ns = w->device.now_ns(w->device.context);
    must(w->device.submit(w->device.context, &w->h.plan, &err), &err);
    must(copy_ledger_submitted(&w->ledger, &i, &w->h.plan, w->setup.model->n_layers, now_ns),
         &err);
    for (; i < w->ledger.n; i++)
        w->ledger.copies[i].predicted_s = belief_predict_copy(w->belief, &w->ledger.copies[i]);
    plan_clear(&w->h.plan);
}

/* Waits for the next copy and compares it; returns its predicted over its measured time. */
static double finish_one(world *w) {
    errbuf err = {0};
    completion c;
    copy_in_flight copy;
    double share;
    must(w->device.next(w->device.context, INT64_MAX, &c, &err), &err);
    assert_int_equal(c.kind, COMPLETION_COPY);
    assert_true(copy_ledger_completed(&w->ledger, &copy, &share, c.copy_id, c.now_ns));
    belief_copied(w->belief, &copy, share, c.copy_s, (double)c.now_ns * 1e-9);
    return copy.predicted_s / c.copy_s;
}

static void finish_all(world *w) {
    while (w->ledger.n > 0) (void)finish_one(w);
}

static double mape(const world *w) {
    run_figures f = {{0}, {0}};
    belief_figures(w->belief, &f);
    return f.known[FIG_predictor_mape_swap] ? f.value[FIG_predictor_mape_swap] : NAN;
}

static uint64_t n_drifts(const world *w) {
    uint32_t n;
    uint64_t n_all;
    (void)belief_drifts(w->belief, &n, &n_all);
    return n_all;
}

static void the_error_is_not_known_without_copies(void **state) {
    (void)state;
    world w;
    world_init(&w, NULL);
    assert_true(belief_knows_copies(w.belief));
    assert_true(isnan(mape(&w)));
    world_finish(&w);
}

static void the_error_is_the_mean_of_those_of_all_copies(void **state) {
    (void)state;
    world w;
    world_init(&w, NULL);
    double sum = 0;
    for (uint32_t i = 0; i < 20; i++) {
        add_copy(&w, i % 2 ? LINK_TO_HOST : LINK_TO_DEVICE, 16 + 8 * i);
        submit(&w);
        sum += fabs(finish_one(&w) - 1);
    }
    assert_float_equal(mape(&w), sum / 20, 1e-12);
    assert_true(mape(&w) > 0 && mape(&w) < 0.02);
    world_finish(&w);
}

static void copies_both_ways_are_predicted_as_slower(void **state) {
    (void)state;
    world w;
    world_init(&w, NULL);
    add_copy(&w, LINK_TO_HOST, 100);
    add_copy(&w, LINK_TO_DEVICE, 400);
    submit(&w);
    double both_s = w.ledger.copies[0].predicted_s;
    assert_float_equal(finish_one(&w), 1, 0.02); /* busy from its start to its end */
    finish_all(&w);
    add_copy(&w, LINK_TO_HOST, 100);
    submit(&w);
    assert_true(w.ledger.copies[0].predicted_s < 0.9 * both_s);
    finish_all(&w);
    world_finish(&w);
}

/* Each shares the link for a part of its time, which nobody knew when it was submitted: that is
 * an error, but no change of the device. */
static void sharing_for_a_while_is_an_error_but_nothing_to_learn(void **state) {
    (void)state;
    world w;
    world_init(&w, NULL);
    for (int i = 0; i < 40; i++) {
        add_copy(&w, LINK_TO_HOST, 300);
        add_copy(&w, LINK_TO_DEVICE, 100);
        submit(&w);
        finish_all(&w);
    }
    assert_true(mape(&w) > 0.05);
    assert_int_equal(n_drifts(&w), 0);
    add_copy(&w, LINK_TO_HOST, 300);
    submit(&w);
    assert_float_equal(finish_one(&w), 1, 0.01);
    world_finish(&w);
}

static void a_link_that_slows_down_is_noticed_and_followed(void **state) {
    (void)state;
    world w;
    world_init(&w, "1.5@0");
    double last = 0;
    for (int i = 0; i < 30; i++) {
        add_copy(&w, LINK_TO_HOST, 300);
        if (i % 2) add_copy(&w, LINK_TO_DEVICE, 100);
        submit(&w);
        finish_all(&w);
        add_copy(&w, LINK_TO_HOST, 200);
        submit(&w);
        last = finish_one(&w);
    }
    assert_true(n_drifts(&w) > 0);
    assert_float_equal(last, 1, 0.01);
    uint32_t n;
    uint64_t n_all;
    assert_true(belief_drifts(w.belief, &n, &n_all)[0].of_copies);
    world_finish(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_error_is_not_known_without_copies),
        cmocka_unit_test(the_error_is_the_mean_of_those_of_all_copies),
        cmocka_unit_test(copies_both_ways_are_predicted_as_slower),
        cmocka_unit_test(sharing_for_a_while_is_an_error_but_nothing_to_learn),
        cmocka_unit_test(a_link_that_slows_down_is_noticed_and_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
