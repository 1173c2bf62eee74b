/* cuda_executor.cu - plans in, completions out. See cuda_executor.h. */
#include <assert.h>

#include "cuda_call.cuh"
#include "cuda_executor_state.cuh"

/* Iterations enqueued at once where nothing is likely to end the plan meanwhile. */
enum { AHEAD = 2 };

/* ------------------------------------------------------------ clock */

static int64_t clock_ns(cuda_executor *x) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (!x->has_clock) x->zero = t;
    x->has_clock = true;
    return (t.tv_sec - x->zero.tv_sec) * INT64_C(1000000000) + t.tv_nsec - x->zero.tv_nsec;
}

/* No two events have the same time. */
static void note_event(cuda_executor *x) {
    int64_t t = clock_ns(x);
    x->now_ns = t > x->now_ns ? t : x->now_ns + 1;
}

static int64_t now_ns(void *context) {
    cuda_executor *x = (cuda_executor *)context;
    if (!x->has_clock) (void)clock_ns(x);
    return x->now_ns;
}

static void sleep_until(cuda_executor *x, int64_t until_ns) {
    int64_t left = until_ns - clock_ns(x);
    if (left <= 0) return;
    struct timespec t = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    (void)nanosleep(&t, NULL);
}

static status failure_of(const cuda_executor *x, errbuf *err) {
    return x->failed == ST_OK ? ST_OK : fail(err, x->failed, "%s", x->failure.text);
}

/* ------------------------------------------------------------ plans in */

static status admit(void *context, const sequence_table *seqs, uint32_t seq,
                    uint32_t n_output) {
    cuda_executor *x = (cuda_executor *)context;
    const sequence *q = &seqs->seqs[seq];
    if (n_output > q->n_output_max) n_output = q->n_output_max;
    return token_table_admit(&x->tokens, &q->req, seq, n_output);
}

/* Iterations until the first sequence gets its last token. */
static uint32_t find_limit(const cuda_executor *x, const plan *p) {
    uint32_t limit = p->horizon;
    for (uint32_t i = 0; i < x->batch.n; i++) {
        const token_row *r = &x->tokens.rows[x->batch.seqs[i]];
        uint32_t n_output = token_batch_end(&x->batch.chunks[i]) - r->n_prompt;
        if (x->batch.chunks[i].samples && r->n_output - n_output < limit)
            limit = r->n_output - n_output;
    }
    return limit > 0 ? limit : 1;
}

static status to_device(cuda_executor *x, errbuf *err) {
    uint32_t n_padded = x->repeats ? gemm_bucket(x->batch.n) : 0;
    return device_batch_load(&x->arrays, x->compute, &x->batch, &x->tokens, n_padded, err);
}

static status load(cuda_executor *x, const plan *p, errbuf *err) {
    status st = token_batch_load(&x->batch, p, &x->tokens, x->config.common.n_device_blocks);
    if (st == ST_OK) st = batch_outputs_reserve(&x->outputs, x->batch.n);
    if (st != ST_OK) return fail(err, st, "out of memory for a batch");
    x->repeats = !x->config.common.deterministic && device_batch_is_decoding(&x->batch);
    x->n_limit = find_limit(x, p);
    return x->batch.n > 0 ? to_device(x, err) : ST_OK;
}

static status push_ordered(cuda_executor *x, const plan *p, errbuf *err) {
    if (!x->has_ordered) return ST_OK;
    TRY_CUDA(cudaEventRecord(x->ordered_started, x->compute), "timing ordered copies");
    TRY(copy_streams_push_ordered(x->copies, p, x->compute, err));
    TRY_CUDA(cudaEventRecord(x->ordered_ended, x->compute), "timing ordered copies");
    return ST_OK;
}

static status push_iteration(cuda_executor *x, errbuf *err) {
    TRY(iteration_queue_push(x->queue, x->repeats, err));
    x->n_pushed++;
    return ST_OK;
}

static void note_host(cuda_executor *x) {
    x->usage.host_s += (double)(clock_ns(x) - x->start_ns) * 1e-9;
    x->usage.n_submitted++;
}

