#include "compute_thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct compute_thread {
    void (*job)(void *context);
    void *context;
    pthread_t thread;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t changed;
    bool has_thread, has_lock, has_cond;
    bool wanted, ends;
};

/* Waits for a start. False: the thread shall end. */
static bool take(compute_thread *t) {
    pthread_mutex_lock(&t->lock);
    while (!t->wanted && !t->ends) pthread_cond_wait(&t->changed, &t->lock);
    bool wanted = t->wanted;
    t->wanted = false;
    pthread_mutex_unlock(&t->lock);
    return wanted;
}

static void *work(void *context) {
    compute_thread *t = context;
    while (take(t)) t->job(t->context);
    return NULL;
}

status compute_thread_create(compute_thread **out, void (*job)(void *context), void *context,
                             errbuf *err) {
    compute_thread *t = calloc(1, sizeof(*t));
    if (!t) return fail(err, ST_NO_MEMORY, "out of memory for the compute thread");
    t->job = job;
    t->context = context;
    t->has_lock = pthread_mutex_init(&t->lock, NULL) == 0;
    t->has_cond = pthread_cond_init(&t->changed, NULL) == 0;
    if (t->has_lock && t->has_cond)
        t->has_thread = pthread_create(&t->thread, NULL, work, t) == 0;
    if (!t->has_thread) {
        compute_thread_destroy(t);
        return fail(err, ST_IO, "cannot start a thread for compute");
    }
    *out = t;
    return ST_OK;
}

static void stop(compute_thread *t) {
    pthread_mutex_lock(&t->lock);
    t->ends = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
}

void compute_thread_destroy(compute_thread *t) {
    if (!t) return;
    if (t->has_thread) stop(t);
    if (t->has_cond) pthread_cond_destroy(&t->changed);
    if (t->has_lock) pthread_mutex_destroy(&t->lock);
    free(t);
}

void compute_thread_start(compute_thread *t) {
    pthread_mutex_lock(&t->lock);
    t->wanted = true;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
}
