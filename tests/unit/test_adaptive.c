/* test_adaptive.c - what the adaptive policy evicts and how it brings it back, in scenes small
 * enough to know the end of. In most of them two requests fill the pool and the older one,
 * request 0, needs a block first: request 1 has to make room. */
#include "adaptive_state.h"
#include "scene.h"

#include <stdio.h>
#include <string.h>

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void only_as_many_blocks_are_taken_as_are_needed(void **state) {
    (void)state;
    scene c;
    scene_start_two(&c, "always-swap,partial=on", 20);
    scene_run_until(&c, 3);
    const sequence *q = scene_seq_of(&c, 1);
    assert_int_equal(q->state, SEQ_SWAPPED);
    assert_int_equal(q->n_computed, 10);
    assert_int_equal(sequence_n_on_device(q), 2);
    assert_int_equal(sequence_n_on_host(q), 3);
    assert_int_equal(scene_seq_of(&c, 0)->n_slots, 3);
    scene_finish(&c);
    scene_start_two(&c, "always-swap,partial=off", 20);
    scene_run_until(&c, 3);
    assert_int_equal(sequence_n_on_device(scene_seq_of(&c, 1)), 0);
    scene_finish(&c);
}

static void what_was_written_back_goes_for_nothing(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "always-recompute,write_back=on,partial=on", 5, 20);
    c.constants.latency.byte_s = 1e-6; /* all at once */
    scene_start(&c);
    scene_add(&c, 7, 30);
    scene_add(&c, 9, 30);
    scene_add(&c, 16, 1); /* waits: there is a shortage */
    scene_run_until(&c, 2);
    assert_int_equal(sequence_n_on_host(scene_seq_of(&c, 1)), 2); /* the full ones */
    scene_decide(&c); /* request 0 needs its third block */
    assert_int_equal(c.d.plan->n_preempted, 1);
    for (uint32_t i = 0; i < c.d.plan->n_copies; i++)
        assert_int_equal(c.d.plan->copies[i].seq, scene_slot_of(&c, 0)); /* a new full block */
    const sequence *q = scene_seq_of(&c, 1);
    assert_int_equal(q->n_computed, 8); /* the partial block was dropped */
    assert_int_equal(sequence_n_on_device(q), 2);
    scene_complete(&c);
    scene_run_until(&c, 6);
    scene_decide(&c); /* and its fourth */
    assert_int_equal(q->n_computed, 8);
    assert_int_equal(sequence_n_on_device(q), 1);
    assert_int_equal(sequence_n_on_host(q), 2);
    assert_int_equal(scene_seq_of(&c, 0)->n_slots, 4);
    scene_complete(&c);
    scene_finish(&c);
}

static void without_room_on_the_host_kv_is_dropped(void **state) {
    (void)state;
    scene c;
    scene_start_two(&c, "always-swap", 2);
    scene_run_until(&c, 2);
    assert_int_equal(scene_seq_of(&c, 1)->state, SEQ_WAITING);
    assert_int_equal(c.d.n_out_blocks, 0);
    while (c.d.n_ended < 2) scene_run_until(&c, c.step + 1);
    assert_int_equal(c.d.n_preempted, 1);
    assert_int_equal(scheduler_n_free_device(c.d.scheduler), 5);
    scene_finish(&c);
}

static void a_restored_sequence_runs_once_its_copy_has_ended(void **state) {
    (void)state;
    scene c;
    scene_start_two(&c, "always-swap,partial=on", 20);
    c.d.n_copy_steps = 2;
    while (c.d.n_ended < 1) scene_run_until(&c, c.step + 1);
    assert_int_equal(scene_seq_of(&c, 1)->state, SEQ_SWAPPED);
    uint32_t n_lost = 3 - sequence_n_on_device(scene_seq_of(&c, 1));
    scene_decide(&c);
    const sequence *q = scene_seq_of(&c, 1);
    assert_int_equal(q->state, SEQ_RUNNING);
    assert_int_equal(c.d.n_in_blocks, n_lost);
    assert_int_equal(q->n_arriving, 1);
    assert_int_equal(c.d.plan->n_tokens, 0);
    /* Its third block is going to be written to: the copy of it is not kept. */
    assert_int_equal(sequence_n_on_host(q), 2);
    scene_complete(&c);
    scene_decide(&c);
    assert_int_equal(c.d.plan->n_tokens, 0);
    scene_complete(&c);
    scene_decide(&c);
    assert_int_equal(c.d.plan->n_tokens, 0);
    scene_complete(&c);
    scene_decide(&c);
    plan_chunk chunk = scene_chunk_of(&c, 1);
    assert_int_equal(chunk.n_before, 10);
    assert_int_equal(chunk.n_tokens, 1);
    assert_int_equal(chunk.n_recomputed, 0);
    scene_complete(&c);
    while (c.d.n_ended < 2) scene_run_until(&c, c.step + 1);
    assert_int_equal(c.d.n_tokens, 8 + 7 + 10 + 9);
    scene_finish(&c);
}

