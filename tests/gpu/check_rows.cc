/* check_rows.cc - the kernels over rows against plain loops in double.
 *
 * Tolerances: where a number is rounded to 16 bit, float and double may fall to two sides of a
 * step, which is 2 units (dtype_unit) of it; what was rounded on the way carries that into the
 * result. Where nothing is summed or approximated, bits are equal. */
#include "check.h"
#include "row_kernels.cuh"

/* ------------------------------------------------------------ helpers */

/* An array whose first number stands `skew` numbers behind an aligned address. */
struct skewed {
    device_array<uint16_t> all;
    size_t skew;

    skewed(device_dtype d, const numbers &host, size_t skew_)
        : all(upload16(d, padded(host, skew_))), skew(skew_) {}
    uint16_t *at() const { return all.at + skew; }
    numbers host(device_dtype d) const {
        numbers out = download16(d, all);
        out.erase(out.begin(), out.begin() + (long)skew);
        return out;
    }
    static numbers padded(const numbers &host, size_t skew) {
        numbers out(skew, 0.0);
        out.insert(out.end(), host.begin(), host.end());
        return out;
    }
};

static void check_equal(const numbers &got, const numbers &want) {
    if (!CHECK(got.size() == want.size())) return;
    for (size_t i = 0; i < got.size(); i++) CHECK_NEAR(got[i], want[i], 0, 0, i);
}

/* Besides, few may differ at all: float and double seldom fall to two sides of a step, so a
 * rounding too few or too many shows in how often they do. */
static void check_all_near(const numbers &got, const numbers &want, const numbers &abs,
                           double rel) {
    size_t n_different = 0;
    if (!CHECK(got.size() == want.size())) return;
    for (size_t i = 0; i < got.size(); i++) {
        CHECK_NEAR(got[i], want[i], abs[i], rel, i);
        n_different += got[i] != want[i];
    }
    if (!CHECK(n_different <= 2 + got.size() / 50))
        printf("  %zu of %zu differ\n", n_different, got.size());
}

static std::vector<uint32_t> random_indices(uint64_t stream, size_t n, uint32_t below) {
    std::vector<uint32_t> out(n);
    for (size_t i = 0; i < n; i++) out[i] = (uint32_t)(rng_bits(3, stream, i) % below);
    out[n - 1] = below - 1;
    return out;
}

/* ------------------------------------------------------------ embedding, gathering */

static void check_embed(device_dtype d, uint32_t hidden, bool with_table, size_t skew) {
    const uint32_t n_rows = 5, n_vocabulary = 11, n_positions = 9, offset = 2;
    numbers embedding = random_numbers16(d, 1, (size_t)n_vocabulary * hidden, 1);
    numbers table = random_numbers16(d, 2, (size_t)n_positions * hidden, 1);
    std::vector<uint32_t> tokens = random_indices(1, n_rows, n_vocabulary);
    std::vector<uint32_t> positions = random_indices(2, n_rows, n_positions - offset);
    numbers want(n_rows * hidden);
    for (size_t i = 0; i < want.size(); i++) {
        size_t row = i / hidden, column = i % hidden;
        want[i] = embedding[(size_t)tokens[row] * hidden + column];
        if (with_table)
            want[i] = round16(
                d, want[i] + table[((size_t)positions[row] + offset) * hidden + column]);
    }
    skewed x(d, numbers(want.size(), 0.0), skew), e(d, embedding, skew), t(d, table, skew);
    device_array<uint32_t> token_ids(tokens), places(positions);
    embed_args a = {};
    a.x = x.at();
    a.embedding = e.at();
    a.positions_table = with_table ? t.at() : NULL;
    a.position_offset = offset;
    a.hidden = hidden;
    a.rows.tokens = token_ids.at;
    a.rows.positions = places.at;
    a.rows.n_rows = n_rows;
    CHECK_OK(embed_rows(0, d, &a, &err));
    check_equal(x.host(d), want);
}

static void check_gather(device_dtype d, uint32_t width, size_t skew) {
    const uint32_t n_rows = 7, n_from = 4;
    numbers x = random_numbers16(d, 3, (size_t)n_from * width, 1);
    std::vector<uint32_t> indices = random_indices(3, n_rows, n_from);
    numbers want(n_rows * width);
    for (size_t i = 0; i < want.size(); i++)
        want[i] = x[(size_t)indices[i / width] * width + i % width];
    skewed from(d, x, skew), out(d, numbers(want.size(), 0.0), skew);
    device_array<uint32_t> on_device(indices);
    CHECK_OK(gather_rows(0, d, out.at(), from.at(), on_device.at, n_rows, width, &err));
    check_equal(out.host(d), want);
}

