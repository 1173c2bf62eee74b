/* check_streams.cc - what feeds the device: copies of KV blocks as pieces and on their streams,
 * batches as arrays. Each against a plain model of the same.
 *
 * What is said to the device (which stream, in which order, what waits) shows in the log of
 * the fake device alone, and so do calls that fail; on a device only the results are checked.
 */
#include "check.h"

#include <string>

#include "copy_streams.cuh"
#include "device_batch.cuh"

enum {
    N_BLOCKS = 24, /* on each side */
    N_LAYERS = 3,
    BLOCK_BYTES = 2 * N_LAYERS * 8,
    ARENA_BYTES = N_BLOCKS * BLOCK_BYTES,
};

static uint64_t seed = 1; /* SEED= of the environment */

static uint32_t random_below(uint64_t stream, uint64_t *n_drawn, uint32_t n) {
    return (uint32_t)(rng_bits(seed, stream, (*n_drawn)++) % n);
}

/* ------------------------------------------------------------ copies of a plan */

typedef std::vector<char> bytes;

static bytes random_bytes(uint64_t stream) {
    bytes out(ARENA_BYTES);
    for (size_t i = 0; i < out.size(); i++) out[i] = (char)rng_bits(seed, stream, i);
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

/* Runs `work` again and again, its n-th call of CUDA failing, until it has no n-th. It is to
 * give back what it made after setting *n_calls to fake_fallible_calls(), and no call fails
 * then: nobody would see it. */
template <class F> static void fail_each_call(F work) {
    const size_t n_live = fake_live_objects();
    for (long n = 1; n < 10000; n++) {
        long before = fake_fallible_calls(), n_calls = 0;
        fake_fail_after(n);
        status st = work(&n_calls);
        CHECK(fake_live_objects() == n_live);
        bool has_failed = n_calls - before >= n;
        CHECK(has_failed == (st != ST_OK));
        if (!has_failed) return;
    }
    CHECK(!"ends");
}

/* What has been done so far is all that may fail. */
static void end_of_failures(long *n_calls) {
    *n_calls = fake_fallible_calls();
    fake_fail_after(0);
}

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

/* ------------------------------------------------------------ batches */

enum { SEQUENCES = 12, TABLE_MAX = 6, BLOCK_TOKENS = 4, SAMPLES_MAX = 16, ROWS_OF_BATCH = 96 };
static const uint32_t spare_block = 9999;

/* A random batch: its chunks, tables and sequences. */
struct random_batch {
    std::vector<token_chunk> chunks;
    std::vector<uint32_t> seqs, blocks, ids;
    std::vector<token_row> rows;
    token_batch b = {};
    token_table table = {};

    random_batch(uint64_t stream, bool decodes) : ids(ROWS_OF_BATCH), rows(SEQUENCES) {
        uint64_t n_drawn = 0;
        std::vector<size_t> first_block;
        for (uint32_t &id : ids) id = random_below(stream, &n_drawn, 500);
        uint32_t n = 1 + random_below(stream, &n_drawn, SEQUENCES);
        for (uint32_t i = 0; i < n; i++) {
            token_chunk c = {};
            bool one = decodes || random_below(stream, &n_drawn, 2) > 0;
            c.n_tokens = one ? 1 : 1 + random_below(stream, &n_drawn, 8);
            c.n_before = random_below(stream, &n_drawn, TABLE_MAX * BLOCK_TOKENS - 8);
            c.samples = decodes || random_below(stream, &n_drawn, 3) > 0;
            c.tokens = &ids[b.n_tokens];
            b.n_tokens += c.n_tokens;
            b.n_sampling += c.samples;
            chunks.push_back(c);
            seqs.push_back((i + 5) % SEQUENCES);
            first_block.push_back(blocks.size());
            for (uint32_t k = 0; k * BLOCK_TOKENS < c.n_before + c.n_tokens; k++)
                blocks.push_back(random_below(stream, &n_drawn, 1000));
        }
        for (uint32_t i = 0; i < SEQUENCES; i++) {
            rows[i].request_id = rng_bits(seed, stream, 1000 + i);
            rows[i].n_prompt = 1 + i;
        }
        for (uint32_t i = 0; i < n; i++) chunks[i].blocks = &blocks[first_block[i]];
        b.chunks = chunks.data();
        b.seqs = seqs.data();
        b.n = n;
        b.blocks = blocks.data();
        b.n_blocks = blocks.size();
        table.rows = rows.data();
        table.capacity = SEQUENCES;
    }
    random_batch(const random_batch &) = delete;
    random_batch &operator=(const random_batch &) = delete;
};

static device_batch_limits limits_of(bool tiles_only) {
    return {ROWS_OF_BATCH, SAMPLES_MAX, TABLE_MAX, 3, spare_block, tiles_only};
}

template <class T>
static std::vector<T> download(const batch_array &a, const void *device, size_t n) {
    CHECK(device == a.device);
    std::vector<T> out(n);
    if (n > 0)
        check_cuda(cudaMemcpy(out.data(), device, n * sizeof(T), cudaMemcpyDeviceToHost),
                   "a batch");
    return out;
}

/* A batch as the device has it. */
struct arrays {
    std::vector<uint32_t> tokens, positions, first_block, blocks;
    std::vector<uint32_t> sample_rows, sample_positions, n_prompt, n_live;
    std::vector<uint64_t> request_ids;
    std::vector<attention_tile> tiles;

    arrays(const device_batch *d, size_t n_blocks) {
        const pass_batch *p = &d->pass;
        check_cuda(cudaDeviceSynchronize(), "a batch");
        tokens = download<uint32_t>(d->tokens, p->rows.tokens, p->rows.n_rows);
        positions = download<uint32_t>(d->positions, p->rows.positions, p->rows.n_rows);
        first_block = download<uint32_t>(d->first_block, p->rows.first_block, p->rows.n_rows);
        blocks = download<uint32_t>(d->blocks, p->rows.blocks, n_blocks);
        sample_rows = download<uint32_t>(d->sample_rows, p->sample_rows, p->n_samples);
        sample_positions =
            download<uint32_t>(d->sample_positions, d->sample_positions.device, p->n_samples);
        n_prompt = download<uint32_t>(d->n_prompt, d->n_prompt.device, p->n_samples);
        request_ids = download<uint64_t>(d->request_ids, d->request_ids.device, p->n_samples);
        n_live = download<uint32_t>(d->n_live, d->n_live.device, 1);
        tiles = download<attention_tile>(d->tiles, p->tiles, p->n_tiles);
    }
};

/* The rows of each chunk stand together, in the order of its tokens; first row of each chunk.
 */
static std::vector<uint32_t> check_rows_of(const random_batch &r, const device_batch *d,
                                           const arrays &a) {
    std::vector<uint32_t> first_row(r.b.n, UINT32_MAX);
    uint32_t n_rows = 0;
    CHECK(d->n_rows == r.b.n_tokens && a.n_live[0] == r.b.n_tokens);
    for (int single = 0; single < 2; single++)
        for (uint32_t i = 0; i < r.b.n; i++) {
            const token_chunk *c = &r.chunks[i];
            if ((c->n_tokens == 1) != (single == 1)) continue;
            first_row[i] = n_rows;
            for (uint32_t t = 0; t < c->n_tokens; t++, n_rows++) {
                CHECK(a.tokens[n_rows] == c->tokens[t]);
                CHECK(a.positions[n_rows] == c->n_before + t);
                for (uint32_t k = 0; k * BLOCK_TOKENS < c->n_before + c->n_tokens; k++)
                    CHECK(a.blocks[a.first_block[n_rows] + k] == c->blocks[k]);
            }
        }
    CHECK(n_rows == d->n_rows);
    return first_row;
}

/* Each row that is not single is in one tile, and the tile says of it what its arrays say. */
static void check_tiles(const device_batch *d, const arrays &a) {
    std::vector<uint32_t> n_covering(d->pass.rows.n_rows);
    for (const attention_tile &t : a.tiles) {
        CHECK(t.n_rows >= 1 && t.n_rows <= d->limits.tile_rows);
        for (uint32_t r = t.first_row; r < t.first_row + t.n_rows; r++) {
            if (!CHECK(r < n_covering.size())) continue;
            n_covering[r]++;
            CHECK(a.positions[r] == t.n_before + (r - t.first_row));
            CHECK(a.first_block[r] == t.first_block);
        }
    }
    for (size_t i = 1; i < a.tiles.size(); i++)
        CHECK(a.tiles[i - 1].n_before + a.tiles[i - 1].n_rows >=
              a.tiles[i].n_before + a.tiles[i].n_rows);
    for (uint32_t r = 0; r < n_covering.size(); r++)
        CHECK(n_covering[r] == (r < d->pass.rows.n_rows - d->pass.n_single));
}

static void check_samples(const random_batch &r, const device_batch *d, const arrays &a,
                          const std::vector<uint32_t> &first_row) {
    std::vector<uint32_t> sampling, times(r.b.n_sampling);
    for (uint32_t i = 0; i < r.b.n; i++)
        if (r.chunks[i].samples) sampling.push_back(i);
    if (!CHECK(d->n_samples == r.b.n_sampling)) return;
    for (uint32_t i = 0; i < d->n_samples; i++) {
        if (!CHECK(d->order[i] < sampling.size())) return;
        times[d->order[i]]++;
        uint32_t chunk = sampling[d->order[i]];
        const token_chunk *c = &r.chunks[chunk];
        CHECK(a.sample_rows[i] == first_row[chunk] + c->n_tokens - 1);
        CHECK(a.sample_positions[i] == c->n_before + c->n_tokens - 1);
        CHECK(a.n_prompt[i] == r.rows[r.seqs[chunk]].n_prompt);
        CHECK(a.request_ids[i] == r.rows[r.seqs[chunk]].request_id);
    }
    for (uint32_t n : times) CHECK(n == 1);
}

static void check_padding(const device_batch *d, const arrays &a, uint32_t n_padded) {
    uint32_t n_rows = n_padded ? n_padded : d->n_rows;
    uint32_t n_samples = n_padded ? n_padded : d->n_samples;
    if (!CHECK(d->pass.rows.n_rows == n_rows && d->pass.n_samples == n_samples)) return;
    for (uint32_t r = d->n_rows; r < n_rows; r++) {
        CHECK(a.tokens[r] == 0 && a.positions[r] == 0);
        CHECK(a.blocks[a.first_block[r]] == spare_block);
        CHECK(a.sample_rows[r] == r);
    }
}

static void check_one_batch(device_batch *d, cudaStream_t stream, uint64_t number,
                            bool decodes) {
    random_batch r(2000 + number, decodes);
    uint32_t n_padded = decodes && number % 3 > 0 ? r.b.n + (uint32_t)(number % 4) : 0;
    CHECK(device_batch_is_decoding(&r.b) || !decodes);
    CHECK_OK(device_batch_load(d, stream, &r.b, &r.table, n_padded, &err));
    arrays a(d, r.b.n_blocks + 1);
    std::vector<uint32_t> first_row = check_rows_of(r, d, a);
    uint32_t n_single = 0;
    for (const token_chunk &c : r.chunks) n_single += c.n_tokens == 1;
    if (d->limits.tiles_only) n_single = 0;
    CHECK(d->pass.n_single == n_single + (d->pass.rows.n_rows - d->n_rows));
    check_tiles(d, a);
    check_samples(r, d, a, first_row);
    check_padding(d, a, n_padded);
}

static int check_batches(bool tiles_only) {
    check_begin("streams: batches as arrays%s", tiles_only ? ", all in tiles" : "");
    device_batch d;
    cudaStream_t stream;
    device_batch_limits limits = limits_of(tiles_only);
    check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
    CHECK_OK(device_batch_init(&d, &limits, &err));
    if (d.device)
        for (uint64_t i = 0; i < 200; i++) check_one_batch(&d, stream, i, i % 2 > 0);
    device_batch_finish(&d);
    (void)cudaStreamDestroy(stream);
    return check_end();
}

static int check_limits(void) {
    check_begin("streams: batches beyond the limits are refused");
    random_batch r(1, true);
    const device_batch_limits good = {r.b.n_tokens, r.b.n, TABLE_MAX, 3, spare_block, false};
    for (int i = 0; i < 5; i++) {
        device_batch_limits l = good;
        if (i == 1) l.max_rows--;
        if (i == 2) l.max_samples--;
        if (i == 3) l.max_table = (uint32_t)((r.b.n_blocks - 1) / r.b.n);
        device_batch d;
        errbuf err = {};
        CHECK_OK(device_batch_init(&d, &l, &err));
        status st = device_batch_load(&d, 0, &r.b, &r.table, i == 4 ? r.b.n + 1 : 0, &err);
        CHECK(st == (i == 0 ? ST_OK : ST_INVALID));
        CHECK(st == ST_OK || err.text[0] != 0);
        device_batch_finish(&d);
    }
    return check_end();
}

#ifndef __CUDACC__

static int check_failed_batches(void) {
    check_begin("streams: batches leave nothing behind, whichever call fails");
    random_batch r(1, false);
    fail_each_call([&](long *n_calls) {
        device_batch d;
        errbuf err = {};
        device_batch_limits limits = limits_of(false);
        status st = device_batch_init(&d, &limits, &err);
        if (st == ST_OK) st = device_batch_load(&d, 0, &r.b, &r.table, 0, &err);
        end_of_failures(n_calls);
        device_batch_finish(&d);
        return st;
    });
    return check_end();
}

/* ------------------------------------------------------------ models that are made up */

static model_config small_config(void) {
    model_config c = {};
    c.n_layers = 2;
    c.hidden = 32;
    c.n_heads = 2;
    c.n_kv_heads = 1;
    c.head_dim = 16;
    c.n_ffn = 48;
    c.vocab = 64;
    c.max_model_len = 32;
    c.norm_eps = 1e-5;
    c.gated_mlp = c.do_layer_norm_before = c.final_norm = true;
    c.rope_theta = 10000;
    c.rope.kind = ROPE_UNSCALED;
    return c;
}

static status use_model(const model_config *c, long *n_calls) {
    device_model m = {};
    device_pass *pass = NULL;
    errbuf err = {};
    device_pass_options o = {};
    o.max_rows = o.max_samples = 4;
    o.max_context = 32;
    o.gemm = gemm_options_defaults();
    o.gemm.workspace_bytes = 1 << 20;
    status st = device_model_random(&m, c, DEVICE_BF16, 32, 1, &err);
    if (st == ST_OK) st = device_pass_create(&pass, &m, &o, &err);
    end_of_failures(n_calls);
    device_pass_destroy(pass);
    device_model_finish(&m);
    CHECK(st == ST_OK || err.text[0] != 0);
    return st;
}

static int check_failed_models(void) {
    check_begin("streams: models and passes leave nothing behind, whichever call fails");
    model_config c = small_config();
    fail_each_call([&](long *n_calls) { return use_model(&c, n_calls); });
    return check_end();
}

#endif

int check_streams(void) {
    const char *text = getenv("SEED");
    if (text) seed = strtoull(text, NULL, 10);
    printf("SEED=%llu\n", (unsigned long long)seed);
    int n_failed = check_pieces() + check_coalescing() + check_copies() + check_ordered();
    n_failed += check_batches(false) + check_batches(true) + check_limits();
#ifndef __CUDACC__
    n_failed += check_order_of_streams() + check_failed_copies();
    n_failed += check_failed_batches() + check_failed_models();
#endif
    return n_failed;
}
