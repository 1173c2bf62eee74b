/* test_copy_link.c - two queues of copies that share a link. */
#include "copy_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const int64_t MS = 1000000;

static void add(copy_link *l, link_direction direction, uint64_t id, double seconds,
                int64_t now_ns) {
    assert_int_equal(copy_link_add(l, direction, id, seconds, now_ns), ST_OK);
}

/* Goes to the next end, which must be this one; what is left after a change of speed may be
 * rounded up by one nanosecond more. */
static copy_job expect_end(copy_link *l, uint64_t id, int64_t at_ns) {
    copy_job job = {0};
    int64_t next_ns = copy_link_next_ns(l);
    assert_in_range(next_ns, at_ns, at_ns + 1);
    assert_true(copy_link_advance(l, next_ns, &job));
    assert_int_equal(job.id, id);
    return job;
}

static void expect_idle(const copy_link *l) {
    assert_true(copy_link_next_ns(l) == INT64_MAX);
}

static void copies_of_a_direction_run_one_after_the_other(void **state) {
    (void)state;
    copy_link l;
    copy_link_init(&l, 1.5);
    expect_idle(&l);
    add(&l, LINK_TO_HOST, 1, 2e-3, 0);
    add(&l, LINK_TO_HOST, 2, 1e-3, MS);
    assert_int_equal(expect_end(&l, 1, 2 * MS).started_ns, 0);
    assert_int_equal(expect_end(&l, 2, 3 * MS).started_ns, 2 * MS);
    expect_idle(&l);
    add(&l, LINK_TO_HOST, 3, 1e-3, 10 * MS);
    assert_int_equal(expect_end(&l, 3, 11 * MS).started_ns, 10 * MS);
    copy_link_finish(&l);
}

static void both_directions_at_once_are_slower_by_the_factor(void **state) {
    (void)state;
    copy_link l;
    copy_link_init(&l, 1.5);
    add(&l, LINK_TO_HOST, 1, 4e-3, 0);
    add(&l, LINK_TO_DEVICE, 2, 2e-3, 0);
    expect_end(&l, 2, 3 * MS); /* all of it beside the other */
    expect_end(&l, 1, 5 * MS); /* 3 ms at 1/1.5 and 2 ms alone */
    copy_link_finish(&l);
}

static void a_copy_that_joins_later_slows_only_what_is_left(void **state) {
    (void)state;
    copy_link l;
    copy_link_init(&l, 2);
    add(&l, LINK_TO_DEVICE, 1, 3e-3, 0);
    assert_int_equal(copy_link_next_ns(&l), 3 * MS);
    add(&l, LINK_TO_HOST, 2, 10e-3, 2 * MS);
    expect_end(&l, 1, 4 * MS); /* 2 ms alone, 1 ms of work in 2 ms */
    expect_end(&l, 2, 13 * MS);
    copy_link_finish(&l);
}

static void an_end_is_rounded_up_to_a_nanosecond(void **state) {
    (void)state;
    copy_link l;
    copy_link_init(&l, 1);
    add(&l, LINK_TO_HOST, 1, 1.25e-9, 5);
    expect_end(&l, 1, 7);
    add(&l, LINK_TO_HOST, 2, 0, 9);
    expect_end(&l, 2, 9);
    copy_link_finish(&l);
}

static void copies_that_end_together_come_by_id(void **state) {
    (void)state;
    for (int first = 0; first < 2; first++) {
        copy_link l;
        copy_link_init(&l, 2);
        add(&l, first ? LINK_TO_HOST : LINK_TO_DEVICE, 1, 1e-3, 0);
        add(&l, first ? LINK_TO_DEVICE : LINK_TO_HOST, 2, 1e-3, 0);
        expect_end(&l, 1, 2 * MS);
        expect_end(&l, 2, 2 * MS);
        copy_link_finish(&l);
    }
}

static void before_the_next_end_nothing_is_done(void **state) {
    (void)state;
    copy_link l;
    copy_job job;
    copy_link_init(&l, 1);
    add(&l, LINK_TO_HOST, 1, 1e-3, 0);
    assert_false(copy_link_advance(&l, MS / 2, &job));
    assert_int_equal(copy_link_next_ns(&l), MS);
    copy_link_finish(&l);
}

static void busy_time_counts_a_moment_once_and_idle_never(void **state) {
    (void)state;
    copy_link l;
    copy_link_init(&l, 1.5);
    add(&l, LINK_TO_HOST, 1, 4e-3, 0);
    add(&l, LINK_TO_DEVICE, 2, 2e-3, 0);
    expect_end(&l, 2, 3 * MS);
    expect_end(&l, 1, 5 * MS);
    add(&l, LINK_TO_HOST, 3, 1e-3, 100 * MS);
    expect_end(&l, 3, 101 * MS);
    assert_float_equal(l.busy_s, 6e-3, 1e-12);
    copy_link_finish(&l);
}

static void a_queue_keeps_its_order_while_it_grows(void **state) {
    (void)state;
    copy_link l;
    copy_link_init(&l, 1);
    uint64_t n_added = 0, n_done = 0;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 40; i++) add(&l, LINK_TO_HOST, n_added++, 1e-3, n_done * MS);
        for (int i = 0; i < 15; i++) {
            expect_end(&l, n_done, (int64_t)(n_done + 1) * MS);
            n_done++;
        }
    }
    for (; n_done < n_added; n_done++) expect_end(&l, n_done, (int64_t)(n_done + 1) * MS);
    expect_idle(&l);
    copy_link_finish(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_of_a_direction_run_one_after_the_other),
        cmocka_unit_test(both_directions_at_once_are_slower_by_the_factor),
        cmocka_unit_test(a_copy_that_joins_later_slows_only_what_is_left),
        cmocka_unit_test(an_end_is_rounded_up_to_a_nanosecond),
        cmocka_unit_test(copies_that_end_together_come_by_id),
        cmocka_unit_test(before_the_next_end_nothing_is_done),
        cmocka_unit_test(busy_time_counts_a_moment_once_and_idle_never),
        cmocka_unit_test(a_queue_keeps_its_order_while_it_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