/* ------------------------------------------------------------ sums and norms */

enum norm_kind { NORM_NONE, NORM_RMS, NORM_LAYER };
static const char *const norm_names[] = {"sum only", "RMSNorm", "LayerNorm"};

/* One row: h from x, which holds the sum; abs[i] is the tolerance of h[i]. */
static void norm_row(device_dtype d, norm_kind kind, const double *x, const numbers &scale,
                     const numbers &shift, double eps, double *h, double *abs) {
    size_t n = scale.size();
    double mean = 0, squares = 0;
    if (kind == NORM_LAYER)
        for (size_t i = 0; i < n; i++) mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean) / (double)n;
    double factor = 1 / sqrt(squares + eps);
    for (size_t i = 0; i < n; i++) {
        if (kind == NORM_RMS) {
            h[i] = round16(d, round16(d, x[i] * factor) * scale[i]);
            abs[i] = 2 * dtype_tiny(d) * (1 + fabs(scale[i])) + 2 * dtype_unit(d) * fabs(h[i]);
        } else {
            h[i] = round16(d, (x[i] - mean) * factor * scale[i] + shift[i]);
            /* What float loses where the terms cancel. */
            abs[i] =
                2 * dtype_tiny(d) +
                1e-5 * ((fabs(x[i]) + fabs(mean)) * factor * fabs(scale[i]) + fabs(shift[i]));
        }
    }
}

struct norm_case {
    uint32_t hidden;
    norm_kind kind;
    bool with_delta, in_place;
    size_t skew;
};

static void check_norm(device_dtype d, const norm_case &c) {
    const uint32_t n_rows = 3;
    const size_t n = (size_t)n_rows * c.hidden;
    const float eps = 1e-5f;
    numbers x = random_numbers16(d, 4, n, 2), delta = random_numbers16(d, 5, n, 1);
    numbers scale = random_numbers16(d, 6, c.hidden, 1);
    numbers shift = random_numbers16(d, 7, c.hidden, 1), sum = x, want(n), abs(n);
    skewed dx(d, x, c.skew), dh(d, numbers(n, 0.0), c.skew), ddelta(d, delta, c.skew);
    skewed dscale(d, scale, c.skew), dshift(d, shift, c.skew);
    for (size_t i = 0; i < n && c.with_delta; i++) sum[i] = round16(d, x[i] + delta[i]);
    for (size_t i = 0; i < n; i += c.hidden)
        norm_row(d, c.kind, &sum[i], scale, shift, (double)eps, &want[i], &abs[i]);
    add_norm_args a = {};
    a.x = dx.at();
    a.h = c.in_place ? dx.at() : dh.at();
    a.delta = c.with_delta ? ddelta.at() : NULL;
    a.scale = c.kind != NORM_NONE ? dscale.at() : NULL;
    a.shift = c.kind == NORM_LAYER ? dshift.at() : NULL;
    a.eps = eps;
    a.n_rows = n_rows;
    a.hidden = c.hidden;
    CHECK_OK(add_norm_rows(0, d, &a, &err));
    if (!c.in_place || c.kind == NORM_NONE) check_equal(dx.host(d), sum);
    if (c.kind == NORM_NONE) return;
    check_all_near(c.in_place ? dx.host(d) : dh.host(d), want, abs, 2 * dtype_unit(d));
}

static int check_norms(device_dtype d) {
    /* The last two: more than one pass of a block over a row. */
    static const uint32_t widths[] = {52, 60, 64, 4096, 8200, 1100};
    int n_failed = 0;
    for (uint32_t hidden : widths)
        for (norm_kind kind : {NORM_NONE, NORM_RMS, NORM_LAYER})
            for (int flags = 0; flags < 4; flags++) {
                norm_case c = {hidden, kind, (flags & 1) != 0, (flags & 2) != 0,
                               flags == 3 ? 1u : 0u};
                check_begin("add_norm %s %s hidden %u%s%s%s", dtype_name(d), norm_names[kind],
                            hidden, c.with_delta ? ", delta" : "",
                            c.in_place ? ", in place" : "", c.skew ? ", not aligned" : "");
                check_norm(d, c);
                n_failed += check_end();
            }
    return n_failed;
}

/* ------------------------------------------------------------ positions and the KV store */

struct place_case {
    uint32_t head_dim, n_heads, n_kv_heads, block_tokens;
    bool with_norm, rotary, stopped;
};

