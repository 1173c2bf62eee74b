#include "copy_link.h"

#include <assert.h>
#include <stdlib.h>

void copy_link_init(copy_link *l, double slowdown) {
    assert(slowdown >= 1);
    *l = (copy_link){.slowdown = slowdown};
}

void copy_link_finish(copy_link *l) {
    for (int d = 0; d < N_LINK_DIRECTIONS; d++) free(l->queues[d].jobs);
}

static copy_job *head(const copy_link *l, int direction) {
    const copy_queue *q = &l->queues[direction];
    return q->n ? &q->jobs[q->first] : NULL;
}

static double rate(const copy_link *l) {
    return head(l, LINK_TO_HOST) && head(l, LINK_TO_DEVICE) ? 1 / l->slowdown : 1;
}

static void progress(copy_link *l, int64_t now_ns) {
    assert(now_ns >= l->now_ns);
    double passed_s = (double)(now_ns - l->now_ns) * 1e-9, speed = rate(l);
    l->now_ns = now_ns;
    bool busy = false;
    for (int d = 0; d < N_LINK_DIRECTIONS; d++) {
        copy_job *job = head(l, d);
        if (!job) continue;
        job->left_s -= passed_s * speed;
        busy = true;
    }
    if (busy) l->busy_s += passed_s;
}

static status grow(copy_queue *q) {
    uint32_t capacity = q->capacity ? 2 * q->capacity : 16;
    copy_job *jobs = malloc(capacity * sizeof(*jobs));
    if (!jobs) return ST_NO_MEMORY;
    for (uint32_t i = 0; i < q->n; i++) jobs[i] = q->jobs[(q->first + i) % q->capacity];
    free(q->jobs);
    *q = (copy_queue){jobs, 0, q->n, capacity};
    return ST_OK;
}

status copy_link_add(copy_link *l, link_direction direction, uint64_t id, double seconds,
                     int64_t now_ns) {
    copy_queue *q = &l->queues[direction];
    if (q->n == q->capacity && grow(q) != ST_OK) return ST_NO_MEMORY;
    progress(l, now_ns);
    q->jobs[(q->first + q->n++) % q->capacity] = (copy_job){id, seconds, seconds, now_ns};
    return ST_OK;
}

static int64_t end_of(const copy_link *l, const copy_job *job) {
    double left_ns = job->left_s / rate(l) * 1e9;
    if (left_ns <= 0) return l->now_ns;
    int64_t whole = (int64_t)left_ns;
    return l->now_ns + whole + ((double)whole < left_ns);
}

int64_t copy_link_next_ns(const copy_link *l) {
    int64_t next = INT64_MAX;
    for (int d = 0; d < N_LINK_DIRECTIONS; d++) {
        const copy_job *job = head(l, d);
        if (job && end_of(l, job) < next) next = end_of(l, job);
    }
    return next;
}

bool copy_link_advance(copy_link *l, int64_t now_ns, copy_job *done) {
    if (now_ns > l->now_ns) progress(l, now_ns);
    int ended = -1;
    for (int d = 0; d < N_LINK_DIRECTIONS; d++) {
        const copy_job *job = head(l, d);
        if (job && end_of(l, job) <= now_ns && (ended < 0 || job->id < head(l, ended)->id))
            ended = d;
    }
    if (ended < 0) return false;
    copy_queue *q = &l->queues[ended];
    *done = q->jobs[q->first];
    q->first = (q->first + 1) % q->capacity;
    q->n--;
    if (q->n) q->jobs[q->first].started_ns = now_ns;
    return true;
}