static void a_block_written_to_again_is_copied_again(void **state) {
    (void)state;
    scene c;
    scene_start_two(&c, "always-swap,partial=on", 20);
    while (scene_seq_of(&c, 1)->state == SEQ_RUNNING) scene_run_until(&c, c.step + 1);
    assert_int_equal(c.d.n_out_blocks, 3);
    while (c.d.n_ended < 1) scene_run_until(&c, c.step + 1);
    scene_run_until(&c, c.step + 1);
    assert_int_equal(scene_seq_of(&c, 1)->state, SEQ_RUNNING);
    assert_int_equal(sequence_n_on_host(scene_seq_of(&c, 1)), 2);
    /* Once more, with another token in its third block. */
    scene_run_until(&c, c.step + 1);
    uint32_t id = scene_slot_of(&c, 1);
    scheduler *s = c.d.scheduler;
    assert_int_equal(n_computed_of(s, id), 11);
    plan_clear(&s->plan);
    assert_int_equal(adaptive_pause(s, id), ST_OK);
    assert_int_equal(s->plan.n_pairs, 1);
    assert_int_equal(s->plan.pairs[0].device, scene_seq_of(&c, 1)->slots[2].device);
    scene_finish(&c);
}

/* A front of one block of eight is worth it: each block that streams holds memory for 0.2 ms,
 * and the first takes 0.1 ms to compute, the second 0.26 ms more (their pairs). */
static void the_front_is_computed_while_the_tail_streams_in(void **state) {
    (void)state;
    scene c;
    scene_init(&c, "always-swap,mechanism=marginal,split=on", 12, 20);
    c.constants.latency = (plain_latency){.pair_s = 1e-5, .byte_s = 3e-4, .copy_slowdown = 1};
    scene_start(&c);
    c.d.n_copy_steps = 3;
    scene_add(&c, 12, 8);
    scene_add(&c, 31,
              10); /* needs its ninth block with the second token, and has to go itself */
    scene_run_until(&c, 3);
    assert_int_equal(scene_seq_of(&c, 1)->state, SEQ_SWAPPED);
    assert_int_equal(sequence_n_on_host(scene_seq_of(&c, 1)), 8);
    while (c.d.n_ended < 1) scene_run_until(&c, c.step + 1);
    scene_decide(&c);
    assert_int_equal(scene_seq_of(&c, 1)->n_kept, 32);
    assert_int_equal(scene_chunk_of(&c, 1).n_before, 0);
    assert_int_equal(scene_chunk_of(&c, 1).n_tokens, 4);
    assert_int_equal(scene_chunk_of(&c, 1).n_recomputed, 4);
    assert_int_equal(c.d.n_in_blocks, 7);
    scene_complete(&c);
    for (int i = 0; i < 3; i++) {
        scene_decide(&c);
        assert_int_equal(c.d.plan->n_tokens, 0);
        assert_int_equal(scene_seq_of(&c, 1)->n_computed, 4);
        scene_complete(&c);
    }
    scene_decide(&c);
    assert_int_equal(scene_chunk_of(&c, 1).n_before, 32);
    assert_int_equal(scene_chunk_of(&c, 1).n_tokens, 1);
    assert_int_equal(scene_seq_of(&c, 1)->n_kept, 0);
    scene_complete(&c);
    while (c.d.n_ended < 2) scene_run_until(&c, c.step + 1);
    assert_int_equal(c.d.n_tokens, 12 + 7 + 31 + 9 + 4);
    scene_finish(&c);
}

/* Blocks that leave by copy when a recompute takes 1 ms, within an interval of spread * 2.8 ms,
 * and both copies hold memory worth 3.6 times the time of one block. */
static uint64_t copied_if(double block_s, double spread, bool last_copied) {
    scene c;
    scene_init(&c, "always-swap,mechanism=marginal", 5, 20);
    c.constants.latency.byte_s = block_s;
    c.constants.spread = spread;
    scene_start(&c);
    adaptive_of(c.d.scheduler)->last_copied = last_copied;
    scene_add(&c, 8, 8);
    scene_add(&c, 10, 10);
    scene_run_until(&c, 2);
    assert_int_equal(c.d.n_preempted, 1);
    uint64_t n = c.d.n_out_blocks;
    scene_finish(&c);
    return n;
}

static void a_choice_flips_only_when_it_is_clear(void **state) {
    (void)state;
    static const double cheaper_s = 2.5e-4, dearer_s = 3e-4;
    assert_int_equal(copied_if(cheaper_s, 0, false), 3);
    assert_int_equal(copied_if(cheaper_s, 0.2, false), 0);
    assert_int_equal(copied_if(cheaper_s, 0.2, true), 3);
    assert_int_equal(copied_if(dearer_s, 0, true), 0);
    assert_int_equal(copied_if(dearer_s, 0.2, true), 3);
    assert_int_equal(copied_if(dearer_s, 0.2, false), 0);
    assert_int_equal(copied_if(1e-5, 0.2, false), 3);
    assert_int_equal(copied_if(1e-3, 0.2, true), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_as_many_blocks_are_taken_as_are_needed),
        cmocka_unit_test(what_was_written_back_goes_for_nothing),
        cmocka_unit_test(without_room_on_the_host_kv_is_dropped),
        cmocka_unit_test(a_restored_sequence_runs_once_its_copy_has_ended),
        cmocka_unit_test(a_block_written_to_again_is_copied_again),
        cmocka_unit_test(the_front_is_computed_while_the_tail_streams_in),
        cmocka_unit_test(a_choice_flips_only_when_it_is_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
