/* test_rank_heap.c - random operations on a heap against a plain array.
 *
 * SEED (default 1) is the seed of the first of RUNS runs. */
#include "rank_heap.h"
#include "rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { N_SLOTS = 300, N_STEPS = 3000, RUNS = 20 };

/* What the heap should hold. */
typedef struct model {
    uint64_t seed, n_draws;
    bool has[N_SLOTS];
    double rank[N_SLOTS];
    uint64_t request_id[N_SLOTS]; /* distinct among those that are in */
    uint32_t n;
} model;

static uint32_t draw(model *m, uint32_t n) {
    return (uint32_t)(rng_bits(m->seed, 1, m->n_draws++) % n);
}

/* Few different ranks, so that ids decide often. */
static double draw_rank(model *m) {
    return (double)draw(m, 12) - 5;
}

static bool precedes(const model *m, uint32_t a, uint32_t b) {
    if (m->rank[a] != m->rank[b]) return m->rank[a] < m->rank[b];
    return m->request_id[a] < m->request_id[b];
}

static uint32_t first_of(const model *m) {
    uint32_t first = UINT32_MAX;
    for (uint32_t i = 0; i < N_SLOTS; i++)
        if (m->has[i] && (first == UINT32_MAX || precedes(m, i, first))) first = i;
    return first;
}

static void push(model *m, rank_heap *h, uint32_t slot, uint64_t step) {
    m->has[slot] = true;
    m->rank[slot] = draw_rank(m);
    m->request_id[slot] = step * 7919 % N_STEPS; /* in no order */
    m->n++;
    assert_int_equal(rank_heap_push(h, slot, m->rank[slot], m->request_id[slot]), ST_OK);
}

static void take_out(model *m, rank_heap *h, uint32_t slot) {
    m->n -= m->has[slot];
    m->has[slot] = false;
    rank_heap_remove(h, slot);
}

static void rerank_all(model *m, rank_heap *h) {
    for (uint32_t i = 0; i < h->n; i++) {
        uint32_t slot = h->entries[i].seq;
        m->rank[slot] = h->entries[i].rank = draw_rank(m);
    }
    rank_heap_restore(h);
}

static void step(model *m, rank_heap *h, uint64_t number) {
    uint32_t slot = draw(m, N_SLOTS), what = draw(m, 100);
    if (what == 0) {
        rerank_all(m, h);
    } else if (what < 20) {
        take_out(m, h, slot); /* mostly one that is not in */
    } else if (what < 40 && m->n > 0) {
        take_out(m, h, rank_heap_first(h));
    } else if (!m->has[slot]) {
        push(m, h, slot, number);
    } else {
        m->rank[slot] = draw_rank(m);
        rank_heap_rerank(h, slot, m->rank[slot]);
    }
}

static void expect_agreement(const model *m, const rank_heap *h) {
    assert_true(rank_heap_check(h));
    assert_int_equal(h->n, m->n);
    for (uint32_t i = 0; i < N_SLOTS; i++) assert_int_equal(rank_heap_has(h, i), m->has[i]);
    assert_int_equal(rank_heap_first(h), first_of(m));
}

static uint64_t seed_from_environment(void) {
    const char *text = getenv("SEED");
    return text ? strtoull(text, NULL, 10) : 1;
}

static void it_holds_what_an_array_holds_and_knows_the_first(void **state) {
    (void)state;
    uint64_t seed = seed_from_environment();
    print_message("SEED=%" PRIu64 "\n", seed);
    for (uint64_t run = 0; run < RUNS; run++) {
        static model m;
        m = (model){.seed = seed + run};
        rank_heap h = RANK_HEAP_EMPTY;
        for (uint64_t i = 0; i < N_STEPS; i++) {
            step(&m, &h, i);
            expect_agreement(&m, &h);
        }
        rank_heap_finish(&h);
    }
}

static void the_first_ones_come_out_in_order(void **state) {
    (void)state;
    model m = {.seed = seed_from_environment()};
    rank_heap h = RANK_HEAP_EMPTY;
    for (uint32_t slot = 0; slot < N_SLOTS; slot++) push(&m, &h, slot, slot);
    uint32_t before = rank_heap_first(&h);
    rank_heap_remove(&h, before);
    while (h.n > 0) {
        uint32_t next = rank_heap_first(&h);
        assert_true(precedes(&m, before, next));
        rank_heap_remove(&h, next);
        before = next;
    }
    assert_int_equal(rank_heap_first(&h), UINT32_MAX);
    rank_heap_finish(&h);
}

static void ranks_without_bound_are_ranks(void **state) {
    (void)state;
    static const double ranks[] = {0, -1.0 / 0.0, 1.0 / 0.0, 5e-324, -0.0};
    rank_heap h = RANK_HEAP_EMPTY;
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(rank_heap_push(&h, i, ranks[i], i), ST_OK);
    static const uint32_t order[] = {1, 0, 4, 3, 2}; /* 0 and -0 are equal */
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(rank_heap_first(&h), order[i]);
        rank_heap_remove(&h, order[i]);
    }
    rank_heap_finish(&h);
}

static void check_sees_an_entry_out_of_place(void **state) {
    (void)state;
    rank_heap h = RANK_HEAP_EMPTY;
    for (uint32_t i = 0; i < 10; i++) assert_int_equal(rank_heap_push(&h, i, i, i), ST_OK);
    h.entries[4].rank = -1;
    assert_false(rank_heap_check(&h));
    rank_heap_restore(&h);
    assert_true(rank_heap_check(&h));
    assert_int_equal(rank_heap_first(&h), 4);
    h.places[2] = h.places[3];
    assert_false(rank_heap_check(&h));
    rank_heap_finish(&h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_an_array_holds_and_knows_the_first),
        cmocka_unit_test(the_first_ones_come_out_in_order),
        cmocka_unit_test(ranks_without_bound_are_ranks),
        cmocka_unit_test(check_sees_an_entry_out_of_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
