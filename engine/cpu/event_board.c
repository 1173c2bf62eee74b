#include "event_board.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static const int64_t NS_PER_S = 1000000000;

struct event_board {
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t posted;
    bool has_lock, has_cond;
    bool started;
    int64_t started_ns; /* of the system's clock */
    int64_t latest_ns;  /* of an event */
    board_event *ring;  /* [capacity] n of them from first on */
    uint32_t first, n, capacity;
    uint32_t n_promised; /* reserved and not posted */
    uint32_t n_copying;
    int64_t copying_since_ns, copying_ns;
};

static int64_t system_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* With the lock held. */
static int64_t now_ns(event_board *b) {
    if (!b->started) {
        b->started = true;
        b->started_ns = system_ns();
    }
    return system_ns() - b->started_ns;
}

/* A condition that waits by the clock that the board reads. */
static bool init_cond(pthread_cond_t *cond) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return false;
    bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(cond, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return made;
}

status event_board_create(event_board **out, errbuf *err) {
    event_board *b = calloc(1, sizeof(*b));
    if (!b) return fail(err, ST_NO_MEMORY, "out of memory for the engine's events");
    b->has_lock = pthread_mutex_init(&b->lock, NULL) == 0;
    b->has_cond = init_cond(&b->posted);
    if (!b->has_lock || !b->has_cond) {
        event_board_destroy(b);
        return fail(err, ST_IO, "no lock for the engine's events");
    }
    *out = b;
    return ST_OK;
}

void event_board_destroy(event_board *b) {
    if (!b) return;
    if (b->has_cond) pthread_cond_destroy(&b->posted);
    if (b->has_lock) pthread_mutex_destroy(&b->lock);
    free(b->ring);
    free(b);
}

int64_t event_board_now_ns(event_board *b) {
    pthread_mutex_lock(&b->lock);
    int64_t now = now_ns(b);
    pthread_mutex_unlock(&b->lock);
    return now;
}

static status grow(event_board *b) {
    uint32_t capacity = b->capacity ? 2 * b->capacity : 16;
    board_event *ring = malloc(capacity * sizeof(*ring));
    if (!ring) return ST_NO_MEMORY;
    for (uint32_t i = 0; i < b->n; i++) ring[i] = b->ring[(b->first + i) % b->capacity];
    free(b->ring);
    b->ring = ring;
    b->first = 0;
    b->capacity = capacity;
    return ST_OK;
}

status event_board_reserve(event_board *b) {
    pthread_mutex_lock(&b->lock);
    status st = b->n + b->n_promised < b->capacity ? ST_OK : grow(b);
    if (st == ST_OK) b->n_promised++;
    pthread_mutex_unlock(&b->lock);
    return st;
}

void event_board_post(event_board *b, board_event event) {
    pthread_mutex_lock(&b->lock);
    assert(b->n_promised > 0);
    event.at_ns = now_ns(b);
    if (event.at_ns <= b->latest_ns) event.at_ns = b->latest_ns + 1;
    b->latest_ns = event.at_ns;
    b->n_promised--;
    b->ring[(b->first + b->n++) % b->capacity] = event;
    pthread_cond_signal(&b->posted);
    pthread_mutex_unlock(&b->lock);
}

/* Until something is posted, or until_ns. With the lock held. */
static void wait_once(event_board *b, int64_t until_ns) {
    if (until_ns > INT64_MAX - b->started_ns) {
        pthread_cond_wait(&b->posted, &b->lock);
        return;
    }
    int64_t at_ns = b->started_ns + until_ns;
    struct timespec at = {.tv_sec = (time_t)(at_ns / NS_PER_S),
                          .tv_nsec = (long)(at_ns % NS_PER_S)};
    pthread_cond_timedwait(&b->posted, &b->lock, &at);
}

bool event_board_wait(event_board *b, board_event *out, int64_t until_ns) {
    pthread_mutex_lock(&b->lock);
    while (b->n == 0 && now_ns(b) < until_ns) wait_once(b, until_ns);
    bool found = b->n > 0 && b->ring[b->first].at_ns <= until_ns;
    if (found) {
        *out = b->ring[b->first];
        b->first = (b->first + 1) % b->capacity;
        b->n--;
    } else if (b->latest_ns < until_ns) {
        b->latest_ns = until_ns; /* what is posted from here on is later */
    }
    pthread_mutex_unlock(&b->lock);
    return found;
}

void event_board_copy_starts(event_board *b) {
    pthread_mutex_lock(&b->lock);
    if (b->n_copying++ == 0) b->copying_since_ns = now_ns(b);
    pthread_mutex_unlock(&b->lock);
}

void event_board_copy_ends(event_board *b) {
    pthread_mutex_lock(&b->lock);
    assert(b->n_copying > 0);
    if (--b->n_copying == 0) b->copying_ns += now_ns(b) - b->copying_since_ns;
    pthread_mutex_unlock(&b->lock);
}

double event_board_copying_s(event_board *b) {
    pthread_mutex_lock(&b->lock);
    int64_t ns = b->copying_ns + (b->n_copying ? now_ns(b) - b->copying_since_ns : 0);
    pthread_mutex_unlock(&b->lock);
    return (double)ns * 1e-9;
}
