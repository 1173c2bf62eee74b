/* check_attention.cc - attend_prefill and attend_decode against plain loops in double.
 *
 * Each case has sequences of its own, in shuffled blocks; what the kernels may not read (keys
 * behind a context, other layers, blocks of no sequence, numbers between the queries) is NaN,
 * what they may not write is compared.
 *
 * Tolerance: weights are rounded to 16 bit before they meet the values (relative error u, or
 * `tiny` near zero), the result is rounded once, and a score is a float sum with an error e of
 * 2^-22 of its terms' absolute sum, which every weight inherits, once by itself and once by
 * the sum of all. So |error| <= (u + 2 e) sum p |v| + tiny sum |v| + u |result|. */
#include <string.h>

#include "attention.cuh"
#include "check.h"

enum { N_LAYERS = 2, LAYER = 1, GUARD_ROWS = 2 };
enum { STREAM_KEYS, STREAM_VALUES, STREAM_QUERIES, STREAM_BLOCKS };

struct chunk {
    uint32_t n_before, n_rows;
};

struct attention_case {
    const char *name;
    device_dtype dtype;
    uint32_t n_heads, n_kv_heads, head_dim, block_tokens;
    std::vector<chunk> chunks; /* sequence i has n_before + n_rows keys */
    double logit;              /* the scores' standard deviation */
};

/* ------------------------------------------------------------ a case */

/* A case's inputs on the host. */
struct attention_host {
    attention_case c;
    size_t q_stride, out_width;
    numbers keys, values; /* [all keys][n_kv_heads][head_dim], rounded */
    numbers queries;      /* [rows][n_heads][head_dim], rounded */
    std::vector<uint32_t> key_start, block_start; /* [sequences], and the end of all keys */
    std::vector<uint32_t> table;                  /* block tables, one behind the other */
    std::vector<attention_tile> chunks;
    std::vector<uint32_t> sequences, positions; /* [rows] */
    kv_arena arena;                             /* without its values */
};

/* The same on the device. */
struct attention_rig {
    attention_host host;
    device_array<uint16_t> arena_numbers, q;
    device_array<uint16_t> out; /* GUARD_ROWS more than there are */
    device_array<uint32_t> blocks;
    kv_arena arena;

    explicit attention_rig(const attention_case &c);
    uint32_t n_rows() const { return (uint32_t)host.positions.size(); }
    void clear() { out.upload(std::vector<uint16_t>(out.n, 0xabab)); }
    std::vector<uint16_t> first_out(size_t n_rows) const {
        std::vector<uint16_t> all = out.host();
        all.resize(n_rows * host.out_width);
        return all;
    }
};

static numbers draw(const attention_case &c, uint64_t stream, size_t n, double deviation) {
    numbers x(n);
    for (size_t i = 0; i < n; i++)
        x[i] = round16(c.dtype, rng_normal(7, stream, i) * deviation);
    return x;
}

/* Gives each sequence its blocks out of a shuffled pool twice as large as needed. */
static void place_blocks(attention_host *h) {
    uint32_t n = 0, n_keys = 0;
    for (const chunk &k : h->c.chunks) {
        uint32_t keys = k.n_before + k.n_rows;
        h->block_start.push_back(n);
        h->key_start.push_back(n_keys);
        n += (keys + h->c.block_tokens - 1) / h->c.block_tokens;
        n_keys += keys;
    }
    h->key_start.push_back(n_keys);
    std::vector<uint32_t> pool(2 * n);
    for (uint32_t i = 0; i < 2 * n; i++) {
        uint32_t j = (uint32_t)(rng_bits(7, STREAM_BLOCKS, i) % (i + 1));
        pool[i] = pool[j];
        pool[j] = i;
    }
    h->table.assign(pool.begin(), pool.begin() + n);
}