enum { PLACE_ROWS = 6, PLACE_POSITIONS = 40, PLACE_LAYERS = 2, PLACE_LAYER = 1 };

/* What place_and_store_rows shall do, and the tolerance of each number. */
struct placed {
    numbers qkv, qkv_abs;
    numbers arena, arena_abs; /* NaN where nothing is stored */
};

struct place_inputs {
    numbers qkv, q_scale, k_scale;
    std::vector<float> cosines, sines;
    std::vector<uint32_t> positions, first_block, blocks;
    uint32_t n_blocks;
};

static place_inputs make_inputs(device_dtype d, const place_case &c) {
    place_inputs in;
    uint32_t half = c.head_dim / 2;
    uint32_t table = (PLACE_POSITIONS + c.block_tokens - 1) / c.block_tokens; /* of a row */
    size_t width = (size_t)(c.n_heads + 2 * c.n_kv_heads) * c.head_dim;
    in.qkv = random_numbers16(d, 8, PLACE_ROWS * width, 1);
    in.q_scale = random_numbers16(d, 9, c.head_dim, 1);
    in.k_scale = random_numbers16(d, 10, c.head_dim, 1);
    for (uint32_t p = 0; p < PLACE_POSITIONS; p++)
        for (uint32_t i = 0; i < half; i++) {
            double angle = p * pow(10000.0, -(double)i / half);
            in.cosines.push_back((float)cos(angle));
            in.sines.push_back((float)sin(angle));
        }
    /* Rows 0 and 1 share a table (a chunk); the blocks of all stand in falling order. */
    for (uint32_t r = 0; r < PLACE_ROWS; r++) {
        in.positions.push_back(r == 1 ? 18 : r == 0 ? 17 : (r * 13) % PLACE_POSITIONS);
        in.first_block.push_back((r < 2 ? 0 : r - 1) * table);
    }
    in.n_blocks = (PLACE_ROWS - 1) * table + 2;
    for (uint32_t i = 0; i < in.n_blocks - 2; i++) in.blocks.push_back(in.n_blocks - 1 - i);
    return in;
}

/* One head of a row: normed, turned, rounded. */
static void place_head(device_dtype d, const place_case &c, const place_inputs &in,
                       uint32_t position, const numbers *scale, double *head, double *abs) {
    const uint32_t half = c.head_dim / 2;
    const double step = 2 * dtype_unit(d);
    double squares = 0;
    for (uint32_t i = 0; i < c.head_dim; i++) {
        squares += head[i] * head[i] / c.head_dim;
        abs[i] = 0;
    }
    for (uint32_t i = 0; i < c.head_dim && scale; i++) {
        double normed = round16(d, head[i] / sqrt(squares + 1e-6));
        head[i] = round16(d, normed * (*scale)[i]);
        /* One step of each of the two roundings. */
        abs[i] = 2 * step * fabs(head[i]) + 2 * dtype_tiny(d) * (1 + fabs((*scale)[i]));
    }
    for (uint32_t i = 0; i < half && c.rotary; i++) {
        double co = (double)in.cosines[position * half + i];
        double si = (double)in.sines[position * half + i];
        double low = head[i], high = head[half + i];
        double slack = abs[i] + abs[half + i] + 1e-6 * (fabs(low) + fabs(high));
        head[i] = round16(d, low * co - high * si);
        head[half + i] = round16(d, high * co + low * si);
        abs[i] = slack + step * fabs(head[i]) + 2 * dtype_tiny(d);
        abs[half + i] = slack + step * fabs(head[half + i]) + 2 * dtype_tiny(d);
    }
}

