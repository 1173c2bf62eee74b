/* check_batches.cc - batches as arrays on the device, against a plain model of the same; and
 * that batches, models and passes leave nothing behind, whichever call fails. */
#include "check.h"

#include <string>

#include "check_failures.h"
#include "device_batch.cuh"

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
            rows[i].request_id = rng_bits(check_seed(), stream, 1000 + i);
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

static int check_random_batches(bool tiles_only) {
    check_begin("batches: as arrays%s", tiles_only ? ", all in tiles" : "");
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
    check_begin("batches: beyond the limits are refused");
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
    check_begin("batches: leave nothing behind, whichever call fails");
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
    check_begin("batches: models and passes leave nothing behind, whichever call fails");
    model_config c = small_config();
    fail_each_call([&](long *n_calls) { return use_model(&c, n_calls); });
    return check_end();
}

#endif

int check_batches(void) {
    printf("SEED=%llu\n", (unsigned long long)check_seed());
    int n_failed = check_random_batches(false) + check_random_batches(true) + check_limits();
#ifndef __CUDACC__
    n_failed += check_failed_batches() + check_failed_models();
#endif
    return n_failed;
}