static attention_host make_host(const attention_case &c) {
    attention_host h = attention_host();
    h.c = c;
    h.q_stride = (size_t)(c.n_heads + 2 * c.n_kv_heads) * c.head_dim;
    h.out_width = (size_t)c.n_heads * c.head_dim;
    h.arena = {NULL, c.block_tokens, N_LAYERS, c.n_kv_heads, c.head_dim};
    place_blocks(&h);
    for (uint32_t s = 0; s < c.chunks.size(); s++) {
        const chunk &k = c.chunks[s];
        uint32_t first_row = (uint32_t)h.positions.size();
        h.chunks.push_back({first_row, k.n_rows, k.n_before, h.block_start[s]});
        for (uint32_t i = 0; i < k.n_rows; i++) {
            h.sequences.push_back(s);
            h.positions.push_back(k.n_before + i);
        }
    }
    size_t n_keys = (size_t)h.key_start.back() * c.n_kv_heads * c.head_dim;
    h.keys = draw(c, STREAM_KEYS, n_keys, 1);
    h.values = random_numbers16(c.dtype, STREAM_VALUES, n_keys, 1); /* with outliers */
    h.queries = draw(c, STREAM_QUERIES, h.positions.size() * h.out_width, c.logit);
    return h;
}

/* The arena with NaN everywhere but at the sequences' keys and values. */
static std::vector<uint16_t> fill_arena(const attention_host &h) {
    const uint32_t width = h.c.n_kv_heads * h.c.head_dim, bt = h.c.block_tokens;
    uint32_t n_blocks = 2 * (uint32_t)h.table.size();
    std::vector<uint16_t> out(kv_arena_rows(&h.arena, n_blocks, 0, 0), 0xffff);
    for (size_t s = 0; s < h.c.chunks.size(); s++) {
        for (uint32_t key = 0; key < h.key_start[s + 1] - h.key_start[s]; key++) {
            uint32_t block = h.table[h.block_start[s] + key / bt];
            size_t k = kv_arena_rows(&h.arena, block, LAYER, 0) + (size_t)(key % bt) * width;
            size_t v = kv_arena_rows(&h.arena, block, LAYER, 1) + (size_t)(key % bt) * width;
            size_t from = (size_t)(h.key_start[s] + key) * width;
            for (uint32_t i = 0; i < width; i++) {
                out[k + i] = bits16(h.c.dtype, h.keys[from + i]);
                out[v + i] = bits16(h.c.dtype, h.values[from + i]);
            }
        }
    }
    return out;
}

/* The queries as the first part of the rows of a fused projection, the rest NaN. */
static std::vector<uint16_t> fill_queries(const attention_host &h) {
    std::vector<uint16_t> rows(h.positions.size() * h.q_stride, 0xffff);
    for (size_t i = 0; i < h.positions.size(); i++)
        for (size_t j = 0; j < h.out_width; j++)
            rows[i * h.q_stride + j] = bits16(h.c.dtype, h.queries[i * h.out_width + j]);
    return rows;
}

attention_rig::attention_rig(const attention_case &c)
    : host(make_host(c)), arena_numbers(fill_arena(host)), q(fill_queries(host)),
      out((host.positions.size() + GUARD_ROWS) * host.out_width), blocks(host.table),
      arena(host.arena) {
    arena.values = arena_numbers.at;
    clear();
}

/* ------------------------------------------------------------ reference */

struct wanted {
    numbers result, room; /* [head_dim], and how far from it is near */
};

static wanted attend_ref(const attention_host &h, uint32_t row, uint32_t head, double scale) {
    const attention_case &c = h.c;
    const uint32_t d = c.head_dim, n_keys = h.positions[row] + 1;
    const size_t first = h.key_start[h.sequences[row]];
    const size_t kv_head = head / (c.n_heads / c.n_kv_heads);
    const double *q = &h.queries[row * h.out_width + (size_t)head * d];
    numbers p(n_keys);
    double top = -INFINITY, weight = 0, terms = 0;
    for (uint32_t key = 0; key < n_keys; key++) {
        const double *k = &h.keys[((first + key) * c.n_kv_heads + kv_head) * d];
        double sum = 0;
        for (uint32_t i = 0; i < d; i++) {
            p[key] += q[i] * k[i] * scale;
            sum += fabs(q[i] * k[i] * scale);
        }
        top = fmax(top, p[key]);
        terms = fmax(terms, sum);
    }
    for (double &x : p) weight += x = exp(x - top);
    wanted want = {numbers(d), numbers(d)};
    const double u = dtype_unit(c.dtype) + 2 * 0x1p-22 * terms;
    for (uint32_t key = 0; key < n_keys; key++) {
        const double *v = &h.values[((first + key) * c.n_kv_heads + kv_head) * d];
        for (uint32_t i = 0; i < d; i++) {
            want.result[i] += p[key] / weight * v[i];
            want.room[i] += (u * p[key] / weight + dtype_tiny(c.dtype)) * fabs(v[i]);
        }
    }
    return want;
}

