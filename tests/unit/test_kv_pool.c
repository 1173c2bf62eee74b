/* test_kv_pool.c - which block is handed out next, and which one a key finds. */
#include "kv_pool.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static kv_pool *make_pool(uint32_t n_blocks, uint32_t block_tokens) {
    kv_pool *p;
    assert_int_equal(kv_pool_create(&p, n_blocks, block_tokens), ST_OK);
    return p;
}

static void expect_takes(kv_pool *p, const uint32_t *ids, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) assert_int_equal(kv_pool_take(p), ids[i]);
    assert_true(kv_pool_check(p));
}

static void a_fresh_pool_hands_out_ascending_ids_until_it_is_empty(void **state) {
    (void)state;
    kv_pool *p = make_pool(3, 16);
    assert_int_equal(kv_pool_n_blocks(p), 3);
    assert_int_equal(kv_pool_block_tokens(p), 16);
    assert_int_equal(kv_pool_n_free(p), 3);
    expect_takes(p, (uint32_t[]){0, 1, 2, KV_NO_BLOCK, KV_NO_BLOCK}, 5);
    assert_int_equal(kv_pool_n_free(p), 0);
    kv_pool_destroy(p);
}

static void a_pool_of_no_blocks_is_always_empty(void **state) {
    (void)state;
    kv_pool *p = make_pool(0, 4);
    assert_int_equal(kv_pool_take(p), KV_NO_BLOCK);
    assert_int_equal(kv_pool_find(p, 7), KV_NO_BLOCK);
    assert_true(kv_pool_check(p));
    kv_pool_destroy(p);
    kv_pool_destroy(NULL);
}

static void senseless_sizes_are_refused_and_nothing_is_written(void **state) {
    (void)state;
    kv_pool *untouched = (kv_pool *)&state, *p = untouched;
    assert_int_equal(kv_pool_create(&p, 8, 0), ST_INVALID);
    assert_int_equal(kv_pool_create(&p, KV_NO_BLOCK, 4), ST_INVALID);
    assert_ptr_equal(p, untouched);
}

static void blocks_cover_tokens_rounded_up(void **state) {
    (void)state;
    for (uint32_t block_tokens = 1; block_tokens <= 33; block_tokens++) {
        kv_pool *p = make_pool(1, block_tokens);
        for (uint32_t n = 0; n <= 100; n++) {
            uint32_t blocks = kv_pool_blocks_for(p, n);
            assert_true((uint64_t)blocks * block_tokens >= n);
            assert_true(blocks == 0 || (uint64_t)(blocks - 1) * block_tokens < n);
        }
        assert_int_equal(kv_pool_blocks_for(p, UINT64_C(1000000) * block_tokens), 1000000);
        kv_pool_destroy(p);
    }
}

static void the_last_holder_frees_a_block(void **state) {
    (void)state;
    kv_pool *p = make_pool(2, 4);
    uint32_t id = kv_pool_take(p);
    kv_pool_retain(p, id);
    kv_pool_retain(p, id);
    for (uint32_t n = 3; n > 0; n--) {
        assert_int_equal(kv_pool_holders(p, id), n);
        assert_int_equal(kv_pool_n_free(p), 1);
        kv_pool_release(p, id);
    }
    assert_int_equal(kv_pool_holders(p, id), 0);
    assert_int_equal(kv_pool_n_free(p), 2);
    kv_pool_destroy(p);
}

static void freed_blocks_are_reused_first_unless_keyed_or_whole(void **state) {
    (void)state;
    kv_pool *p = make_pool(6, 4);
    expect_takes(p, (uint32_t[]){0, 1, 2, 3}, 4);
    kv_pool_set_key(p, 0, 77);
    kv_pool_set_whole(p, 1);
    assert_true(kv_pool_is_whole(p, 0));
    assert_true(kv_pool_is_whole(p, 1));
    assert_false(kv_pool_is_whole(p, 2));
    for (uint32_t id = 0; id < 4; id++) kv_pool_release(p, id);
    expect_takes(p, (uint32_t[]){3, 2, 4, 5, 0, 1, KV_NO_BLOCK}, 7);
    assert_false(kv_pool_is_whole(p, 1)); /* until it is filled again */
    kv_pool_destroy(p);
}

static void a_key_finds_its_block_until_the_block_is_handed_out(void **state) {
    (void)state;
    kv_pool *p = make_pool(2, 4);
    uint32_t id = kv_pool_take(p);
    assert_int_equal(kv_pool_key(p, id), KV_NO_KEY);
    kv_pool_set_key(p, id, 5);
    assert_int_equal(kv_pool_key(p, id), 5);
    assert_int_equal(kv_pool_find(p, 5), id);
    kv_pool_release(p, id);
    assert_int_equal(kv_pool_find(p, 5), id);
    kv_pool_retain(p, id); /* a hit takes it out of the free queue */
    assert_int_equal(kv_pool_n_free(p), 1);
    kv_pool_release(p, id);
    expect_takes(p, (uint32_t[]){1, 0}, 2);
    assert_int_equal(kv_pool_find(p, 5), KV_NO_BLOCK);
    assert_int_equal(kv_pool_key(p, id), KV_NO_KEY);
    kv_pool_destroy(p);
}

