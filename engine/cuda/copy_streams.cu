#include "copy_streams.cuh"

#include <stdlib.h>

#include "cuda_call.cuh"

typedef struct copy_in_flight {
    uint64_t id;
    cudaEvent_t started, ended;
} copy_in_flight;

/* One direction: a stream, and what is on it, in a ring. The events of a place are made when it
 * is first used and serve again. */
typedef struct copy_lane {
    cudaStream_t stream;
    copy_in_flight *places; /* [capacity] */
    uint32_t first, n, capacity;
} copy_lane;

struct copy_streams {
    copy_memory memory;
    copy_lane lanes[N_LINK_DIRECTIONS];
    copy_pieces pieces;
};

static const uint32_t LANE_PLACES = 64;

status copy_streams_create(copy_streams **out, const copy_memory *m, errbuf *err) {
    copy_streams *s = (copy_streams *)calloc(1, sizeof(*s));
    if (!s) return fail(err, ST_NO_MEMORY, "out of memory for copy streams");
    s->memory = *m;
    status st = ST_OK;
    for (int d = 0; d < N_LINK_DIRECTIONS && st == ST_OK; d++)
        st = cuda_status(cudaStreamCreateWithFlags(&s->lanes[d].stream, cudaStreamNonBlocking),
                         "a stream for copies", err);
    if (st == ST_OK)
        *out = s;
    else
        copy_streams_destroy(s);
    return st;
}

static void finish_lane(copy_lane *l) {
    if (l->stream) {
        (void)cudaStreamSynchronize(l->stream);
        (void)cudaStreamDestroy(l->stream);
    }
    for (uint32_t i = 0; i < l->capacity; i++) {
        if (l->places[i].started) (void)cudaEventDestroy(l->places[i].started);
        if (l->places[i].ended) (void)cudaEventDestroy(l->places[i].ended);
    }
    free(l->places);
}

void copy_streams_destroy(copy_streams *s) {
    if (!s) return;
    for (int d = 0; d < N_LINK_DIRECTIONS; d++) finish_lane(&s->lanes[d]);
    copy_pieces_finish(&s->pieces);
    free(s);
}

uint32_t copy_streams_in_flight(const copy_streams *s) {
    uint32_t n = 0;
    for (int d = 0; d < N_LINK_DIRECTIONS; d++) n += s->lanes[d].n;
    return n;
}

/* A ring twice as long, its first place at 0. */
static status grow(copy_lane *l) {
    uint32_t capacity = l->capacity ? 2 * l->capacity : LANE_PLACES;
    copy_in_flight *places = (copy_in_flight *)calloc(capacity, sizeof(*places));
    if (!places) return ST_NO_MEMORY;
    for (uint32_t i = 0; i < l->capacity; i++)
        places[i] = l->places[(l->first + i) % l->capacity];
    free(l->places);
    l->places = places;
    l->first = 0;
    l->capacity = capacity;
    return ST_OK;
}

/* The place behind the last one, with its events. */
static status next_place(copy_lane *l, copy_in_flight **out, errbuf *err) {
    if (l->n == l->capacity && grow(l) != ST_OK)
        return fail(err, ST_NO_MEMORY, "out of memory for copies in flight");
    copy_in_flight *c = &l->places[(l->first + l->n) % l->capacity];
    if (!c->started) TRY_CUDA(cudaEventCreate(&c->started), "an event for a copy");
    if (!c->ended) TRY_CUDA(cudaEventCreate(&c->ended), "an event for a copy");
    *out = c;
    return ST_OK;
}

static cudaMemcpyAttributes side_hints(link_direction direction) {
    cudaMemcpyAttributes a = {};
    int device = 0;
    (void)cudaGetDevice(&device);
    cudaMemLocation on_device = {cudaMemLocationTypeDevice, device};
    cudaMemLocation on_host = {cudaMemLocationTypeHost, 0};
    a.srcAccessOrder = cudaMemcpySrcAccessOrderStream;
    a.srcLocHint = direction == LINK_TO_HOST ? on_device : on_host;
    a.dstLocHint = direction == LINK_TO_HOST ? on_host : on_device;
    a.flags = cudaMemcpyFlagPreferOverlapWithCompute;
    return a;
}