/* Compares all rows, and that nothing behind them was written. */
static void check_out(const attention_rig &r, double scale) {
    const attention_host &h = r.host;
    std::vector<uint16_t> got = r.out.host();
    for (uint32_t row = 0; row < r.n_rows(); row++) {
        for (uint32_t head = 0; head < h.c.n_heads; head++) {
            wanted want = attend_ref(h, row, head, scale);
            for (uint32_t i = 0; i < h.c.head_dim; i++) {
                size_t at = row * h.out_width + (size_t)head * h.c.head_dim + i;
                CHECK_NEAR(number16(h.c.dtype, got[at]), want.result[i], want.room[i],
                           dtype_unit(h.c.dtype), at);
            }
        }
    }
    for (size_t i = r.n_rows() * h.out_width; i < got.size(); i++) CHECK(got[i] == 0xabab);
}

static double scale_of(const attention_case &c) {
    return 1 / sqrt((double)c.head_dim);
}

/* ------------------------------------------------------------ prefill */

/* Runs the chunks, cut into tiles of tile_rows rows. */
static void run_prefill(const attention_rig &r, const std::vector<attention_tile> &chunks,
                        uint32_t tile_rows, double scale, const uint32_t *stopped) {
    std::vector<attention_tile> tiles(r.n_rows() + chunks.size());
    uint32_t n_tiles = 0;
    CHECK_OK(attention_plan_tiles(tiles.data(), &n_tiles, (uint32_t)tiles.size(), chunks.data(),
                                  (uint32_t)chunks.size(), tile_rows, &err));
    tiles.resize(n_tiles);
    device_array<attention_tile> device_tiles(tiles);
    attend_prefill_args args = attend_prefill_args();
    args.tiles = device_tiles.at;
    args.n_tiles = n_tiles;
    args.q = r.q.at;
    args.q_stride = r.host.q_stride;
    args.out = r.out.at;
    args.blocks = r.blocks.at;
    args.arena = r.arena;
    args.layer = LAYER;
    args.n_heads = r.host.c.n_heads;
    args.scale = (float)scale;
    args.stopped = stopped;
    CHECK_OK(attend_prefill(0, r.host.c.dtype, &args, &err));
    CHECK(cudaDeviceSynchronize() == cudaSuccess);
}

static int check_prefill(const attention_case &c) {
    check_begin("attend_prefill %s, %s", dtype_name(c.dtype), c.name);
    attention_rig r(c);
    run_prefill(r, r.host.chunks, attention_tile_rows(c.head_dim), scale_of(c), NULL);
    check_out(r, scale_of(c));
    return check_end();
}

/* The bits of a sequence's rows do not depend on how it is cut, nor on what runs beside it. */
static int check_chunking(device_dtype dtype, uint32_t head_dim) {
    check_begin("attend_prefill %s, d %u, bits whatever the chunks", dtype_name(dtype),
                head_dim);
    attention_rig r({"", dtype, 2, 1, head_dim, 16, {{0, 150}, {0, 30}}, 3});
    const attention_tile *first = &r.host.chunks[0];
    run_prefill(r, {*first}, attention_tile_rows(head_dim), 0.2, NULL);
    std::vector<uint16_t> want = r.first_out(150);
    const uint32_t cuts[][4] = {{0, 1, 65, 150}, {0, 64, 128, 150}, {0, 40, 147, 150}};
    for (const uint32_t(&cut)[4] : cuts) {
        std::vector<attention_tile> chunks = {r.host.chunks[1]};
        for (int i = 0; i < 3; i++)
            chunks.push_back({cut[i], cut[i + 1] - cut[i], cut[i], first->first_block});
        r.clear();
        run_prefill(r, chunks, cut[1] == 40 ? 50 : attention_tile_rows(head_dim), 0.2, NULL);
        CHECK(r.first_out(150) == want);
    }
    return check_end();
}