static void a_new_key_replaces_the_old_one(void **state) {
    (void)state;
    kv_pool *p = make_pool(1, 4);
    uint32_t id = kv_pool_take(p);
    kv_pool_set_key(p, id, 5);
    kv_pool_set_key(p, id, 6);
    assert_int_equal(kv_pool_find(p, 5), KV_NO_BLOCK);
    assert_int_equal(kv_pool_find(p, 6), id);
    kv_pool_destroy(p);
}

static void of_equal_keys_the_block_keyed_first_is_found(void **state) {
    (void)state;
    kv_pool *p = make_pool(4, 4);
    expect_takes(p, (uint32_t[]){0, 1, 2}, 3);
    kv_pool_set_key(p, 2, 9);
    kv_pool_set_key(p, 0, 9);
    kv_pool_set_key(p, 1, 9 + 8); /* the same place of a small index, another key */
    assert_int_equal(kv_pool_find(p, 9), 2);
    kv_pool_release(p, 2);
    expect_takes(p, (uint32_t[]){3, 2}, 2); /* block 2 forgets its key */
    assert_int_equal(kv_pool_find(p, 9), 0);
    assert_int_equal(kv_pool_find(p, 9 + 8), 1);
    kv_pool_destroy(p);
}

static void untake_restores_queue_keys_and_precedence(void **state) {
    (void)state;
    kv_pool *p = make_pool(3, 4);
    expect_takes(p, (uint32_t[]){0, 1, 2}, 3);
    kv_pool_set_key(p, 0, 9);
    kv_pool_set_key(p, 1, 9);
    kv_pool_set_key(p, 2, 9);
    for (uint32_t id = 0; id < 3; id++) kv_pool_release(p, id);
    for (int round = 0; round < 2; round++) {
        expect_takes(p, (uint32_t[]){0, 1}, 2);
        assert_int_equal(kv_pool_find(p, 9), 2);
        kv_pool_untake(p, 1);
        assert_int_equal(kv_pool_find(p, 9), 1);
        kv_pool_untake(p, 0);
        assert_int_equal(kv_pool_find(p, 9), 0);
        assert_true(kv_pool_check(p));
    }
    /* A block that is hit after an untake goes to the back again, as one with a key does. */
    kv_pool_retain(p, 0);
    kv_pool_release(p, 0);
    expect_takes(p, (uint32_t[]){1, 2, 0}, 3);
    kv_pool_destroy(p);
}

static void a_fifo_pool_reuses_blocks_in_the_order_of_their_release(void **state) {
    (void)state;
    kv_pool *p = make_pool(4, 4);
    kv_pool_set_fifo(p);
    expect_takes(p, (uint32_t[]){0, 1, 2}, 3);
    kv_pool_set_key(p, 1, 9);
    kv_pool_release(p, 2);
    kv_pool_release(p, 1);
    kv_pool_release(p, 0);
    expect_takes(p, (uint32_t[]){3, 2, 1, 0, KV_NO_BLOCK}, 5);
    kv_pool_destroy(p);
}

static void in_a_fifo_pool_a_key_is_on_the_block_that_got_it_last(void **state) {
    (void)state;
    kv_pool *p = make_pool(3, 4);
    kv_pool_set_fifo(p);
    expect_takes(p, (uint32_t[]){0, 1}, 2);
    kv_pool_set_key(p, 1, 9);
    kv_pool_set_key(p, 0, 9);
    assert_int_equal(kv_pool_find(p, 9), 0);
    assert_int_equal(kv_pool_key(p, 1), KV_NO_KEY);
    kv_pool_release(p, 0);
    expect_takes(p, (uint32_t[]){2, 0}, 2); /* block 0 forgets it: block 1 is not found */
    assert_int_equal(kv_pool_find(p, 9), KV_NO_BLOCK);
    kv_pool_destroy(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_pool_hands_out_ascending_ids_until_it_is_empty),
        cmocka_unit_test(a_pool_of_no_blocks_is_always_empty),
        cmocka_unit_test(senseless_sizes_are_refused_and_nothing_is_written),
        cmocka_unit_test(blocks_cover_tokens_rounded_up),
        cmocka_unit_test(the_last_holder_frees_a_block),
        cmocka_unit_test(freed_blocks_are_reused_first_unless_keyed_or_whole),
        cmocka_unit_test(a_key_finds_its_block_until_the_block_is_handed_out),
        cmocka_unit_test(a_new_key_replaces_the_old_one),
        cmocka_unit_test(of_equal_keys_the_block_keyed_first_is_found),
        cmocka_unit_test(untake_restores_queue_keys_and_precedence),
        cmocka_unit_test(a_fifo_pool_reuses_blocks_in_the_order_of_their_release),
        cmocka_unit_test(in_a_fifo_pool_a_key_is_on_the_block_that_got_it_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