static placed place_reference(device_dtype d, const place_case &c, const place_inputs &in) {
    const uint32_t n_parts = c.n_heads + 2 * c.n_kv_heads;
    placed out;
    out.qkv = in.qkv;
    out.qkv_abs.assign(in.qkv.size(), 0.0);
    out.arena.assign((size_t)in.n_blocks * PLACE_LAYERS * 2 * c.block_tokens * c.n_kv_heads *
                         c.head_dim,
                     (double)NAN);
    out.arena_abs.assign(out.arena.size(), 0.0);
    if (c.stopped) return out;
    for (uint32_t r = 0; r < PLACE_ROWS; r++)
        for (uint32_t part = 0; part < n_parts; part++) {
            const bool is_q = part < c.n_heads, is_v = part >= c.n_heads + c.n_kv_heads;
            const uint32_t p = in.positions[r];
            double *head = &out.qkv[((size_t)r * n_parts + part) * c.head_dim];
            double *abs = &out.qkv_abs[((size_t)r * n_parts + part) * c.head_dim];
            if (is_q) {
                place_head(d, c, in, p, c.with_norm ? &in.q_scale : NULL, head, abs);
                continue;
            }
            numbers stored(head, head + c.head_dim), slack(c.head_dim, 0.0);
            if (!is_v)
                place_head(d, c, in, p, c.with_norm ? &in.k_scale : NULL, stored.data(),
                           slack.data());
            uint32_t kv_head = (part - c.n_heads) % c.n_kv_heads;
            uint32_t block = in.blocks[in.first_block[r] + p / c.block_tokens];
            size_t at = ((size_t)block * PLACE_LAYERS + PLACE_LAYER) * 2 + is_v;
            at = (at * c.block_tokens + p % c.block_tokens) * c.n_kv_heads + kv_head;
            for (uint32_t i = 0; i < c.head_dim; i++) {
                out.arena[at * c.head_dim + i] = stored[i];
                out.arena_abs[at * c.head_dim + i] = slack[i];
            }
        }
    return out;
}

static void check_place(device_dtype d, const place_case &c) {
    place_inputs in = make_inputs(d, c);
    placed want = place_reference(d, c, in);
    device_array<uint16_t> qkv = upload16(d, in.qkv), arena(want.arena.size());
    device_array<uint16_t> q_scale = upload16(d, in.q_scale), k_scale = upload16(d, in.k_scale);
    device_array<float> cosines(in.cosines), sines(in.sines);
    device_array<uint32_t> positions(in.positions), first(in.first_block), blocks(in.blocks);
    device_array<uint32_t> stopped(std::vector<uint32_t>{c.stopped ? 1u : 0u});
    place_args a = {};
    a.qkv = qkv.at;
    a.cosines = c.rotary ? cosines.at : NULL;
    a.sines = c.rotary ? sines.at : NULL;
    a.q_scale = c.with_norm ? q_scale.at : NULL;
    a.k_scale = c.with_norm ? k_scale.at : NULL;
    a.eps = 1e-6f;
    a.n_heads = c.n_heads;
    a.layer = PLACE_LAYER;
    a.rows = {NULL, positions.at, first.at, blocks.at, PLACE_ROWS};
    a.arena = {arena.at, c.block_tokens, PLACE_LAYERS, c.n_kv_heads, c.head_dim};
    a.stopped = stopped.at;
    CHECK_OK(place_and_store_rows(0, d, &a, &err));
    check_all_near(download16(d, qkv), want.qkv, want.qkv_abs, 0);
    numbers got = download16(d, arena);
    for (size_t i = 0; i < got.size(); i++) {
        if (isnan(want.arena[i]))
            CHECK(isnan(got[i]));
        else
            CHECK_NEAR(got[i], want.arena[i], want.arena_abs[i], 0, i);
    }
}

static int check_places(device_dtype d) {
    static const uint32_t head_dims[] = {2, 10, 12, 16, 64, 80, 96, 128, 250, 256};
    static const uint32_t heads[][2] = {{4, 2}, {1, 1}, {7, 1}};
    int n_failed = 0;
    for (uint32_t dim : head_dims)
        for (int flags = 0; flags < 4; flags++) {
            const uint32_t *h = heads[(dim / 2 + (uint32_t)flags) % 3];
            place_case c = {
                dim,  h[0], h[1], flags % 2 ? 16u : 5u, (flags & 1) != 0, (flags & 2) != 0,
                false};
            check_begin("place_and_store %s head_dim %u, %u/%u heads%s%s", dtype_name(d), dim,
                        h[0], h[1], c.with_norm ? ", norm" : "", c.rotary ? ", rotary" : "");
            check_place(d, c);
            n_failed += check_end();
        }
    check_begin("place_and_store %s writes nothing once stopped", dtype_name(d));
    check_place(d, {64, 4, 2, 16, true, true, true});
    return n_failed + check_end();
}

/* ------------------------------------------------------------ activations */

static void check_gate(device_dtype d, uint32_t n_rows, uint32_t n_ffn, size_t skew) {
    numbers in = random_numbers16(d, 11, (size_t)n_rows * 2 * n_ffn, 1.5);
    numbers want((size_t)n_rows * n_ffn), abs(want.size());
    for (size_t i = 0; i < want.size(); i++) {
        size_t at = i / n_ffn * 2 * n_ffn + i % n_ffn;
        double gate = in[at], up = in[at + n_ffn];
        want[i] = round16(d, round16(d, gate / (1 + exp(-gate))) * up);
        /* A device may flush what is under 2^-126. */
        abs[i] = (2 * dtype_tiny(d) + 0x1p-120) * (1 + fabs(up));
    }
    skewed dev_in(d, in, skew), out(d, numbers(want.size(), 0.0), skew);
    CHECK_OK(gate_rows(0, d, out.at(), dev_in.at(), n_rows, n_ffn, &err));
    check_all_near(out.host(d), want, abs, 4 * dtype_unit(d));
}

