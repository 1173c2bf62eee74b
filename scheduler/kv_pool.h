/* kv_pool.h - pool of KV-cache blocks, shared by reference count, with content keys.
 *
 * A block holds the K and V of block_tokens tokens for all layers. The pool hands out ids only:
 * the simulator keeps nothing behind an id, an engine maps it to memory, so both run out of
 * blocks at the same request. One pool is the device's, another the host's.
 *
 * A block may carry a key that names its content (prefix caching). A keyed block stays findable
 * after its last holder let go, until it is handed out again. Equal keys may sit on several
 * blocks; the one keyed first is found.
 *
 * Invariant: a block is free (no holders, in the free queue once) or held.
 * Order:     the free queue is taken from the front. A freed block with a key, or whole, goes
 *            to the back, any other to the front (reused first), unless the pool is fifo. Equal
 *            calls give equal ids.
 * Threads:   one owner per pool, no locking. */
#ifndef KV_POOL_H
#define KV_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

#define KV_NO_BLOCK UINT32_MAX  /* no block id */
#define KV_NO_KEY   UINT64_C(0) /* no content key */

typedef struct kv_pool kv_pool;

/* Makes a pool with every block free; n_blocks may be 0. On error *out is not written.
 * ST_INVALID: block_tokens is 0 or n_blocks is KV_NO_BLOCK. ST_NO_MEMORY. */
MUST_USE status kv_pool_create(kv_pool **out, uint32_t n_blocks, uint32_t block_tokens);

/* Frees the pool, held blocks included. p may be NULL. */
void kv_pool_destroy(kv_pool *p);

/* From here on every freed block goes to the back of the queue, and a key is on the block that
 * got it last and on no other (nano-vllm). */
void kv_pool_set_fifo(kv_pool *p);

uint32_t kv_pool_n_blocks(const kv_pool *p);
uint32_t kv_pool_n_free(const kv_pool *p);
uint32_t kv_pool_block_tokens(const kv_pool *p);

/* Blocks that cover n_tokens: ceil(n_tokens / block_tokens). */
uint32_t kv_pool_blocks_for(const kv_pool *p, uint64_t n_tokens);

/* Takes one block with one holder and forgets its key. KV_NO_BLOCK: none is free. */
uint32_t kv_pool_take(kv_pool *p);

/* Undoes the latest takes that are not undone yet: call it with the ids in reverse order of
 * taking, before anything else touched the pool. A forgotten key is remembered again, at its
 * old place among equal ones. */
void kv_pool_untake(kv_pool *p, uint32_t id);

/* Adds a holder; a free block leaves the free queue and keeps its key. */
void kv_pool_retain(kv_pool *p, uint32_t id);

/* Drops one holder; the last one frees the block. */
void kv_pool_release(kv_pool *p, uint32_t id);

uint32_t kv_pool_holders(const kv_pool *p, uint32_t id);

/* Names the content of a held block; a key given before is replaced. key is not KV_NO_KEY. */
void kv_pool_set_key(kv_pool *p, uint32_t id, uint64_t key);

/* Marks a held block as whole: once free it waits at the back of the queue like one with a key,
 * and can be given its key as long as it is held. It cannot be found without. */
void kv_pool_set_whole(kv_pool *p, uint32_t id);
bool kv_pool_is_whole(const kv_pool *p, uint32_t id);

/* KV_NO_KEY when the block has none. */
uint64_t kv_pool_key(const kv_pool *p, uint32_t id);

/* A block with this key, held or free; KV_NO_BLOCK when there is none. */
uint32_t kv_pool_find(const kv_pool *p, uint64_t key);

/* True if the invariant holds and every key can be found; O(n_blocks). */
bool kv_pool_check(const kv_pool *p);

#endif
