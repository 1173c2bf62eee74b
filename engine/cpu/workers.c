/* workers.c - a round number tells the threads that there is work. See workers.h. */
#include "workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SPINS = 4000 }; /* tens of microseconds */

typedef struct worker_thread {
    workers *owner;
    pthread_t id;
    uint32_t index;
} worker_thread;

struct workers {
    uint32_t n, n_started;  /* workers; threads that run: n - 1, fewer in a failed create */
    worker_thread *threads; /* [n - 1] */
    worker_task task;
    void *context;
    bool ending;
    atomic_uint round;  /* counts tasks; a change is the start signal */
    atomic_uint n_busy; /* threads that have not finished this round */
    pthread_mutex_t lock;
    pthread_cond_t started, finished; /* changes of round; n_busy at 0 */
};

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void wait_for_round(workers *w, uint32_t round) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&w->round) == round) return;
        pause_briefly();
    }
    pthread_mutex_lock(&w->lock);
    while (atomic_load(&w->round) != round) pthread_cond_wait(&w->started, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static void wait_for_all(workers *w) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&w->n_busy) == 0) return;
        pause_briefly();
    }
    pthread_mutex_lock(&w->lock);
    while (atomic_load(&w->n_busy) != 0) pthread_cond_wait(&w->finished, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static void *run_thread(void *argument) {
    worker_thread *t = argument;
    workers *w = t->owner;
    for (uint32_t round = 1;; round++) {
        wait_for_round(w, round);
        if (w->ending) return NULL;
        w->task(w->context, t->index, w->n);
        if (atomic_fetch_sub(&w->n_busy, 1) != 1) continue;
        pthread_mutex_lock(&w->lock); /* so that the owner is asleep or still looks */
        pthread_cond_signal(&w->finished);
        pthread_mutex_unlock(&w->lock);
    }
}

static void start_round(workers *w) {
    atomic_store(&w->n_busy, w->n_started);
    pthread_mutex_lock(&w->lock);
    atomic_fetch_add(&w->round, 1);
    pthread_cond_broadcast(&w->started);
    pthread_mutex_unlock(&w->lock);
}

static status start_threads(workers *w, errbuf *err) {
    for (uint32_t i = 0; i + 1 < w->n; i++) {
        w->threads[i] = (worker_thread){.owner = w, .index = i + 1};
        int error = pthread_create(&w->threads[i].id, NULL, run_thread, &w->threads[i]);
        if (error) return fail(err, ST_IO, "thread %u of %u: %s", i + 1, w->n, strerror(error));
        w->n_started++;
    }
    return ST_OK;
}

status workers_create(workers **out, uint32_t n, errbuf *err) {
    if (n == 0) return fail(err, ST_INVALID, "the number of threads is 0");
    workers *w = calloc(1, sizeof(*w));
    if (!w) return ST_NO_MEMORY;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->started, NULL);
    pthread_cond_init(&w->finished, NULL);
    w->n = n;
    w->threads = calloc(n, sizeof(*w->threads));
    status st = w->threads ? start_threads(w, err) : ST_NO_MEMORY;
    if (st != ST_OK) {
        workers_destroy(w);
        return st;
    }
    *out = w;
    return ST_OK;
}

void workers_destroy(workers *w) {
    if (!w) return;
    w->ending = true;
    start_round(w);
    for (uint32_t i = 0; i < w->n_started; i++) pthread_join(w->threads[i].id, NULL);
    pthread_cond_destroy(&w->finished);
    pthread_cond_destroy(&w->started);
    pthread_mutex_destroy(&w->lock);
    free(w->threads);
    free(w);
}

uint32_t workers_count(const workers *w) {
    return w->n;
}

void workers_run(workers *w, worker_task task, void *context) {
    w->task = task;
    w->context = context;
    if (w->n_started) start_round(w);
    task(context, 0, w->n);
    if (w->n_started) wait_for_all(w);
}
