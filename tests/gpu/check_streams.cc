/* check_streams.cc - copies of KV blocks, as pieces and on their streams, against a plain model
 * of the same.
 *
 * What is said to the device (which stream, in which order, what waits) shows in the log of
 * the fake device alone, and so do calls that fail; on a device only the results are checked.
 */
#include "check.h"

#include <string>

#include "check_failures.h"
#include "copy_streams.cuh"

enum {
    N_BLOCKS = 24, /* on each side */
    N_LAYERS = 3,
    BLOCK_BYTES = 2 * N_LAYERS * 8,
    ARENA_BYTES = N_BLOCKS * BLOCK_BYTES,
};

/* ------------------------------------------------------------ copies of a plan */

typedef std::vector<char> bytes;

static bytes random_bytes(uint64_t stream) {
    bytes out(ARENA_BYTES);
    for (size_t i = 0; i < out.size(); i++) out[i] = (char)rng_bits(check_seed(), stream, i);
    return out;
}

/* A plan of copies alone. Pairs of one plan name each block once, so that copies of both
 * directions may run in any order. */
struct copy_plan {
    plan p = {};
    std::vector<uint32_t> device, host; /* blocks that are left */
    uint64_t next_id;

    explicit copy_plan(uint64_t first_id) : next_id(first_id) {
        for (uint32_t i = 0; i < N_BLOCKS; i++) {
            device.push_back(i);
            host.push_back(i);
        }
    }
    copy_plan(const copy_plan &) = delete;
    copy_plan &operator=(const copy_plan &) = delete;
    ~copy_plan() { plan_finish(&p); }

    void add(link_direction direction, bool per_layer, bool ordered,
             const std::vector<block_pair> &pairs) {
        plan_copy c = {};
        c.id = next_id++;
        c.direction = direction;
        c.per_layer = per_layer;
        c.ordered = ordered;
        c.first_pair = p.n_pairs;
        c.n_pairs = (uint32_t)pairs.size();
        for (block_pair pair : pairs) CHECK(plan_add_pair(&p, pair) == ST_OK);
        CHECK(plan_add_copy(&p, c) == ST_OK);
    }

    /* Takes a block out, mostly the one behind the last, so that runs are frequent. */
    static uint32_t take(std::vector<uint32_t> *left, uint32_t last, uint64_t stream,
                         uint64_t *n_drawn) {
        size_t at = random_below(stream, n_drawn, (uint32_t)left->size());
        if (random_below(stream, n_drawn, 4) > 0)
            for (size_t i = 0; i < left->size(); i++)
                if ((*left)[i] == last + 1) at = i;
        uint32_t block = (*left)[at];
        left->erase(left->begin() + (std::ptrdiff_t)at);
        return block;
    }

    void add_random(uint64_t stream, uint64_t *n_drawn, bool ordered) {
        uint32_t n = random_below(stream, n_drawn, (uint32_t)device.size() / 2 + 1);
        block_pair last = {0, 0};
        std::vector<block_pair> pairs;
        while (n-- > 0) {
            last.device = take(&device, last.device, stream, n_drawn);
            last.host = take(&host, last.host, stream, n_drawn);
            pairs.push_back(last);
        }
        bool to_host = random_below(stream, n_drawn, 2) > 0;
        add(to_host ? LINK_TO_HOST : LINK_TO_DEVICE, random_below(stream, n_drawn, 2) > 0,
            ordered, pairs);
    }

    /* What the plan does, copy by copy and block by block. */
    void carry_out(bytes *on_device, bytes *on_host) const {
        for (uint32_t i = 0; i < p.n_copies; i++)
            for (uint32_t k = 0; k < p.copies[i].n_pairs; k++) {
                block_pair pair = p.pairs[p.copies[i].first_pair + k];
                char *d = on_device->data() + (size_t)pair.device * BLOCK_BYTES;
                char *h = on_host->data() + (size_t)pair.host * BLOCK_BYTES;
                bool to_host = p.copies[i].direction == LINK_TO_HOST;
                memcpy(to_host ? h : d, to_host ? d : h, BLOCK_BYTES);
            }
    }
};

/* ------------------------------------------------------------ pieces */

