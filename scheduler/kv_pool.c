#include "kv_pool.h"

#include <assert.h>
#include <stdlib.h>

typedef struct block {
    uint32_t holders;
    uint32_t prev, next; /* in the free queue; next is KV_NO_BLOCK for the last */
    uint32_t next_same;  /* next block in the same key bucket, in order of keying */
    uint64_t key;        /* KV_NO_KEY, or the content */
    bool whole;          /* freed to the back of the queue */
    bool findable;       /* in the index; a taken block keeps its key for untake */
} block;

struct kv_pool {
    uint32_t n_blocks, n_free, block_tokens;
    uint32_t first, last; /* free queue */
    block *blocks;        /* [n_blocks] */
    uint32_t *buckets;    /* [bucket_mask + 1] first block by key; made with the first key */
    uint32_t bucket_mask;
    bool fifo;
};

status kv_pool_create(kv_pool **out, uint32_t n_blocks, uint32_t block_tokens) {
    if (block_tokens == 0 || n_blocks == KV_NO_BLOCK) return ST_INVALID;
    kv_pool *p = calloc(1, sizeof(*p));
    if (!p) return ST_NO_MEMORY;
    uint32_t n_buckets = 1;
    while (n_buckets / 2 < n_blocks && n_buckets < UINT32_C(1) << 31) n_buckets *= 2;
    p->blocks = calloc(n_blocks ? n_blocks : 1, sizeof(*p->blocks));
    p->buckets = malloc(n_buckets * sizeof(*p->buckets));
    if (!p->blocks || !p->buckets) {
        kv_pool_destroy(p);
        return ST_NO_MEMORY;
    }
    p->n_blocks = p->n_free = n_blocks;
    p->block_tokens = block_tokens;
    p->bucket_mask = n_buckets - 1;
    for (uint32_t i = 0; i < n_buckets; i++) p->buckets[i] = KV_NO_BLOCK;
    for (uint32_t id = 0; id < n_blocks; id++) {
        p->blocks[id].prev = id ? id - 1 : KV_NO_BLOCK;
        p->blocks[id].next = id + 1 < n_blocks ? id + 1 : KV_NO_BLOCK;
    }
    p->first = n_blocks ? 0 : KV_NO_BLOCK;
    p->last = n_blocks ? n_blocks - 1 : KV_NO_BLOCK;
    *out = p;
    return ST_OK;
}

void kv_pool_destroy(kv_pool *p) {
    if (!p) return;
    free(p->blocks);
    free(p->buckets);
    free(p);
}

void kv_pool_set_fifo(kv_pool *p) {
    p->fifo = true;
}

uint32_t kv_pool_n_blocks(const kv_pool *p) {
    return p->n_blocks;
}

uint32_t kv_pool_n_free(const kv_pool *p) {
    return p->n_free;
}

uint32_t kv_pool_block_tokens(const kv_pool *p) {
    return p->block_tokens;
}

uint32_t kv_pool_blocks_for(const kv_pool *p, uint64_t n_tokens) {
    return (uint32_t)((n_tokens + p->block_tokens - 1) / p->block_tokens);
}

static void push_front(kv_pool *p, uint32_t id) {
    p->blocks[id].prev = KV_NO_BLOCK;
    p->blocks[id].next = p->first;
    if (p->first != KV_NO_BLOCK)
        p->blocks[p->first].prev = id;
    else
        p->last = id;
    p->first = id;
    p->n_free++;
}

static void push_back(kv_pool *p, uint32_t id) {
    p->blocks[id].prev = p->last;
    p->blocks[id].next = KV_NO_BLOCK;
    if (p->last != KV_NO_BLOCK)
        p->blocks[p->last].next = id;
    else
        p->first = id;
    p->last = id;
    p->n_free++;
}

static void unqueue(kv_pool *p, uint32_t id) {
    block *b = &p->blocks[id];
    if (b->prev != KV_NO_BLOCK)
        p->blocks[b->prev].next = b->next;
    else
        p->first = b->next;
    if (b->next != KV_NO_BLOCK)
        p->blocks[b->next].prev = b->prev;
    else
        p->last = b->prev;
    p->n_free--;
}

/* Keys are hashes already; the low bits are as good as any. */
static uint32_t *bucket_of(const kv_pool *p, uint64_t key) {
    return &p->buckets[key & p->bucket_mask];
}

static void index_insert(kv_pool *p, uint32_t id) {
    uint32_t *first = bucket_of(p, p->blocks[id].key);
    p->blocks[id].next_same = *first;
    *first = id;
    p->blocks[id].findable = true;
}

static void index_remove(kv_pool *p, uint32_t id) {
    uint32_t *link = bucket_of(p, p->blocks[id].key);
    while (*link != id) link = &p->blocks[*link].next_same;
    *link = p->blocks[id].next_same;
    p->blocks[id].findable = false;
}

