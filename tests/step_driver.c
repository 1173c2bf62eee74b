#include "step_driver.h"

#include <stdio.h>
#include <stdlib.h>

#include "rng.h"

/* A test cannot go on without memory. */
static void *must(void *memory) {
    if (!memory) {
        fprintf(stderr, "out of memory\n");
        abort();
    }
    return memory;
}

static void must_be_ok(status st, const errbuf *err) {
    if (st == ST_OK) return;
    fprintf(stderr, "%s: %s\n", status_text(st), err->text);
    abort();
}

void step_driver_init(step_driver *d, const scheduler_config *config) {
    errbuf err = {0};
    *d = (step_driver){.step_ns = 1};
    must_be_ok(scheduler_create(&d->scheduler, config, &err), &err);
}

void step_driver_finish(step_driver *d) {
    scheduler_destroy(d->scheduler);
    free(d->n_output);
    free(d->finished);
    free(d->ended);
    free(d->copies);
}

void step_driver_add(step_driver *d, const request *req, uint32_t n_output) {
    errbuf err = {0};
    uint32_t id;
    must_be_ok(scheduler_add(d->scheduler, &id, req), &err);
    if (id >= d->n_output_capacity) {
        d->n_output_capacity = 2 * id + 16;
        d->n_output = must(realloc(d->n_output, d->n_output_capacity * sizeof(*d->n_output)));
    }
    d->n_output[id] = n_output;
    if (scheduler_is_oracle(d->scheduler)) scheduler_reveal(d->scheduler, id, n_output);
}

static void end_request(step_driver *d, uint32_t id) {
    if (d->n_ended == d->ended_capacity) {
        d->ended_capacity = 2 * d->ended_capacity + 16;
        d->ended = must(realloc(d->ended, d->ended_capacity * sizeof(*d->ended)));
    }
    d->ended[d->n_ended++] = scheduler_table(d->scheduler)->seqs[id].req.id;
    scheduler_end(d->scheduler, id);
}

status step_driver_schedule(step_driver *d, int64_t step, errbuf *err) {
    status st = scheduler_schedule(d->scheduler, &d->plan, step * d->step_ns, err);
    if (st != ST_OK) return st;
    d->n_preempted += d->plan->n_preempted;
    d->n_tokens += d->plan->n_tokens;
    for (uint32_t i = 0; i < d->plan->n_copies; i++) {
        const plan_copy *c = &d->plan->copies[i];
        if (c->direction == LINK_TO_HOST)
            d->n_out_blocks += c->n_pairs;
        else
            d->n_in_blocks += c->n_pairs;
    }
    return ST_OK;
}

static int64_t copy_end(const step_driver *d, const plan_copy *c, int64_t step) {
    if (d->copy_seed == 0) return step + d->n_copy_steps;
    uint64_t drawn = rng_bits(d->copy_seed, 1, c->id) % (d->n_copy_steps + UINT64_C(1));
    int64_t end = step + (int64_t)drawn;
    for (uint32_t i = 0; i < d->n_copies; i++)
        if (d->copies[i].direction == c->direction && d->copies[i].end > end)
            end = d->copies[i].end;
    return end;
}

static void start_copies(step_driver *d, int64_t step) {
    for (uint32_t i = 0; i < d->plan->n_copies; i++) {
        const plan_copy *c = &d->plan->copies[i];
        if (c->ordered) continue;
        if (d->n_copies == d->copies_capacity) {
            d->copies_capacity = 2 * d->copies_capacity + 16;
            d->copies = must(realloc(d->copies, d->copies_capacity * sizeof(*d->copies)));
        }
        step_copy started = {c->id, c->direction, copy_end(d, c, step)};
        d->copies[d->n_copies++] = started;
    }
}

static void complete_copies(step_driver *d, int64_t step) {
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < d->n_copies; i++) {
        if (d->copies[i].end <= step)
            scheduler_copy_done(d->scheduler, d->copies[i].id);
        else
            d->copies[n_left++] = d->copies[i];
    }
    d->n_copies = n_left;
}

static void collect(step_driver *d, uint32_t *n_finished, uint32_t id) {
    if (*n_finished == d->finished_capacity) {
        d->finished_capacity = 2 * d->finished_capacity + 16;
        d->finished = must(realloc(d->finished, d->finished_capacity * sizeof(*d->finished)));
    }
    d->finished[(*n_finished)++] = id;
}

static bool ends_now(const step_driver *d, uint32_t id) {
    const sequence *q = &d->plan->seqs->seqs[id];
    uint32_t n = cohort_n_output(d->plan->decodes, q) + 1;
    return n >= d->n_output[id] || n >= q->n_output_max;
}

void step_driver_complete(step_driver *d, int64_t step) {
    uint32_t n_finished = 0;
    for (uint32_t i = 0; i < d->plan->n_chunks; i++)
        if (d->plan->chunks[i].samples && ends_now(d, d->plan->chunks[i].seq))
            collect(d, &n_finished, d->plan->chunks[i].seq);
    for (uint32_t id = 0; d->plan->runs_cohort && id < d->plan->seqs->n_touched; id++)
        if (d->plan->seqs->seqs[id].in_cohort && ends_now(d, id)) collect(d, &n_finished, id);
    for (uint32_t i = 0; i < d->plan->n_ignored; i++) {
        d->n_ignored++;
        end_request(d, d->plan->ignored[i]);
    }
    start_copies(d, step);
    complete_copies(d, step);
    if (!plan_occupies_compute(d->plan)) return;
    int64_t end_ns = (step + 1) * d->step_ns;
    completion c = {.kind = COMPLETION_COMPUTE,
                    .now_ns = end_ns,
                    .start_ns = step * d->step_ns,
                    .end_ns = &end_ns,
                    .n_iterations = 1,
                    .finished = d->finished,
                    .n_finished = n_finished};
    const uint32_t *finished;
    errbuf err = {0};
    must_be_ok(scheduler_complete(d->scheduler, &finished, &n_finished, &c), &err);
    for (uint32_t i = 0; i < n_finished; i++) end_request(d, finished[i]);
}

int64_t step_driver_drain(step_driver *d, int64_t step) {
    errbuf err = {0};
    for (; scheduler_n_copies_in_flight(d->scheduler) > 0; step++) {
        must_be_ok(step_driver_schedule(d, step, &err), &err);
        step_driver_complete(d, step);
    }
    return step;
}

uint32_t step_driver_tokens(const step_driver *d, uint32_t id) {
    if (d->plan->seqs->seqs[id].in_cohort) return d->plan->runs_cohort;
    for (uint32_t i = 0; i < d->plan->n_chunks; i++)
        if (d->plan->chunks[i].seq == id) return d->plan->chunks[i].n_tokens;
    return 0;
}
