/* copy_thread.h - asynchronous copies of KV blocks in one direction, beside all else.
 *
 * Copies run one after the other in the order of pushing. Each reports itself on the board when
 * its last block is there. Whoever pushes keeps the blocks on both sides as they are until
 * then, and has reserved the event. Threads: one pushes; the copies run on a thread of their
 * own. */
#ifndef COPY_THREAD_H
#define COPY_THREAD_H

#include "arena.h"
#include "event_board.h"
#include "plan.h"

typedef struct copy_thread copy_thread;

/* The arenas and the board are borrowed. ST_NO_MEMORY; ST_IO: no thread can be had. */
MUST_USE status copy_thread_create(copy_thread **out, link_direction direction,
                                   const arena *device, const arena *host, event_board *board,
                                   errbuf *err);

/* Ends the copy at hand and drops those behind it. t may be NULL. */
void copy_thread_destroy(copy_thread *t);

/* Queues a copy. The pairs are copied. ST_NO_MEMORY: nothing changed. */
MUST_USE status copy_thread_push(copy_thread *t, uint64_t id, const block_pair *pairs,
                                 uint32_t n_pairs);

/* Held, it takes up no further copy; the one at hand goes on. */
void copy_thread_hold(copy_thread *t, bool held);

/* Copies blocks here and now, as the threads do. */
void copy_blocks(link_direction direction, const arena *device, const arena *host,
                 const block_pair *pairs, uint32_t n_pairs);

#endif
