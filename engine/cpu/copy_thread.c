#include "copy_thread.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct copy_order {
    struct copy_order *next;
    uint64_t id;
    uint32_t n_pairs;
    block_pair pairs[]; /* [n_pairs] */
} copy_order;

struct copy_thread {
    link_direction direction;
    const arena *device, *host;
    event_board *board;
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t pushed;
    bool has_thread, has_lock, has_cond;
    bool held, ends;
    copy_order *first, *last;
};

void copy_blocks(link_direction direction, const arena *device, const arena *host,
                 const block_pair *pairs, uint32_t n_pairs) {
    size_t bytes = device->block_floats * sizeof(float);
    for (uint32_t i = 0; i < n_pairs; i++) {
        assert(pairs[i].device < device->n_blocks);
        assert(pairs[i].host < host->n_blocks);
        float *d = arena_block(device, pairs[i].device), *h = arena_block(host, pairs[i].host);
        memcpy(direction == LINK_TO_HOST ? h : d, direction == LINK_TO_HOST ? d : h, bytes);
    }
}

/* Waits for the next copy; NULL: the thread shall end. */
static copy_order *take(copy_thread *t) {
    pthread_mutex_lock(&t->lock);
    while ((!t->first || t->held) && !t->ends) pthread_cond_wait(&t->pushed, &t->lock);
    copy_order *o = t->ends ? NULL : t->first;
    if (o) {
        t->first = o->next;
        if (!t->first) t->last = NULL;
    }
    pthread_mutex_unlock(&t->lock);
    return o;
}

static void *copy_all(void *context) {
    copy_thread *t = context;
    for (copy_order *o; (o = take(t)) != NULL; free(o)) {
        event_board_copy_starts(t->board);
        int64_t started_ns = event_board_now_ns(t->board);
        copy_blocks(t->direction, t->device, t->host, o->pairs, o->n_pairs);
        int64_t ended_ns = event_board_now_ns(t->board);
        event_board_copy_ends(t->board);
        event_board_post(t->board,
                         (board_event){.kind = BOARD_COPY,
                                       .copy_id = o->id,
                                       .copy_s = (double)(ended_ns - started_ns) * 1e-9});
    }
    return NULL;
}

status copy_thread_create(copy_thread **out, link_direction direction, const arena *device,
                          const arena *host, event_board *board, errbuf *err) {
    copy_thread *t = calloc(1, sizeof(*t));
    if (!t) return fail(err, ST_NO_MEMORY, "out of memory for a copy thread");
    t->direction = direction;
    t->device = device;
    t->host = host;
    t->board = board;
    t->has_lock = pthread_mutex_init(&t->lock, NULL) == 0;
    t->has_cond = pthread_cond_init(&t->pushed, NULL) == 0;
    if (t->has_lock && t->has_cond)
        t->has_thread = pthread_create(&t->thread, NULL, copy_all, t) == 0;
    if (!t->has_thread) {
        copy_thread_destroy(t);
        return fail(err, ST_IO, "cannot start a thread for copies");
    }
    *out = t;
    return ST_OK;
}

static void stop(copy_thread *t) {
    pthread_mutex_lock(&t->lock);
    t->ends = true;
    pthread_cond_signal(&t->pushed);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
}

void copy_thread_destroy(copy_thread *t) {
    if (!t) return;
    if (t->has_thread) stop(t);
    for (copy_order *o = t->first, *next; o; o = next) {
        next = o->next;
        free(o);
    }
    if (t->has_cond) pthread_cond_destroy(&t->pushed);
    if (t->has_lock) pthread_mutex_destroy(&t->lock);
    free(t);
}

void copy_thread_hold(copy_thread *t, bool held) {
    pthread_mutex_lock(&t->lock);
    t->held = held;
    pthread_cond_signal(&t->pushed);
    pthread_mutex_unlock(&t->lock);
}

status copy_thread_push(copy_thread *t, uint64_t id, const block_pair *pairs,
                        uint32_t n_pairs) {
    copy_order *o = malloc(sizeof(*o) + n_pairs * sizeof(*pairs));
    if (!o) return ST_NO_MEMORY;
    *o = (copy_order){.id = id, .n_pairs = n_pairs};
    if (n_pairs > 0) memcpy(o->pairs, pairs, n_pairs * sizeof(*pairs));
    pthread_mutex_lock(&t->lock);
    if (t->last)
        t->last->next = o;
    else
        t->first = o;
    t->last = o;
    pthread_cond_signal(&t->pushed);
    pthread_mutex_unlock(&t->lock);
    return ST_OK;
}
