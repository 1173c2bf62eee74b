/* test_copy_ledger.c - what is known of copies under way, with plans and times by hand. */
#include "copy_ledger.h"
#include "hand_plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { N_LAYERS = 4 };

static void add_copy(plan *p, uint64_t id, link_direction direction, bool ordered,
                     uint32_t n_pairs) {
    plan_copy c = {.id = id,
                   .direction = direction,
                   .ordered = ordered,
                   .first_pair = p->n_pairs,
                   .n_pairs = n_pairs};
    /* Every other block: no two pieces are joined. */
    for (uint32_t i = 0; i < n_pairs; i++)
        assert_int_equal(plan_add_pair(p, (block_pair){2 * i, i}), ST_OK);
    assert_int_equal(plan_add_copy(p, c), ST_OK);
}

/* Submits one asynchronous copy. */
static void submit(copy_ledger *l, hand_plan *h, uint64_t id, link_direction direction,
                   int64_t now_ns) {
    uint32_t first;
    plan_clear(&h->plan);
    add_copy(&h->plan, id, direction, false, 1);
    assert_int_equal(copy_ledger_submitted(l, &first, &h->plan, N_LAYERS, now_ns), ST_OK);
    assert_int_equal(first, l->n - 1);
}

static double complete(copy_ledger *l, uint64_t id, int64_t now_ns) {
    copy_in_flight c;
    double share;
    assert_true(copy_ledger_completed(l, &c, &share, id, now_ns));
    assert_int_equal(c.id, id);
    return share;
}

static void asynchronous_copies_of_a_plan_are_taken_with_what_they_move(void **state) {
    (void)state;
    copy_ledger l = {0};
    hand_plan h;
    uint32_t first;
    hand_plan_init(&h);
    add_copy(&h.plan, 4, LINK_TO_HOST, true, 9);
    add_copy(&h.plan, 5, LINK_TO_HOST, false, 3);
    add_copy(&h.plan, 6, LINK_TO_DEVICE, false, 2);
    h.plan.copies[1].write_back = true;
    assert_int_equal(copy_ledger_submitted(&l, &first, &h.plan, N_LAYERS, 100), ST_OK);
    assert_int_equal(first, 0);
    assert_int_equal(l.n, 2);
    assert_true(isnan(l.copies[0].predicted_s));
    l.copies[0].predicted_s = 7;
    copy_in_flight c;
    double share;
    assert_false(copy_ledger_completed(&l, &c, &share, 4, 150)); /* the ordered one */
    assert_true(copy_ledger_completed(&l, &c, &share, 5, 200));
    assert_int_equal(c.n_blocks, 3);
    assert_int_equal(c.n_segments, 3);
    assert_int_equal(c.direction, LINK_TO_HOST);
    assert_true(c.write_back && c.load.other_direction);
    assert_float_equal(c.predicted_s, 7, 0);
    assert_false(copy_ledger_completed(&l, &c, &share, 5, 210));
    assert_true(copy_ledger_completed(&l, &c, &share, 6, 300));
    assert_false(c.write_back);
    assert_int_equal(l.n, 0);
    copy_ledger_finish(&l);
    hand_plan_finish(&h);
}

static void the_other_direction_counts_only_while_it_had_something_to_do(void **state) {
    (void)state;
    copy_ledger l = {0};
    hand_plan h;
    hand_plan_init(&h);
    submit(&l, &h, 0, LINK_TO_HOST, 1000);
    assert_false(l.copies[0].load.other_direction);
    submit(&l, &h, 1, LINK_TO_DEVICE, 1300);
    assert_true(l.copies[1].load.other_direction);
    /* 1000 to 1400 alone but for the last 100. */
    assert_float_equal(complete(&l, 0, 1400), 0.25, 1e-12);
    assert_float_equal(complete(&l, 1, 1500), 0.5, 1e-12);
    /* An idle link in between counts for nobody. */
    submit(&l, &h, 2, LINK_TO_DEVICE, 9000);
    assert_false(l.copies[0].load.other_direction);
    assert_float_equal(complete(&l, 2, 9100), 0, 0);
    copy_ledger_finish(&l);
    hand_plan_finish(&h);
}

static void a_copy_starts_when_the_one_before_it_completes(void **state) {
    (void)state;
    copy_ledger l = {0};
    hand_plan h;
    hand_plan_init(&h);
    submit(&l, &h, 0, LINK_TO_DEVICE, 0);
    submit(&l, &h, 1, LINK_TO_HOST, 0);
    submit(&l, &h, 2, LINK_TO_HOST, 10); /* waits for 1 until 100 */
    assert_float_equal(complete(&l, 1, 100), 1, 0);
    assert_float_equal(complete(&l, 0, 150), 1, 0);
    assert_float_equal(complete(&l, 2, 200), 0.5, 1e-12); /* not 150 / 190 */
    copy_ledger_finish(&l);
    hand_plan_finish(&h);
}

static void many_copies_complete_in_any_order_between_the_directions(void **state) {
    (void)state;
    enum { N = 100 };
    copy_ledger l = {0};
    hand_plan h;
    hand_plan_init(&h);
    for (uint64_t id = 0; id < N; id++) submit(&l, &h, id, id % 2, (int64_t)id);
    assert_int_equal(l.n, N);
    for (uint64_t id = 1; id < N; id += 2)
        assert_float_equal(complete(&l, id, 1000 + (int64_t)id), 1, 1e-2);
    for (uint64_t id = 0; id < N; id += 2) complete(&l, id, 2000 + (int64_t)id);
    assert_int_equal(l.n, 0);
    assert_int_equal(l.n_of[LINK_TO_HOST] + l.n_of[LINK_TO_DEVICE], 0);
    copy_ledger_finish(&l);
    hand_plan_finish(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asynchronous_copies_of_a_plan_are_taken_with_what_they_move),
        cmocka_unit_test(the_other_direction_counts_only_while_it_had_something_to_do),
        cmocka_unit_test(a_copy_starts_when_the_one_before_it_completes),
        cmocka_unit_test(many_copies_complete_in_any_order_between_the_directions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
