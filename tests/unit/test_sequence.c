/* test_sequence.c - slots of the sequence table, and queues through it. */
#include "sequence.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uint32_t add(sequence_table *t, uint64_t id, uint32_t n_prompt) {
    uint32_t slot;
    request req = {.id = id, .n_prompt = n_prompt, .n_output_max = 1};
    assert_int_equal(sequence_add(t, &slot, &req, false), ST_OK);
    return slot;
}

/* The list holds exactly these, linked both ways. */
static void expect_list(const sequence_list *l, const sequence_table *t, const uint32_t *ids,
                        uint32_t n) {
    assert_int_equal(l->n, n);
    assert_int_equal(l->first, n ? ids[0] : NO_SEQ);
    assert_int_equal(l->last, n ? ids[n - 1] : NO_SEQ);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(t->seqs[ids[i]].prev, i > 0 ? ids[i - 1] : NO_SEQ);
        assert_int_equal(t->seqs[ids[i]].next, i + 1 < n ? ids[i + 1] : NO_SEQ);
    }
}

static void a_new_sequence_waits_with_nothing_done(void **state) {
    (void)state;
    sequence_table t;
    sequence_table_init(&t);
    uint32_t slot = add(&t, 41, 5);
    const sequence *s = &t.seqs[slot];
    assert_int_equal(s->state, SEQ_WAITING);
    assert_int_equal(s->req.id, 41);
    assert_int_equal(sequence_len(s), 5);
    assert_int_equal(s->n_computed + s->n_output + s->n_slots, 0);
    assert_int_equal(t.n_used, 1);
    sequence_table_finish(&t);
}

static void slots_are_used_again_last_freed_first(void **state) {
    (void)state;
    sequence_table t;
    sequence_table_init(&t);
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(add(&t, i, 1), i);
    sequence_remove(&t, 0);
    sequence_remove(&t, 2);
    assert_int_equal(t.n_used, 1);
    assert_int_equal(add(&t, 10, 1), 2);
    assert_int_equal(add(&t, 11, 1), 0);
    assert_int_equal(add(&t, 12, 1), 3);
    assert_int_equal(t.n_touched, 4);
    sequence_table_finish(&t);
}

static void a_slot_used_again_keeps_the_memory_of_its_block_table(void **state) {
    (void)state;
    sequence_table t;
    sequence_table_init(&t);
    uint32_t slot = add(&t, 0, 1);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(sequence_push_slot(&t.seqs[slot], (kv_slot){i, i + 1}), ST_OK);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(t.seqs[slot].slots[i].device, i);
        assert_int_equal(t.seqs[slot].slots[i].host, i + 1);
    }
    kv_slot *slots = t.seqs[slot].slots;
    uint32_t capacity = t.seqs[slot].slots_capacity;
    t.seqs[slot].n_slots = 0;
    sequence_remove(&t, slot);
    assert_int_equal(add(&t, 1, 1), slot);
    assert_ptr_equal(t.seqs[slot].slots, slots);
    assert_int_equal(t.seqs[slot].slots_capacity, capacity);
    assert_int_equal(t.seqs[slot].n_slots, 0);
    sequence_table_finish(&t);
}

static void sequences_stay_what_they_are_while_the_table_grows(void **state) {
    (void)state;
    enum { N = 5000 };
    sequence_table t;
    sequence_table_init(&t);
    for (uint32_t i = 0; i < N; i++) assert_int_equal(add(&t, i, i + 1), i);
    for (uint32_t i = 0; i < N; i++) assert_int_equal(t.seqs[i].req.n_prompt, i + 1);
    assert_int_equal(t.n_used, N);
    sequence_table_finish(&t);
}

static void prefix_ids_are_copied_only_if_they_are_kept(void **state) {
    (void)state;
    sequence_table t;
    sequence_table_init(&t);
    uint64_t ids[2] = {7, 8};
    request req = {.n_prompt = 8,
                   .n_output_max = 1,
                   .prefix_ids = ids,
                   .n_prefix_ids = 2,
                   .prefix_tokens = 4};
    uint32_t kept, dropped;
    assert_int_equal(sequence_add(&t, &kept, &req, true), ST_OK);
    assert_int_equal(sequence_add(&t, &dropped, &req, false), ST_OK);
    ids[0] = ids[1] = 0; /* the source's next call */
    assert_int_equal(t.seqs[kept].req.prefix_ids[0], 7);
    assert_int_equal(t.seqs[kept].req.prefix_ids[1], 8);
    assert_null(t.seqs[dropped].req.prefix_ids);
    assert_int_equal(t.seqs[dropped].req.n_prefix_ids, 0);
    sequence_remove(&t, kept);
    sequence_table_finish(&t);
}

