#include "step_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler_state.h"

void step_text_init(step_text *l, const char *between) {
    l->text[0] = '\0';
    l->n = 0;
    l->between = between;
    l->list_is_empty = true;
}

static void append(step_text *l, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void append(step_text *l, const char *format, va_list args) {
    int n = vsnprintf(l->text + l->n, sizeof(l->text) - l->n, format, args);
    if (n < 0 || (size_t)n >= sizeof(l->text) - l->n) {
        fprintf(stderr, "a step does not fit into a line of %zu characters\n", sizeof(l->text));
        abort();
    }
    l->n += (size_t)n;
}

void step_text_put(step_text *l, const char *format, ...) {
    va_list args;
    va_start(args, format);
    append(l, format, args);
    va_end(args);
    l->list_is_empty = true;
}

static void put_entry(step_text *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put_entry(step_text *l, const char *format, ...) {
    if (!l->list_is_empty) step_text_put(l, "%s", l->between);
    va_list args;
    va_start(args, format);
    append(l, format, args);
    va_end(args);
    l->list_is_empty = false;
}

static uint64_t request_id(const step_driver *d, uint32_t id) {
    return d->plan->seqs->seqs[id].req.id;
}

void step_text_prefills(step_text *l, const step_driver *d) {
    for (uint32_t i = 0; i < d->plan->n_chunks; i++) {
        const plan_chunk *c = &d->plan->chunks[i];
        if (!d->plan->seqs->seqs[c->seq].decoding)
            put_entry(l, "%" PRIu64 ":%" PRIu32, request_id(d, c->seq), c->n_tokens);
    }
}

static bool swapped_in_now(const step_driver *d, uint32_t id) {
    for (uint32_t i = 0; i < d->plan->n_copies; i++)
        if (d->plan->copies[i].seq == id && d->plan->copies[i].direction == LINK_TO_DEVICE)
            return true;
    return false;
}

static void put_decodes(step_text *l, const step_driver *d, bool swapped_in) {
    const sequence *seqs = d->plan->seqs->seqs;
    for (uint32_t id = d->scheduler->running.first; id != NO_SEQ; id = seqs[id].next)
        if (seqs[id].decoding && step_driver_tokens(d, id) > 0 &&
            swapped_in_now(d, id) == swapped_in)
            put_entry(l, "%" PRIu64, request_id(d, id));
}

void step_text_decodes(step_text *l, const step_driver *d) {
    put_decodes(l, d, false);
    put_decodes(l, d, true);
}

void step_text_scheduled(step_text *l, const step_driver *d) {
    uint32_t id = d->scheduler->running.first;
    for (; id != NO_SEQ; id = d->plan->seqs->seqs[id].next)
        if (step_driver_tokens(d, id) > 0)
            put_entry(l, "%" PRIu64 ":%" PRIu32, request_id(d, id), step_driver_tokens(d, id));
}

static int compare_texts(const void *a, const void *b) {
    return strcmp(a, b);
}

void step_text_preempted(step_text *l, const step_driver *d) {
    enum { DIGITS_MAX = 21 };
    uint32_t n = d->plan->n_preempted;
    char(*ids)[DIGITS_MAX] = malloc((n + 1) * sizeof(*ids));
    if (!ids) abort();
    for (uint32_t i = 0; i < n; i++)
        snprintf(ids[i], sizeof(ids[i]), "%" PRIu64, request_id(d, d->plan->preempted[i]));
    qsort(ids, n, sizeof(*ids), compare_texts);
    for (uint32_t i = 0; i < n; i++) put_entry(l, "%s", ids[i]);
    free(ids);
}

void step_text_ignored(step_text *l, const step_driver *d) {
    for (uint32_t i = 0; i < d->plan->n_ignored; i++)
        put_entry(l, "%" PRIu64, request_id(d, d->plan->ignored[i]));
}

static void put_queue(step_text *l, const step_driver *d, const sequence_list *q) {
    for (uint32_t id = q->first; id != NO_SEQ; id = d->plan->seqs->seqs[id].next)
        put_entry(l, "%" PRIu64, request_id(d, id));
}

void step_text_waiting(step_text *l, const step_driver *d) {
    put_queue(l, d, &d->scheduler->waiting);
}

void step_text_running(step_text *l, const step_driver *d) {
    put_queue(l, d, &d->scheduler->running);
}

void step_text_swapped(step_text *l, const step_driver *d) {
    put_queue(l, d, &d->scheduler->swapped);
}

uint32_t step_text_n_copied(const step_driver *d, link_direction direction) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < d->plan->n_copies; i++)
        if (d->plan->copies[i].direction == direction) n += d->plan->copies[i].n_pairs;
    return n;
}

uint32_t step_text_n_free_device(const step_driver *d) {
    return scheduler_n_free_device(d->scheduler) + d->scheduler->n_bound_ahead;
}