static status submit(void *context, const plan *p, errbuf *err) {
    cuda_executor *x = (cuda_executor *)context;
    assert(!x->at_hand);
    assert(p->horizon >= 1 && p->horizon <= HORIZON_MAX);
    assert(p->horizon == 1 || p->n_chunks == 0);
    TRY(failure_of(x, err));
    x->start_ns = now_ns(x);
    x->ordered_copy_s = 0;
    x->n_done = x->n_pushed = x->outputs.n_finished = 0;
    x->stop_here = false;
    if (!plan_occupies_compute(p)) return copy_streams_push(x->copies, p, NULL, err);
    TRY(load(x, p, err));
    if (!x->repeats)
        note_host(x); /* the device has its first copy, and what follows is launched
                       * beside its work */
    x->recompute_s = batch_recompute_s(x->config.common.costs, p);
    x->has_ordered = plan_has_ordered_copies(p);
    TRY(push_ordered(x, p, err));
    if (x->batch.n > 0) TRY(push_iteration(x, err));
    if (x->repeats) note_host(x);
    /* What ordered copies take off the device may make room for asynchronous ones. */
    TRY(copy_streams_push(x->copies, p, x->has_ordered ? x->ordered_ended : NULL, err));
    x->at_hand = p;
    return ST_OK;
}

/* ------------------------------------------------------------ completions out */

static void book_link(cuda_executor *x, int64_t end_ns, double seconds) {
    int64_t start_ns = end_ns - (int64_t)(seconds * 1e9);
    if (start_ns < x->link_until_ns) start_ns = x->link_until_ns;
    if (end_ns > start_ns) x->usage.link_s += (double)(end_ns - start_ns) * 1e-9;
    if (end_ns > x->link_until_ns) x->link_until_ns = end_ns;
}

static status take_copy(cuda_executor *x, bool *found, completion *out, errbuf *err) {
    copy_done c;
    TRY(copy_streams_take(x->copies, found, &c, err));
    if (!*found) return ST_OK;
    note_event(x);
    book_link(x, x->now_ns, c.seconds);
    x->stop_here = x->at_hand != NULL;
    *out = completion{};
    out->kind = COMPLETION_COPY;
    out->now_ns = x->now_ns;
    out->copy_id = c.id;
    out->copy_s = c.seconds;
    return ST_OK;
}

/* Ordered copies end before the first iteration does, so their time is known with it. */
static status time_ordered(cuda_executor *x, errbuf *err) {
    float ms;
    if (!x->has_ordered || x->n_done > 0) return ST_OK;
    TRY_CUDA(cudaEventElapsedTime(&ms, x->ordered_started, x->ordered_ended),
             "timing ordered copies");
    x->ordered_copy_s = ms * 1e-3;
    x->usage.link_s += x->ordered_copy_s;
    return ST_OK;
}

static status say_bad(const cuda_executor *x, uint32_t bad_sample, status st, errbuf *err) {
    uint32_t nth = 0;
    for (uint32_t i = 0; i < x->batch.n && st == ST_FORMAT; i++)
        if (x->batch.chunks[i].samples && nth++ == bad_sample)
            return fail(
                err, st,
                "the model gave a value that is no number for request %llu; its weights "
                "may hold some: `adaptivellm models show DIR --check-weights` looks",
                (unsigned long long)x->tokens.rows[x->batch.seqs[i]].request_id);
    return st;
}

/* Has the iteration at hand ended? Its tokens are then accepted. */
static status take_iteration(cuda_executor *x, bool *ended, errbuf *err) {
    if (x->batch.n == 0) { /* ordered copies alone */
        cudaError_t e = cudaEventQuery(x->ordered_ended);
        *ended = e == cudaSuccess;
        return e == cudaErrorNotReady ? ST_OK : cuda_status(e, "ordered copies", err);
    }
    uint32_t bad_sample = 0;
    status st = iteration_queue_take(x->queue, ended, x->picked, &bad_sample, err);
    if (st != ST_OK) return say_bad(x, bad_sample, st, err);
    if (*ended) batch_outputs_accept(&x->outputs, &x->tokens, &x->batch, x->picked);
    return ST_OK;
}