static void a_list_keeps_its_order_through_every_kind_of_change(void **state) {
    (void)state;
    sequence_table t;
    sequence_table_init(&t);
    for (uint32_t i = 0; i < 6; i++) add(&t, i, 1);
    sequence_list l = SEQUENCE_LIST_EMPTY;
    expect_list(&l, &t, NULL, 0);
    assert_int_equal(sequence_list_pop_front(&l, &t), NO_SEQ);
    assert_int_equal(sequence_list_pop_back(&l, &t), NO_SEQ);
    sequence_list_push_back(&l, &t, 3);
    sequence_list_push_front(&l, &t, 1);
    sequence_list_push_back(&l, &t, 4);
    sequence_list_insert_after(&l, &t, 1, 2);
    sequence_list_insert_after(&l, &t, NO_SEQ, 0);
    sequence_list_insert_after(&l, &t, 4, 5);
    expect_list(&l, &t, (uint32_t[]){0, 1, 2, 3, 4, 5}, 6);
    sequence_list_remove(&l, &t, 2);
    expect_list(&l, &t, (uint32_t[]){0, 1, 3, 4, 5}, 5);
    assert_int_equal(sequence_list_pop_front(&l, &t), 0);
    assert_int_equal(sequence_list_pop_back(&l, &t), 5);
    expect_list(&l, &t, (uint32_t[]){1, 3, 4}, 3);
    while (l.n > 0) sequence_list_remove(&l, &t, l.last);
    expect_list(&l, &t, NULL, 0);
    sequence_table_finish(&t);
}

static void lists_of_every_length_append(void **state) {
    (void)state;
    enum { N = 4 };
    for (uint32_t n_a = 0; n_a < N; n_a++) {
        for (uint32_t n_b = 0; n_b < N; n_b++) {
            sequence_table t;
            sequence_table_init(&t);
            sequence_list a = SEQUENCE_LIST_EMPTY, b = SEQUENCE_LIST_EMPTY;
            uint32_t ids[2 * N];
            for (uint32_t i = 0; i < n_a + n_b; i++) {
                ids[i] = add(&t, i, 1);
                sequence_list_push_back(i < n_a ? &a : &b, &t, i);
            }
            sequence_list_append(&a, &t, &b);
            expect_list(&a, &t, ids, n_a + n_b);
            expect_list(&b, &t, NULL, 0);
            sequence_table_finish(&t);
        }
    }
}

static bool shorter(const sequence *a, const sequence *b) {
    return a->req.n_prompt < b->req.n_prompt;
}

/* All lists of five sequences with four different keys, ties among them. */
static void sorting_is_stable_for_every_order_of_a_small_list(void **state) {
    (void)state;
    enum { N = 5, N_KEYS = 4, N_LISTS = 4 * 4 * 4 * 4 * 4 };
    for (uint32_t list = 0; list < N_LISTS; list++) {
        sequence_table t;
        sequence_table_init(&t);
        sequence_list l = SEQUENCE_LIST_EMPTY;
        uint32_t rest = list, sorted[N], n = 0;
        for (uint32_t i = 0; i < N; i++, rest /= N_KEYS)
            sequence_list_push_back(&l, &t, add(&t, i, 1 + rest % N_KEYS));
        for (uint32_t key = 1; key <= N_KEYS; key++)
            for (uint32_t i = 0; i < N; i++)
                if (t.seqs[i].req.n_prompt == key) sorted[n++] = i;
        sequence_list_sort(&l, &t, shorter);
        expect_list(&l, &t, sorted, N);
        sequence_table_finish(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_sequence_waits_with_nothing_done),
        cmocka_unit_test(slots_are_used_again_last_freed_first),
        cmocka_unit_test(a_slot_used_again_keeps_the_memory_of_its_block_table),
        cmocka_unit_test(sequences_stay_what_they_are_while_the_table_grows),
        cmocka_unit_test(prefix_ids_are_copied_only_if_they_are_kept),
        cmocka_unit_test(a_list_keeps_its_order_through_every_kind_of_change),
        cmocka_unit_test(lists_of_every_length_append),
        cmocka_unit_test(sorting_is_stable_for_every_order_of_a_small_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