static int check_pieces(void) {
    check_begin("streams: pieces copy what the plan says, as many as it counts");
    copy_pieces pieces = {};
    for (uint32_t trial = 0; trial < 200; trial++) {
        uint64_t n_drawn = 0, stream = 1000 + trial;
        copy_plan plan(0);
        for (int i = 0; i < 3; i++) plan.add_random(stream, &n_drawn, false);
        bytes on_device = random_bytes(1), on_host = random_bytes(2);
        bytes device_wanted = on_device, host_wanted = on_host;
        plan.carry_out(&device_wanted, &host_wanted);
        copy_memory memory = {on_device.data(), on_host.data(), BLOCK_BYTES, N_LAYERS};
        copy_pieces_clear(&pieces);
        size_t n_wanted = 0, n_bytes = 0;
        for (uint32_t i = 0; i < plan.p.n_copies; i++) {
            const plan_copy *c = &plan.p.copies[i];
            CHECK(copy_pieces_add(&pieces, &plan.p, c, &memory) == ST_OK);
            n_wanted += plan_copy_segments(&plan.p, c, N_LAYERS);
            CHECK(pieces.n == n_wanted);
        }
        for (size_t i = 0; i < pieces.n; i++) {
            memcpy(pieces.to[i], pieces.from[i], pieces.sizes[i]);
            n_bytes += pieces.sizes[i];
        }
        CHECK(n_bytes == (size_t)plan.p.n_pairs * BLOCK_BYTES);
        CHECK(on_device == device_wanted && on_host == host_wanted);
    }
    copy_pieces_finish(&pieces);
    return check_end();
}

/* Neighbours on one side only, or in falling order, are no neighbours. */
static int check_coalescing(void) {
    check_begin("streams: neighbours on both sides are one piece");
    copy_plan plan(0);
    plan.add(LINK_TO_HOST, false, false, {{4, 7}, {5, 8}, {6, 9}, {7, 11}, {9, 12}, {8, 13}});
    plan.add(LINK_TO_DEVICE, true, false, {{0, 1}, {1, 2}});
    plan.add(LINK_TO_DEVICE, false, false, {});
    char device[ARENA_BYTES], host[ARENA_BYTES];
    copy_memory memory = {device, host, BLOCK_BYTES, N_LAYERS};
    copy_pieces pieces = {};
    for (uint32_t i = 0; i < plan.p.n_copies; i++)
        CHECK(copy_pieces_add(&pieces, &plan.p, &plan.p.copies[i], &memory) == ST_OK);
    CHECK(pieces.n == 4 + 2 * 2 * N_LAYERS);
    CHECK(pieces.sizes[0] == 3 * BLOCK_BYTES && pieces.sizes[1] == BLOCK_BYTES);
    CHECK(pieces.from[0] == device + 4 * BLOCK_BYTES);
    CHECK(pieces.to[0] == host + 7 * BLOCK_BYTES);
    for (size_t i = 4; i < pieces.n; i++) {
        size_t offset = (i - 4) * (BLOCK_BYTES / (2 * N_LAYERS));
        CHECK(pieces.sizes[i] == BLOCK_BYTES / (2 * N_LAYERS));
        CHECK(pieces.to[i] == device + offset && pieces.from[i] == host + BLOCK_BYTES + offset);
    }
    copy_pieces_finish(&pieces);
    return check_end();
}

/* ------------------------------------------------------------ streams */

/* Both arenas, a stream for compute and an event on it, and what the arenas should hold. */
struct copy_rig {
    copy_streams *streams = NULL;
    char *device = NULL, *host = NULL;
    cudaStream_t compute = NULL;
    cudaEvent_t after = NULL;
    bytes device_wanted, host_wanted;

