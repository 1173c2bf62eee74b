/* prop_kv_pool.c - the pool against a plain array model that searches for everything.
 *
 * First every sequence of a few operations on two blocks and two keys, then random operations
 * on random small pools. SEED (default 1) is the seed of the random ones, PROP_ITERS (default
 * 200000) their number. */
#include "kv_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { N_BLOCKS_MAX = 12, N_KEYS_MAX = 4 };

typedef struct model_block {
    uint32_t holders;
    uint64_t key;      /* findable by it unless KV_NO_KEY */
    uint64_t keyed_at; /* number of the operation that gave it */
    bool whole;
} model_block;

typedef struct model {
    bool fifo;
    uint32_t n_blocks, n_keys, n_free, n_taken;
    uint64_t n_operations;
    model_block blocks[N_BLOCKS_MAX];
    uint32_t free_ids[N_BLOCKS_MAX]; /* [n_free] the next one to take first */
    /* What the latest takes took away: [n_taken] */
    uint32_t taken_ids[N_BLOCKS_MAX];
    model_block taken[N_BLOCKS_MAX];
} model;

static void model_init(model *m, bool fifo, uint32_t n_blocks, uint32_t n_keys) {
    *m = (model){.fifo = fifo, .n_blocks = n_blocks, .n_keys = n_keys, .n_free = n_blocks};
    for (uint32_t id = 0; id < n_blocks; id++) m->free_ids[id] = id;
}

static void free_insert(model *m, uint32_t at, uint32_t id) {
    memmove(m->free_ids + at + 1, m->free_ids + at, (m->n_free - at) * sizeof(m->free_ids[0]));
    m->free_ids[at] = id;
    m->n_free++;
}

static void free_remove(model *m, uint32_t id) {
    uint32_t at = 0;
    while (m->free_ids[at] != id) at++;
    m->n_free--;
    memmove(m->free_ids + at, m->free_ids + at + 1, (m->n_free - at) * sizeof(m->free_ids[0]));
}

static uint32_t model_take(model *m) {
    if (m->n_free == 0) return KV_NO_BLOCK;
    uint32_t id = m->free_ids[0];
    m->taken_ids[m->n_taken] = id;
    m->taken[m->n_taken++] = m->blocks[id];
    free_remove(m, id);
    m->blocks[id] = (model_block){.holders = 1};
    return id;
}

static uint32_t model_untake(model *m) {
    uint32_t id = m->taken_ids[--m->n_taken];
    m->blocks[id] = m->taken[m->n_taken];
    free_insert(m, 0, id);
    return id;
}

static void model_release(model *m, uint32_t id) {
    if (--m->blocks[id].holders > 0) return;
    free_insert(m, m->blocks[id].whole || m->fifo ? m->n_free : 0, id);
}

static void model_set_key(model *m, uint32_t id, uint64_t key) {
    for (uint32_t other = 0; m->fifo && other < m->n_blocks; other++)
        if (m->blocks[other].key == key) m->blocks[other].key = KV_NO_KEY;
    m->blocks[id].key = key;
    m->blocks[id].keyed_at = m->n_operations;
    m->blocks[id].whole = true;
}

static uint32_t model_find(const model *m, uint64_t key) {
    uint32_t found = KV_NO_BLOCK;
    for (uint32_t id = 0; id < m->n_blocks; id++)
        if (m->blocks[id].key == key &&
            (found == KV_NO_BLOCK || m->blocks[id].keyed_at < m->blocks[found].keyed_at))
            found = id;
    return found;
}

static void expect_equal(const kv_pool *p, const model *m) {
    assert_true(kv_pool_check(p));
    assert_int_equal(kv_pool_n_free(p), m->n_free);
    for (uint32_t id = 0; id < m->n_blocks; id++) {
        const model_block *b = &m->blocks[id];
        assert_int_equal(kv_pool_holders(p, id), b->holders);
        assert_int_equal(kv_pool_key(p, id), b->key);
        if (b->holders > 0) assert_int_equal(kv_pool_is_whole(p, id), b->whole);
    }
    for (uint64_t key = 1; key <= m->n_keys; key++)
        assert_int_equal(kv_pool_find(p, key), model_find(m, key));
}

typedef enum op_kind { TAKE, UNTAKE, RETAIN, RELEASE, SET_KEY, SET_WHOLE, N_OPS } op_kind;

typedef struct operation {
    op_kind kind;
    uint32_t id;
    uint64_t key;
} operation;

/* May the operation be done now? The pool's header says when. */
static bool is_allowed(const model *m, operation o) {
    const model_block *b = &m->blocks[o.id];
    switch (o.kind) {
    case TAKE:
        return true;
    case UNTAKE:
        return m->n_taken > 0;
    case RETAIN:
        return b->holders > 0 || b->key != KV_NO_KEY; /* a free one is a hit */
    default:
        return b->holders > 0;
    }
}