static int check_plan(void) {
    check_begin("attention_plan_tiles");
    const attention_tile chunks[] = {{0, 10, 0, 3}, {10, 130, 50, 5}, {140, 1, 900, 40}};
    const attention_tile want[] = {
        {140, 1, 900, 40}, {138, 2, 178, 5}, {74, 64, 114, 5}, {10, 64, 50, 5}, {0, 10, 0, 3}};
    attention_tile tiles[5];
    uint32_t n = 0;
    CHECK_OK(attention_plan_tiles(tiles, &n, 5, chunks, 3, 64, &err));
    CHECK(n == 5);
    CHECK(memcmp(tiles, want, sizeof(want)) == 0);
    CHECK(attention_plan_tiles(tiles, &n, 4, chunks, 3, 64, NULL) == ST_INVALID);
    CHECK(attention_plan_tiles(tiles, &n, 5, chunks, 3, 0, NULL) == ST_INVALID);
    CHECK(attention_tile_rows(128) >= 64);
    CHECK(attention_tile_rows(256) >= 64);
    CHECK(attention_tile_rows(0) == 0);
    CHECK(attention_tile_rows(33) == 0);
    CHECK(attention_tile_rows(258) == 0);
    return check_end();
}

/* ------------------------------------------------------------ decode */

/* A launch over all rows of a rig. */
struct decode_run {
    attention_rig rig;
    device_array<uint32_t> positions, first_block;
    device_array<float> workspace;
    attend_decode_args args;

    static std::vector<uint32_t> first_blocks(const attention_host &h) {
        std::vector<uint32_t> out;
        for (uint32_t s : h.sequences) out.push_back(h.block_start[s]);
        return out;
    }
    static size_t floats(const attention_rig &r, decode_splits splits) {
        const attention_case &c = r.host.c;
        return attend_decode_workspace_bytes(r.n_rows(), c.n_heads, c.head_dim, splits) /
               sizeof(float);
    }

    decode_run(const attention_case &c, double scale, decode_splits splits)
        : rig(c), positions(rig.host.positions), first_block(first_blocks(rig.host)),
          workspace(floats(rig, splits)), args() {
        args.rows.positions = positions.at;
        args.rows.first_block = first_block.at;
        args.rows.blocks = rig.blocks.at;
        args.rows.n_rows = rig.n_rows();
        args.q = rig.q.at;
        args.q_stride = rig.host.q_stride;
        args.out = rig.out.at;
        args.arena = rig.arena;
        args.layer = LAYER;
        args.n_heads = c.n_heads;
        args.scale = (float)scale;
        args.splits = splits;
        args.workspace = workspace.at;
    }
};

static int check_decode(const attention_case &c, decode_splits splits) {
    check_begin("attend_decode %s, %s, %u splits of %u keys or more", dtype_name(c.dtype),
                c.name, splits.n, splits.n_keys_min);
    decode_run d(c, scale_of(c), splits);
    CHECK_OK(attend_decode(0, c.dtype, &d.args, &err));
    check_out(d.rig, scale_of(c));
    return check_end();
}

/* A graph that was captured at some contexts serves others. */
static int check_replay(void) {
    check_begin("attend_decode in a graph while contexts change");
    decode_run d({"", DEVICE_BF16, 4, 2, 16, 16, {{299, 1}, {64, 1}}, 1}, 0.3, {3, 128});
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    CHECK_OK(attend_decode(stream, DEVICE_BF16, &d.args, &err));
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    CHECK(cudaGraphInstantiate(&exec, graph, 0) == cudaSuccess);
    const std::vector<std::vector<uint32_t>> steps = {{5, 64}, {200, 3}, {299, 0}};
    for (const std::vector<uint32_t> &positions : steps) {
        d.rig.host.positions = positions;
        d.positions.upload(positions);
        d.rig.clear();
        CHECK(cudaDeviceSynchronize() == cudaSuccess);
        CHECK(cudaGraphLaunch(exec, stream) == cudaSuccess);
        check_out(d.rig, 0.3);
    }
    CHECK(cudaGraphExecDestroy(exec) == cudaSuccess);
    CHECK(cudaGraphDestroy(graph) == cudaSuccess);
    CHECK(cudaStreamDestroy(stream) == cudaSuccess);
    return check_end();
}

