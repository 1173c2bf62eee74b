/* test_cohort.c - counters of the decode cohort against sequences counted one by one. */
#include "cohort.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { N_SEQS = 4, BLOCK_TOKENS_MAX = 4 };

/* The plain way: every member's counters written at every tick. */
typedef struct plain_member {
    bool in;
    uint32_t n_output, n_computed;
} plain_member;

typedef struct world {
    sequence_table t;
    cohort c;
    plain_member plain[N_SEQS];
} world;

/* Sequence i has a prompt of i + 2 tokens; running order is against the slots. */
static void world_init(world *w, uint32_t block_tokens) {
    *w = (world){0};
    sequence_table_init(&w->t);
    assert_int_equal(cohort_init(&w->c, block_tokens), ST_OK);
    for (uint32_t i = 0; i < N_SEQS; i++) {
        uint32_t slot;
        request req = {.id = i, .n_prompt = i + 2, .n_output_max = 1000};
        assert_int_equal(sequence_add(&w->t, &slot, &req, false), ST_OK);
        sequence *s = &w->t.seqs[slot];
        s->n_output = 1;
        s->n_computed = req.n_prompt;
        s->running_no = -(int64_t)i;
        w->plain[i] = (plain_member){false, 1, req.n_prompt};
    }
}

static void world_finish(world *w) {
    cohort_finish(&w->c);
    sequence_table_finish(&w->t);
}

static void join(world *w, uint32_t i) {
    assert_int_equal(cohort_join(&w->c, &w->t, i), ST_OK);
    w->plain[i].in = true;
}

static void leave(world *w, uint32_t i) {
    cohort_leave(&w->c, &w->t, i);
    w->plain[i].in = false;
}

static void advance(world *w, uint32_t n) {
    cohort_advance(&w->c, n);
    for (uint32_t i = 0; i < N_SEQS; i++) {
        w->plain[i].n_output += w->plain[i].in ? n : 0;
        w->plain[i].n_computed += w->plain[i].in ? n : 0;
    }
}

static bool grows(const world *w, uint32_t i, uint32_t later) {
    return w->plain[i].in && (w->plain[i].n_computed + later) % w->c.block_tokens == 0;
}

/* The bucket holds those that need a block then, in running order. */
static void expect_growth(const world *w, uint32_t later) {
    const cohort_bucket *b = cohort_growth(&w->c, later);
    uint32_t id = b->first, n = 0;
    for (uint32_t i = N_SEQS; i-- > 0;) {
        if (!grows(w, i, later)) continue;
        assert_int_equal(id, i);
        id = w->t.seqs[id].phase_next;
        n++;
    }
    assert_int_equal(id, NO_SEQ);
    assert_int_equal(b->n, n);
}

static uint32_t plain_ticks_within(const world *w, uint64_t n_blocks, uint32_t n_max) {
    uint32_t tick = 0;
    for (; tick < n_max; tick++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < N_SEQS; i++) n += grows(w, i, tick);
        if (n > n_blocks) break;
        n_blocks -= n;
    }
    return tick;
}

static void expect_equal(const world *w) {
    uint64_t kv_tokens = 0, kv_max = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < N_SEQS; i++) {
        assert_int_equal(cohort_n_output(&w->c, &w->t.seqs[i]), w->plain[i].n_output);
        assert_int_equal(cohort_n_computed(&w->c, &w->t.seqs[i]), w->plain[i].n_computed);
        if (!w->plain[i].in) continue;
        kv_tokens += w->plain[i].n_computed;
        if (kv_max < w->plain[i].n_computed) kv_max = w->plain[i].n_computed;
        n++;
    }
    assert_int_equal(w->c.n, n);
    assert_int_equal(w->c.kv_tokens, kv_tokens);
    assert_int_equal(cohort_kv_max(&w->c), kv_max);
    for (uint32_t later = 0; later < 2 * w->c.block_tokens; later++) expect_growth(w, later);
    for (uint64_t n_blocks = 0; n_blocks < 9; n_blocks++)
        for (uint32_t n_max = 1; n_max <= 12; n_max++)
            assert_int_equal(cohort_ticks_within(&w->c, n_blocks, n_max),
                             plain_ticks_within(w, n_blocks, n_max));
}

/* Every way in which up to two members change between ticks, six times over. */
static void counts_as_if_every_member_was_written_at_every_tick(void **state) {
    (void)state;
    for (uint32_t block_tokens = 1; block_tokens <= BLOCK_TOKENS_MAX; block_tokens++) {
        for (uint32_t path = 0; path < 1u << 12; path++) {
            world w;
            world_init(&w, block_tokens);
            for (uint32_t step = 0; step < 6; step++) {
                uint32_t i = path >> 2 * step & 3;
                if (w.plain[i].in)
                    leave(&w, i);
                else
                    join(&w, i);
                if (step % 2) advance(&w, 1 + (path + step) % 5);
            }
            expect_equal(&w);
            world_finish(&w);
        }
    }
}

static void newcomers_are_listed_until_the_next_tick(void **state) {
    (void)state;
    world w;
    world_init(&w, 2);
    join(&w, 2);
    join(&w, 0);
    join(&w, 3);
    leave(&w, 0);
    assert_int_equal(w.c.n_joined, 2);
    assert_int_equal(w.c.joined[0], 2);
    assert_int_equal(w.c.joined[1], 3);
    advance(&w, 1);
    assert_int_equal(w.c.n_joined, 0);
    join(&w, 1);
    leave(&w, 2); /* an old one */
    assert_int_equal(w.c.n_joined, 1);
    assert_int_equal(w.c.joined[0], 1);
    world_finish(&w);
}

static void no_time_passes_in_no_ticks(void **state) {
    (void)state;
    world w;
    world_init(&w, 3);
    join(&w, 0);
    cohort_advance(&w.c, 0);
    expect_equal(&w);
    assert_int_equal(w.c.n_joined, 1);
    world_finish(&w);
}

static void an_empty_cohort_never_runs_short(void **state) {
    (void)state;
    world w;
    world_init(&w, 3);
    assert_int_equal(cohort_ticks_within(&w.c, 0, 1000), 1000);
    assert_int_equal(cohort_kv_max(&w.c), 0);
    world_finish(&w);
}

static void growth_follows_a_new_running_order(void **state) {
    (void)state;
    world w;
    world_init(&w, 1); /* everyone grows at every tick */
    sequence_list running = SEQUENCE_LIST_EMPTY;
    static const uint32_t order[N_SEQS] = {1, 3, 0, 2};
    for (uint32_t i = 0; i < N_SEQS; i++) join(&w, i);
    for (uint32_t i = 0; i < N_SEQS; i++) {
        sequence_list_push_back(&running, &w.t, order[i]);
        w.t.seqs[order[i]].running_no = i;
    }
    cohort_reorder(&w.c, &w.t, &running);
    uint32_t id = cohort_growth(&w.c, 0)->first;
    for (uint32_t i = 0; i < N_SEQS; i++, id = w.t.seqs[id].phase_next)
        assert_int_equal(id, order[i]);
    assert_int_equal(id, NO_SEQ);
    assert_int_equal(cohort_growth(&w.c, 0)->n, N_SEQS);
    world_finish(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_as_if_every_member_was_written_at_every_tick),
        cmocka_unit_test(newcomers_are_listed_until_the_next_tick),
        cmocka_unit_test(no_time_passes_in_no_ticks),
        cmocka_unit_test(an_empty_cohort_never_runs_short),
        cmocka_unit_test(growth_follows_a_new_running_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