static void perform(kv_pool *p, model *m, operation o) {
    m->n_operations++;
    if (o.kind != TAKE && o.kind != UNTAKE) m->n_taken = 0; /* no way back from here */
    switch (o.kind) {
    case TAKE:
        assert_int_equal(kv_pool_take(p), model_take(m));
        break;
    case UNTAKE:
        kv_pool_untake(p, model_untake(m));
        break;
    case RETAIN:
        if (m->blocks[o.id].holders++ == 0) free_remove(m, o.id);
        kv_pool_retain(p, o.id);
        break;
    case RELEASE:
        model_release(m, o.id);
        kv_pool_release(p, o.id);
        break;
    case SET_KEY:
        model_set_key(m, o.id, o.key);
        kv_pool_set_key(p, o.id, o.key);
        break;
    case SET_WHOLE:
        m->blocks[o.id].whole = true;
        kv_pool_set_whole(p, o.id);
        break;
    case N_OPS:
        break;
    }
}

static kv_pool *make_pool(const model *m) {
    kv_pool *p;
    assert_int_equal(kv_pool_create(&p, m->n_blocks, 4), ST_OK);
    if (m->fifo) kv_pool_set_fifo(p);
    return p;
}

/* All operations on two blocks and two keys: [n] to operations. */
static uint32_t list_operations(operation *operations) {
    uint32_t n = 0;
    operations[n++] = (operation){TAKE, 0, 0};
    operations[n++] = (operation){UNTAKE, 0, 0};
    for (uint32_t id = 0; id < 2; id++) {
        operations[n++] = (operation){RETAIN, id, 0};
        operations[n++] = (operation){RELEASE, id, 0};
        operations[n++] = (operation){SET_WHOLE, id, 0};
        for (uint64_t key = 1; key <= 2; key++) operations[n++] = (operation){SET_KEY, id, key};
    }
    return n;
}

/* Replays a path of operations; false where one of them is not allowed. */
static bool replay(bool fifo, const operation *path, uint32_t n) {
    model m;
    model_init(&m, fifo, 2, 2);
    kv_pool *p = make_pool(&m);
    for (uint32_t i = 0; i < n; i++) {
        if (!is_allowed(&m, path[i])) {
            kv_pool_destroy(p);
            return false;
        }
        perform(p, &m, path[i]);
    }
    expect_equal(p, &m);
    kv_pool_destroy(p);
    return true;
}

enum { DEPTH = 8 };

/* Every allowed path that starts with path[0..n), each checked at its end. */
static uint64_t explore(bool fifo, operation *path, uint32_t n, const operation *all,
                        uint32_t n_all) {
    if (!replay(fifo, path, n)) return 0;
    uint64_t n_paths = 1;
    for (uint32_t i = 0; n < DEPTH && i < n_all; i++) {
        path[n] = all[i];
        n_paths += explore(fifo, path, n + 1, all, n_all);
    }
    return n_paths;
}

static void every_short_sequence_of_operations_agrees_with_the_model(void **state) {
    (void)state;
    operation all[16], path[DEPTH];
    uint32_t n_all = list_operations(all);
    /* Both blocks taken first: what is possible before is little. */
    path[0] = path[1] = (operation){TAKE, 0, 0};
    for (int fifo = 0; fifo < 2; fifo++) {
        uint64_t n_paths = explore(fifo, path, 2, all, n_all);
        print_message("%llu sequences\n", (unsigned long long)n_paths);
        assert_true(n_paths > 100000);
    }
}

static uint64_t from_environment(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static operation draw(const model *m, uint64_t seed, uint64_t i) {
    uint64_t bits = rng_bits(seed, 1, i);
    /* Many takes, so that blocks are reused, and runs of untakes behind them. */
    static const op_kind kinds[] = {TAKE,    TAKE,    TAKE,    UNTAKE,  UNTAKE,  RETAIN,
                                    RELEASE, RELEASE, RELEASE, SET_KEY, SET_KEY, SET_WHOLE};
    return (operation){kinds[bits % 12], (uint32_t)(bits >> 16) % m->n_blocks,
                       1 + (bits >> 48) % m->n_keys};
}

static void random_operations_agree_with_the_model(void **state) {
    (void)state;
    enum { PER_POOL = 500 };
    uint64_t seed = from_environment("SEED", 1), n = from_environment("PROP_ITERS", 200000);
    print_message("SEED=%llu PROP_ITERS=%llu\n", (unsigned long long)seed,
                  (unsigned long long)n);
    kv_pool *p = NULL;
    model m = {0};
    for (uint64_t i = 0; i < n; i++) {
        if (i % PER_POOL == 0) {
            uint64_t bits = rng_bits(seed, 2, i);
            kv_pool_destroy(p);
            model_init(&m, bits >> 63, 1 + (uint32_t)(bits % N_BLOCKS_MAX),
                       1 + (uint32_t)(bits >> 32) % N_KEYS_MAX);
            p = make_pool(&m);
        }
        operation o = draw(&m, seed, i);
        if (!is_allowed(&m, o)) continue;
        perform(p, &m, o);
        expect_equal(p, &m);
    }
    kv_pool_destroy(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_sequence_of_operations_agrees_with_the_model),
        cmocka_unit_test(random_operations_agree_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