static int check_splits(void) {
    check_begin("attend_decode_splits");
    CHECK(attend_decode_workspace_bytes(64, 32, 128, {1, 64}) == 0);
    CHECK(attend_decode_workspace_bytes(2, 4, 8, {3, 64}) == 2 * 4 * 3 * 10 * sizeof(float));
    CHECK(attend_decode_splits(1, 8, 128, 1, 132).n == 1);
    CHECK(attend_decode_splits(1024, 32, 128, 64, 132).n == 1);
    CHECK(attend_decode_splits(1, 8, 128, 8192, 132).n > 8);
    for (uint32_t n = 1; n <= 1024; n *= 2)
        for (uint32_t context : {64u, 1000u, 4096u, 131072u}) {
            const decode_splits s = attend_decode_splits(n, 8, 128, context, 132);
            const bool fill = n * 8 >= 3 * 132;
            CHECK(s.n >= 1 && s.n <= ATTEND_DECODE_SPLITS_MAX);
            /* Short rows are not cut for the sake of one that may be long. */
            if (fill && s.n > 1) CHECK(s.n_keys_min >= 1024 && s.n_keys_min * s.n >= context);
            if (fill) CHECK(s.n == 1 || s.n * n * 8 <= 6 * 3 * 132);
        }
    return check_end();
}

/* ------------------------------------------------------------ both */

/* A set flag leaves the output and the workspace alone. */
static int check_stopped(void) {
    check_begin("attention that is stopped");
    decode_run d({"", DEVICE_FP16, 2, 2, 16, 16, {{70, 3}}, 1}, 0.2, {2, 0});
    device_array<uint32_t> flags(std::vector<uint32_t>{0, 1});
    const std::vector<uint16_t> before = d.rig.out.host();
    run_prefill(d.rig, d.rig.host.chunks, 128, 0.2, flags.at + 1);
    d.args.stopped = flags.at + 1;
    CHECK_OK(attend_decode(0, DEVICE_FP16, &d.args, &err));
    CHECK(d.rig.out.host() == before);
    for (float x : d.workspace.host()) CHECK(isnan(x));
    run_prefill(d.rig, d.rig.host.chunks, 128, 0.2, flags.at);
    check_out(d.rig, 0.2);
    d.rig.clear();
    d.args.stopped = flags.at;
    CHECK_OK(attend_decode(0, DEVICE_FP16, &d.args, &err));
    check_out(d.rig, 0.2);
    return check_end();
}

/* Unsupported shapes are refused before anything is launched. */
static int check_refusals(void) {
    check_begin("attention that is refused");
    uint16_t number = 0;
    attend_prefill_args good = attend_prefill_args(), p;
    good.q = good.out = &number;
    good.arena = {&number, 16, 2, 2, 64};
    good.n_heads = 4;
    good.q_stride = 512;
    good.scale = 1;
    CHECK_OK(attend_prefill(0, DEVICE_BF16, &good, &err)); /* no tiles */
#define REFUSED(change)                                                                        \
    p = good;                                                                                  \
    p.change;                                                                                  \
    CHECK(attend_prefill(0, DEVICE_BF16, &p, NULL) == ST_INVALID)
    REFUSED(arena.head_dim = 63);
    REFUSED(arena.head_dim = 258);
    REFUSED(arena.n_kv_heads = 3);
    REFUSED(arena.n_kv_heads = 0);
    REFUSED(arena.block_tokens = 0);
    REFUSED(layer = 2);
    REFUSED(q_stride = 254);
    REFUSED(q_stride = 511);
    REFUSED(scale = 0);
    REFUSED(scale = NAN);
    REFUSED(n_tiles = 65536);
#undef REFUSED
    attend_decode_args d = attend_decode_args();
    d.q = d.out = &number;
    d.arena = good.arena;
    d.n_heads = 4;
    d.q_stride = 512;
    d.scale = 1;
    d.splits = {1, 0};
    CHECK_OK(attend_decode(0, DEVICE_BF16, &d, &err)); /* no rows */
    d.rows.n_rows = 65536;
    CHECK(attend_decode(0, DEVICE_BF16, &d, NULL) == ST_INVALID);
    d.rows.n_rows = 1;
    d.splits.n = 0;
    CHECK(attend_decode(0, DEVICE_BF16, &d, NULL) == ST_INVALID);
    d.splits.n = ATTEND_DECODE_SPLITS_MAX + 1;
    CHECK(attend_decode(0, DEVICE_BF16, &d, NULL) == ST_INVALID);
    d.splits.n = 2; /* without a workspace */
    CHECK(attend_decode(0, DEVICE_BF16, &d, NULL) == ST_INVALID);
    return check_end();
}