    copy_rig() : device_wanted(random_bytes(3)), host_wanted(random_bytes(4)) {
        check_cuda(cudaMalloc((void **)&device, ARENA_BYTES), "an arena");
        check_cuda(cudaHostAlloc((void **)&host, ARENA_BYTES, cudaHostAllocDefault),
                   "an arena");
        check_cuda(
            cudaMemcpy(device, device_wanted.data(), ARENA_BYTES, cudaMemcpyHostToDevice),
            "an arena");
        check_cuda(cudaDeviceSynchronize(), "an arena");
        memcpy(host, host_wanted.data(), ARENA_BYTES);
        check_cuda(cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking), "a stream");
        check_cuda(cudaEventCreate(&after), "an event");
        check_cuda(cudaEventRecord(after, compute), "an event");
    }
    copy_rig(const copy_rig &) = delete;
    copy_rig &operator=(const copy_rig &) = delete;
    ~copy_rig() {
        copy_streams_destroy(streams);
        (void)cudaEventDestroy(after);
        (void)cudaStreamDestroy(compute);
        (void)cudaFreeHost(host);
        (void)cudaFree(device);
    }

    copy_memory memory() const { return {device, host, BLOCK_BYTES, N_LAYERS}; }

    void open() {
        copy_memory m = memory();
        CHECK_OK(copy_streams_create(&streams, &m, &err));
    }

    void check_bytes() const {
        bytes on_device(ARENA_BYTES);
        check_cuda(cudaDeviceSynchronize(), "copies");
        check_cuda(cudaMemcpy(on_device.data(), device, ARENA_BYTES, cudaMemcpyDeviceToHost),
                   "an arena");
        CHECK(on_device == device_wanted);
        CHECK(memcmp(host, host_wanted.data(), ARENA_BYTES) == 0);
    }
};

/* Takes one copy, waiting for it; the ids of a direction come in order. */
static copy_done take_one(copy_streams *s) {
    copy_done done = {};
    bool found = false;
    for (int tries = 0; !found && tries < 1000000; tries++) {
        errbuf err = {};
        if (!CHECK(copy_streams_take(s, &found, &done, &err) == ST_OK)) break;
    }
    CHECK(found);
    CHECK(done.seconds >= 0);
    return done;
}

static int check_copies(void) {
    check_begin("streams: bytes arrive, ids come in order");
    copy_rig rig;
    rig.open();
    if (!rig.streams) return check_end();
    std::vector<link_direction> directions; /* by id */
    uint64_t n_drawn = 0, last[N_LINK_DIRECTIONS] = {}, n_taken = 0, lowest = 0;
    for (int round = 0; round < 60; round++) {
        copy_plan plan(directions.size());
        for (int i = 0; i < 4; i++) plan.add_random(5, &n_drawn, false);
        /* Blocks come again from plan to plan, which their holder would wait for. */
        check_cuda(cudaDeviceSynchronize(), "copies");
        CHECK_OK(copy_streams_push(rig.streams, &plan.p, round % 2 ? rig.after : NULL, &err));
        plan.carry_out(&rig.device_wanted, &rig.host_wanted);
        for (uint32_t i = 0; i < plan.p.n_copies; i++)
            directions.push_back(plan.p.copies[i].direction);
        CHECK(copy_streams_in_flight(rig.streams) == directions.size() - n_taken);
        /* Few at first: what is in flight outgrows the ring that it began with. */
        for (int n = round < 50 ? 1 : 1000; n > 0 && n_taken < directions.size(); n--) {
            copy_done done = take_one(rig.streams);
            if (!CHECK(done.id < directions.size())) return check_end();
            uint64_t *before = &last[directions[done.id]];
            CHECK(*before <= done.id);
            *before = done.id + 1;
#ifndef __CUDACC__
            CHECK(done.id == lowest); /* all have completed, so that the lowest is next */
#endif
            lowest++;
            n_taken++;
        }
    }
    bool found = true;
    copy_done none;
    CHECK_OK(copy_streams_take(rig.streams, &found, &none, &err));
    CHECK(!found && n_taken == directions.size());
    rig.check_bytes();
    return check_end();
}

/* A block leaves and is filled anew: only in the order of the plan is the result right. */
static void add_exchange(copy_plan *plan, bool ordered) {
    plan->add(LINK_TO_HOST, false, ordered, {{3, 10}, {4, 11}});
    plan->add(LINK_TO_DEVICE, true, ordered, {{4, 0}, {3, 1}});
    plan->add(LINK_TO_HOST, false, ordered, {{4, 2}});
}

static int check_ordered(void) {
    check_begin("streams: ordered copies take the compute stream, in order");
    copy_rig rig;
    rig.open();
    if (!rig.streams) return check_end();
    copy_plan plan(0);
    add_exchange(&plan, true);
    CHECK_OK(copy_streams_push(rig.streams, &plan.p, NULL, &err)); /* not its business */
    CHECK(copy_streams_in_flight(rig.streams) == 0);
    CHECK_OK(copy_streams_push_ordered(rig.streams, &plan.p, rig.compute, &err));
    CHECK(copy_streams_in_flight(rig.streams) == 0);
    plan.carry_out(&rig.device_wanted, &rig.host_wanted);
    rig.check_bytes();
    return check_end();
}