/* All pieces at hand, which go one way. */
static status enqueue(copy_streams *s, cudaStream_t stream, link_direction direction,
                      errbuf *err) {
    if (s->pieces.n == 0) return ST_OK;
    cudaMemcpyAttributes attributes = side_hints(direction);
    size_t first = 0;
    TRY_CUDA(cudaMemcpyBatchAsync(s->pieces.to, s->pieces.from, s->pieces.sizes, s->pieces.n,
                                  &attributes, &first, 1, stream),
             "a batch of copies");
    return ST_OK;
}

static status take_pieces(copy_streams *s, const plan *p, const plan_copy *c, errbuf *err) {
    if (copy_pieces_add(&s->pieces, p, c, &s->memory) == ST_OK) return ST_OK;
    return fail(err, ST_NO_MEMORY, "out of memory for the pieces of a copy");
}

static status push(copy_streams *s, const plan *p, const plan_copy *c, errbuf *err) {
    copy_lane *l = &s->lanes[c->direction];
    copy_in_flight *place = NULL;
    copy_pieces_clear(&s->pieces);
    TRY(take_pieces(s, p, c, err));
    TRY(next_place(l, &place, err));
    TRY_CUDA(cudaEventRecord(place->started, l->stream), "timing a copy");
    TRY(enqueue(s, l->stream, c->direction, err));
    TRY_CUDA(cudaEventRecord(place->ended, l->stream), "timing a copy");
    place->id = c->id;
    l->n++;
    return ST_OK;
}

status copy_streams_push(copy_streams *s, const plan *p, cudaEvent_t after, errbuf *err) {
    bool has_waited[N_LINK_DIRECTIONS] = {};
    for (uint32_t i = 0; i < p->n_copies; i++) {
        const plan_copy *c = &p->copies[i];
        if (c->ordered) continue;
        if (after && !has_waited[c->direction])
            TRY_CUDA(cudaStreamWaitEvent(s->lanes[c->direction].stream, after, 0),
                     "an order of streams");
        has_waited[c->direction] = true;
        TRY(push(s, p, c, err));
    }
    return ST_OK;
}

/* In the order of the plan: a block may leave by one and be filled by the next. */
status copy_streams_push_ordered(copy_streams *s, const plan *p, cudaStream_t compute,
                                 errbuf *err) {
    for (uint32_t i = 0; i < p->n_copies; i++) {
        if (!p->copies[i].ordered) continue;
        copy_pieces_clear(&s->pieces);
        TRY(take_pieces(s, p, &p->copies[i], err));
        TRY(enqueue(s, compute, p->copies[i].direction, err));
    }
    return ST_OK;
}

/* ------------------------------------------------------------ completions */

static status first_done(const copy_lane *l, bool *done, errbuf *err) {
    *done = false;
    if (l->n == 0) return ST_OK;
    cudaError_t e = cudaEventQuery(l->places[l->first].ended);
    if (e == cudaErrorNotReady) return ST_OK;
    *done = e == cudaSuccess;
    return cuda_status(e, "a copy of KV blocks", err);
}

static status take(copy_lane *l, copy_done *out, errbuf *err) {
    const copy_in_flight *c = &l->places[l->first];
    float ms;
    TRY_CUDA(cudaEventElapsedTime(&ms, c->started, c->ended), "timing a copy");
    *out = copy_done{c->id, ms * 1e-3};
    l->first = (l->first + 1) % l->capacity;
    l->n--;
    return ST_OK;
}

status copy_streams_take(copy_streams *s, bool *found, copy_done *out, errbuf *err) {
    copy_lane *lowest = NULL;
    for (int d = 0; d < N_LINK_DIRECTIONS; d++) {
        copy_lane *l = &s->lanes[d];
        bool done;
        TRY(first_done(l, &done, err));
        if (!done) continue;
        if (!lowest || l->places[l->first].id < lowest->places[lowest->first].id) lowest = l;
    }
    *found = lowest != NULL;
    return lowest ? take(lowest, out, err) : ST_OK;
}