static const device_dtype B = DEVICE_BF16, H = DEVICE_FP16;

static const std::vector<attention_case> prefill_cases = {
    /* name, dtype, heads, kv heads, head_dim, block_tokens, chunks, logit */
    {"group 1, d 16", B, 2, 2, 16, 16, {{0, 1}, {0, 15}, {0, 16}, {0, 17}, {0, 200}}, 1},
    {"group 2, d 64", H, 4, 2, 64, 16, {{0, 63}, {0, 64}, {0, 65}}, 1},
    {"group 4, d 10, blocks of 5", B, 4, 1, 10, 5, {{0, 33}, {7, 20}, {0, 3}}, 2},
    {"group 5, d 12, blocks of 4", H, 5, 1, 12, 4, {{0, 33}, {63, 66}}, 2},
    {"group 8, d 32", H, 8, 1, 32, 16, {{16, 40}}, 1},
    {"d 80", B, 2, 1, 80, 16, {{0, 20}, {100, 50}}, 1},
    {"d 72 of 80, blocks of 1", H, 1, 1, 72, 1, {{30, 40}}, 1},
    {"d 96", H, 1, 1, 96, 16, {{10, 60}}, 1},
    {"d 128", B, 2, 1, 128, 16, {{0, 66}, {70, 10}}, 1},
    {"d 128, half", H, 1, 1, 128, 16, {{0, 130}}, 1},
    {"d 256", B, 1, 1, 256, 16, {{0, 40}, {31, 34}}, 1},
    {"d 130 of 256, blocks of 7", H, 1, 1, 130, 7, {{20, 20}}, 1},
    {"large scores", B, 2, 2, 64, 16, {{0, 150}}, 60},
    {"large scores, half", H, 2, 2, 16, 16, {{0, 200}}, 60},
};

static const std::vector<attention_case> decode_cases = {
    {"group 1, d 16", B, 2, 2, 16, 16, {{0, 1}, {14, 1}, {15, 1}, {16, 1}, {199, 1}}, 1},
    {"group 2, d 64", H, 4, 2, 64, 16, {{62, 1}, {63, 1}, {64, 1}, {300, 1}}, 1},
    {"group 4, d 10, blocks of 5", B, 4, 1, 10, 5, {{199, 1}, {0, 1}, {128, 2}}, 2},
    {"group 5, d 12, blocks of 4", H, 10, 2, 12, 4, {{64, 1}, {16, 1}}, 2},
    {"group 8, d 128", B, 8, 1, 128, 16, {{199, 1}, {63, 1}}, 1},
    {"group 16, d 32", H, 16, 1, 32, 16, {{150, 1}}, 1},
    {"group 18, d 16", B, 36, 2, 16, 16, {{150, 1}}, 1},
    {"d 80", H, 2, 2, 80, 16, {{199, 1}}, 1},
    {"d 96, blocks of 3", B, 2, 1, 96, 3, {{129, 1}}, 1},
    {"d 256", B, 2, 1, 256, 16, {{140, 1}}, 1},
    {"d 100 of 128", H, 2, 1, 100, 16, {{140, 1}}, 1},
    {"large scores", B, 4, 2, 64, 16, {{199, 1}, {40, 1}}, 60},
    {"large scores, half", H, 4, 2, 128, 16, {{199, 1}}, 60},
};

int check_attention(void) {
    int n_failed = check_plan() + check_splits() + check_refusals() + check_stopped();
    for (const attention_case &c : prefill_cases) n_failed += check_prefill(c);
    n_failed += check_chunking(DEVICE_BF16, 16) + check_chunking(DEVICE_FP16, 10);
    n_failed += check_chunking(DEVICE_BF16, 64) + check_chunking(DEVICE_FP16, 256);
    for (const attention_case &c : decode_cases)
        for (uint32_t n : {1, 3}) n_failed += check_decode(c, {n, 0});
    for (uint32_t n : {2, 4, 7, 64}) n_failed += check_decode(decode_cases[0], {n, 1});
    for (uint32_t n_keys : {64, 65, 128, 1000})
        for (const attention_case &c : {decode_cases[0], decode_cases[1], decode_cases[4]})
            n_failed += check_decode(c, {3, n_keys});
    return n_failed + check_replay();
}