static void book_iteration(cuda_executor *x) {
    int64_t from = x->n_done ? x->end_ns[x->n_done - 1] : x->start_ns;
    note_event(x);
    x->end_ns[x->n_done++] = x->now_ns;
    double copies_s = x->n_done == 1 ? x->ordered_copy_s : 0;
    if (x->batch.n > 0) x->usage.compute_s += (double)(x->now_ns - from) * 1e-9 - copies_s;
}

static bool ends_here(const cuda_executor *x, int64_t until_ns) {
    return x->outputs.n_finished > 0 || x->stop_here || x->n_done == x->at_hand->horizon ||
           x->now_ns >= until_ns;
}

static void report_compute(cuda_executor *x, completion *out) {
    x->at_hand = NULL;
    *out = completion{};
    out->kind = COMPLETION_COMPUTE;
    out->now_ns = x->now_ns;
    out->start_ns = x->start_ns;
    out->end_ns = x->end_ns;
    out->n_iterations = x->n_done;
    out->finished = x->outputs.finished;
    out->n_finished = x->outputs.n_finished;
    out->ordered_copy_s = x->ordered_copy_s;
    out->recompute_s = x->recompute_s;
}

/* Iterations that shall be on the device: more than one where neither a copy nor an arrival
 * is likely to end the plan before they are through. */
static uint32_t wanted_ahead(const cuda_executor *x, int64_t until_ns) {
    if (!x->repeats || copy_streams_in_flight(x->copies) > 0 || x->n_done == 0) return 1;
    int64_t from = x->n_done > 1 ? x->end_ns[x->n_done - 2] : x->start_ns;
    int64_t iteration_ns = x->end_ns[x->n_done - 1] - from;
    return until_ns - x->now_ns > (AHEAD + 1) * iteration_ns ? AHEAD : 1;
}

static status push_ahead(cuda_executor *x, int64_t until_ns, errbuf *err) {
    uint32_t wanted = wanted_ahead(x, until_ns);
    while (iteration_queue_pending(x->queue) < wanted && x->n_pushed < x->n_limit) {
        if (!x->repeats) TRY(to_device(x, err));
        TRY(push_iteration(x, err));
    }
    return ST_OK;
}

/* One look at the iteration at hand; *over: the plan is. */
static status look_at_compute(cuda_executor *x, bool *over, int64_t until_ns, errbuf *err) {
    bool ended;
    *over = false;
    TRY(take_iteration(x, &ended, err));
    if (!ended) return ST_OK;
    TRY(time_ordered(x, err));
    book_iteration(x);
    *over = ends_here(x, until_ns);
    if (*over) return iteration_queue_drop(x->queue, err);
    token_batch_advance(&x->batch);
    return push_ahead(x, until_ns, err);
}

static status wait_for_one(cuda_executor *x, int64_t until_ns, completion *out, errbuf *err) {
    for (;;) {
        bool found = false;
        TRY(take_copy(x, &found, out, err));
        if (found) return ST_OK;
        if (x->at_hand) {
            TRY(look_at_compute(x, &found, until_ns, err));
            if (found) report_compute(x, out);
            if (found) return ST_OK;
        } else if (clock_ns(x) >= until_ns) {
            if (until_ns > x->now_ns) x->now_ns = until_ns;
            *out = completion{};
            out->kind = COMPLETION_NONE;
            out->now_ns = x->now_ns;
            return ST_OK;
        } else if (copy_streams_in_flight(x->copies) == 0) {
            sleep_until(x, until_ns);
        }
    }
}

/* Iterations of a plan that went well before one that did not are reported first. */
static status next(void *context, int64_t until_ns, completion *out, errbuf *err) {
    cuda_executor *x = (cuda_executor *)context;
    TRY(failure_of(x, err));
    x->failed = wait_for_one(x, until_ns, out, &x->failure);
    if (x->failed == ST_OK || !x->at_hand || x->n_done == 0) return failure_of(x, err);
    report_compute(x, out);
    return ST_OK;
}

static void usage(void *context, executor_usage *out) {
    *out = ((const cuda_executor *)context)->usage;
}

void cuda_executor_serve(executor *out, cuda_executor *x) {
    out->admit = admit;
    out->submit = submit;
    out->next = next;
    out->now_ns = now_ns;
    out->usage = usage;
    out->binds_blocks_early = true;
    out->reads_prefixes = true;
    out->context = x;
}