static int check_simple(device_dtype d, uint32_t width, size_t skew) {
    const char *how = skew ? ", not aligned" : "";
    int n_failed = 0;
    for (bool with_table : {false, true}) {
        check_begin("embed %s hidden %u%s%s", dtype_name(d), width,
                    with_table ? ", positions" : "", how);
        check_embed(d, width, with_table, skew);
        n_failed += check_end();
    }
    check_begin("gather %s width %u%s", dtype_name(d), width, how);
    check_gather(d, width, skew);
    n_failed += check_end();
    check_begin("gate %s n_ffn %u%s", dtype_name(d), width, how);
    check_gate(d, 3, width, skew);
    return n_failed + check_end();
}

/* ------------------------------------------------------------ misuse, graphs */

static int check_misuse(void) {
    device_array<uint16_t> x(64);
    uint32_t index = 0;
    add_norm_args norm = {};
    place_args place = {};
    norm.x = norm.h = x.at;
    norm.scale = x.at;
    place.rows.n_rows = 1;
    place.n_heads = 1;
    place.arena = {x.at, 16, 1, 1, 9};
    check_begin("row kernels refuse wrong shapes by name");
    errbuf err = {};
    norm.n_rows = 1;
    CHECK(add_norm_rows(0, DEVICE_BF16, &norm, &err) == ST_INVALID);
    CHECK(strcmp(err.text, "rows of 0 numbers") == 0);
    norm.hidden = 8;
    norm.n_rows = ROWS_MAX + 1;
    CHECK(add_norm_rows(0, DEVICE_BF16, &norm, &err) == ST_INVALID);
    CHECK(place_and_store_rows(0, DEVICE_BF16, &place, &err) == ST_INVALID);
    CHECK(strcmp(err.text, "heads of 9 numbers") == 0);
    place.arena.head_dim = HEAD_DIM_MAX + 2;
    CHECK(place_and_store_rows(0, DEVICE_BF16, &place, &err) == ST_INVALID);
    place.arena.head_dim = 8;
    place.layer = 1;
    CHECK(place_and_store_rows(0, DEVICE_BF16, &place, &err) == ST_INVALID);
    CHECK(gather_rows(0, DEVICE_BF16, x.at, NULL, &index, 1, 8, &err) == ST_INVALID);
    CHECK_OK(gather_rows(0, DEVICE_BF16, NULL, NULL, NULL, 0, 8, &err));
    return check_end();
}

/* A captured launch runs again with what the arrays hold then. */
static int check_capture(void) {
    device_array<uint16_t> x = upload16(DEVICE_BF16, {-1, 2, -3, 4}), out(2);
    device_array<uint32_t> index(std::vector<uint32_t>{1});
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    check_begin("a row kernel runs from a graph");
    check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
    check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
    CHECK_OK(gather_rows(stream, DEVICE_BF16, out.at, x.at, index.at, 1, 2, &err));
    check_cuda(cudaStreamEndCapture(stream, &graph), "capture");
    check_cuda(cudaGraphInstantiate(&exec, graph, 0), "a graph");
    for (uint32_t row : {1u, 0u}) {
        index.upload({row});
        check_cuda(cudaGraphLaunch(exec, stream), "a graph");
        check_equal(download16(DEVICE_BF16, out), row ? numbers{-3, 4} : numbers{-1, 2});
    }
    check_cuda(cudaGraphExecDestroy(exec), "a graph");
    check_cuda(cudaGraphDestroy(graph), "a graph");
    check_cuda(cudaStreamDestroy(stream), "a stream");
    return check_end();
}

int check_rows(void) {
    int n_failed = 0;
    for (device_dtype d : check_dtypes) {
        for (uint32_t width : {52u, 60u, 64u, 4096u}) n_failed += check_simple(d, width, 0);
        n_failed += check_simple(d, 64, 1);
        check_begin("gate %s one row of 14336", dtype_name(d));
        check_gate(d, 1, 14336, 0);
        n_failed += check_end();
        n_failed += check_norms(d) + check_places(d);
    }
    return n_failed + check_misuse() + check_capture();
}