/* ------------------------------------------------------------ what the device was told */

#ifndef __CUDACC__

/* The calls as text: what, and on which stream (compute, or the first or second that is met).
 */
static std::string told(const fake_call *calls, size_t n, const copy_rig &rig) {
    std::vector<const void *> met;
    std::string out;
    for (size_t i = 0; i < n; i++) {
        size_t place = 0;
        while (place < met.size() && met[place] != calls[i].stream) place++;
        bool compute = calls[i].stream == rig.compute;
        if (!compute && place == met.size()) met.push_back(calls[i].stream);
        bool is_after = calls[i].event == rig.after;
        const char *kind = calls[i].kind == FAKE_WAIT         ? (is_after ? "wait" : "wait?")
                           : calls[i].kind == FAKE_RECORD     ? "record"
                           : calls[i].kind == FAKE_BATCH_COPY ? "copy"
                                                              : "?";
        char text[64];
        snprintf(text, sizeof(text), "%s%s%zu:%c", i ? " " : "", kind, calls[i].n_pieces,
                 compute ? 'c' : (char)('0' + place));
        out += text;
    }
    return out;
}

static void check_told(const copy_rig &rig, const char *want) {
    const fake_call *calls;
    size_t n = fake_log_end(&calls);
    std::string got = told(calls, n, rig);
    if (got != want && check_speaks()) printf("  got %s\n", got.c_str());
    CHECK(got == want);
}

static int check_order_of_streams(void) {
    check_begin("streams: asynchronous copies wait for the event, ordered ones for nothing");
    copy_rig rig;
    rig.open();
    if (!rig.streams) return check_end();
    copy_plan ordered(0), not_ordered(3);
    add_exchange(&ordered, true);
    add_exchange(&not_ordered, false);
    fake_log_begin();
    CHECK_OK(copy_streams_push_ordered(rig.streams, &ordered.p, rig.compute, &err));
    check_told(rig, "copy1:c copy12:c copy1:c");
    fake_log_begin();
    CHECK_OK(copy_streams_push(rig.streams, &not_ordered.p, rig.after, &err));
    check_told(rig, "wait0:0 record0:0 copy1:0 record0:0 wait0:1 record0:1 copy12:1 record0:1 "
                    "record0:0 copy1:0 record0:0");
    fake_log_begin();
    CHECK_OK(copy_streams_push(rig.streams, &not_ordered.p, NULL, &err));
    check_told(rig, "record0:0 copy1:0 record0:0 record0:1 copy12:1 record0:1 record0:0 "
                    "copy1:0 record0:0");
    return check_end();
}

/* ------------------------------------------------------------ calls that fail */

static status use_copies(const copy_rig &rig, const plan *ordered, const plan *not_ordered,
                         long *n_calls) {
    copy_streams *s = NULL;
    copy_memory m = rig.memory();
    errbuf err = {};
    status st = copy_streams_create(&s, &m, &err);
    if (st == ST_OK) st = copy_streams_push_ordered(s, ordered, rig.compute, &err);
    if (st == ST_OK) st = copy_streams_push(s, not_ordered, rig.after, &err);
    bool found = true;
    copy_done done;
    for (int i = 0; st == ST_OK && found; i++) st = copy_streams_take(s, &found, &done, &err);
    CHECK(st == ST_OK || err.text[0] != 0);
    end_of_failures(n_calls);
    copy_streams_destroy(s);
    return st;
}

static int check_failed_copies(void) {
    check_begin("streams: copies leave nothing behind, whichever call fails");
    copy_rig rig;
    copy_plan ordered(0), not_ordered(3);
    add_exchange(&ordered, true);
    add_exchange(&not_ordered, false);
    fail_each_call(
        [&](long *n_calls) { return use_copies(rig, &ordered.p, &not_ordered.p, n_calls); });
    return check_end();
}

#endif

int check_streams(void) {
    printf("SEED=%llu\n", (unsigned long long)check_seed());
    int n_failed = check_pieces() + check_coalescing() + check_copies() + check_ordered();
#ifndef __CUDACC__
    n_failed += check_order_of_streams() + check_failed_copies();
#endif
    return n_failed;
}