/* A pool's blocks and buckets do not fit a core's cache, and the next take is known. */
static void prefetch_next(const kv_pool *p) {
    if (p->first == KV_NO_BLOCK) return;
    const block *b = &p->blocks[p->first];
    __builtin_prefetch(bucket_of(p, b->key));
    if (b->next != KV_NO_BLOCK) __builtin_prefetch(&p->blocks[b->next]);
}

/* Undoes the latest removal: the chain is as it was then, so the block goes back in front of
 * the one that followed it, and of equal keys the same one is found as before. */
static void index_restore(kv_pool *p, uint32_t id) {
    uint32_t *link = bucket_of(p, p->blocks[id].key);
    while (*link != p->blocks[id].next_same) link = &p->blocks[*link].next_same;
    *link = id;
    p->blocks[id].findable = true;
}

uint32_t kv_pool_take(kv_pool *p) {
    uint32_t id = p->first;
    if (id == KV_NO_BLOCK) return KV_NO_BLOCK;
    unqueue(p, id);
    prefetch_next(p);
    block *b = &p->blocks[id];
    assert(b->holders == 0);
    if (b->findable)
        index_remove(p, id);
    else
        b->key = KV_NO_KEY;
    b->whole = false;
    b->holders = 1;
    return id;
}

void kv_pool_untake(kv_pool *p, uint32_t id) {
    assert(id < p->n_blocks);
    block *b = &p->blocks[id];
    assert(b->holders == 1);
    assert(!b->findable);
    b->holders = 0;
    if (b->key != KV_NO_KEY) {
        b->whole = true; /* as every block with a key */
        index_restore(p, id);
    }
    push_front(p, id);
}

void kv_pool_retain(kv_pool *p, uint32_t id) {
    assert(id < p->n_blocks);
    if (p->blocks[id].holders++ == 0) unqueue(p, id);
}

void kv_pool_release(kv_pool *p, uint32_t id) {
    assert(id < p->n_blocks);
    block *b = &p->blocks[id];
    assert(b->holders > 0); /* a double release is a scheduler bug */
    if (--b->holders > 0) return;
    if (b->whole || p->fifo)
        push_back(p, id);
    else
        push_front(p, id);
}

uint32_t kv_pool_holders(const kv_pool *p, uint32_t id) {
    assert(id < p->n_blocks);
    return p->blocks[id].holders;
}

void kv_pool_set_key(kv_pool *p, uint32_t id, uint64_t key) {
    assert(id < p->n_blocks);
    assert(key != KV_NO_KEY);
    assert(p->blocks[id].holders > 0);
    if (p->blocks[id].findable) index_remove(p, id);
    uint32_t earlier = p->fifo ? kv_pool_find(p, key) : KV_NO_BLOCK;
    if (earlier != KV_NO_BLOCK) index_remove(p, earlier);
    p->blocks[id].key = key;
    p->blocks[id].whole = true;
    index_insert(p, id);
}

void kv_pool_set_whole(kv_pool *p, uint32_t id) {
    assert(id < p->n_blocks);
    assert(p->blocks[id].holders > 0);
    p->blocks[id].whole = true;
}

bool kv_pool_is_whole(const kv_pool *p, uint32_t id) {
    assert(id < p->n_blocks);
    return p->blocks[id].whole;
}

uint64_t kv_pool_key(const kv_pool *p, uint32_t id) {
    assert(id < p->n_blocks);
    return p->blocks[id].findable ? p->blocks[id].key : KV_NO_KEY;
}

uint32_t kv_pool_find(const kv_pool *p, uint64_t key) {
    uint32_t found = KV_NO_BLOCK; /* the last of the bucket was keyed first */
    for (uint32_t id = *bucket_of(p, key); id != KV_NO_BLOCK; id = p->blocks[id].next_same)
        if (p->blocks[id].key == key) found = id;
    return found;
}

/* Walks the free queue both by links and by count. */
static bool free_queue_holds(const kv_pool *p) {
    uint32_t n = 0, prev = KV_NO_BLOCK;
    for (uint32_t id = p->first; id != KV_NO_BLOCK; id = p->blocks[id].next) {
        if (p->blocks[id].holders != 0 || p->blocks[id].prev != prev) return false;
        if (++n > p->n_blocks) return false;
        prev = id;
    }
    return n == p->n_free && prev == p->last;
}

bool kv_pool_check(const kv_pool *p) {
    if (!free_queue_holds(p)) return false;
    uint32_t n_free = 0;
    for (uint32_t id = 0; id < p->n_blocks; id++) {
        const block *b = &p->blocks[id];
        n_free += b->holders == 0;
        if (!b->findable) continue;
        uint32_t at = *bucket_of(p, b->key);
        while (at != KV_NO_BLOCK && at != id) at = p->blocks[at].next_same;
        if (at != id || b->key == KV_NO_KEY) return false;
    }
    return n_free == p->n_free;
}
