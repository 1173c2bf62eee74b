/* check_models.cc - the whole forward pass on the device against what Hugging Face transformers
 * computes with the models of tests/golden/ (the folder that ADAPTIVELLM_GOLDEN names; without
 * it nothing is checked here).
 *
 * Logits of every position, in chunks of any size, over shuffled blocks, several sequences at a
 * time; decoding after prompts, padded and from a graph; and, with the deterministic option,
 * the same bits throughout. KV blocks start as NaN: what is read before it was written shows.
 *
 * Tolerance: relative L2 of a row of logits from the float32 reference. Transformers itself,
 * in 16 bit on a CPU, is as far from it in its worst of 89 rows as the table below says (torch
 * 2.15.0, transformers 5.23.0, eager attention, weights converted with dtype=); we round at the
 * same places, but for the probabilities of attention, and are granted 1.5 times that. */
#include "check.h"

#include <errno.h>
#include <utility>

#include "device_batch.cuh"

extern "C" {
#include "golden_model.h"
}

enum {
    ROWS_AT_ONCE = 128,
    CONTEXT_MAX = 64,
    BEGIN_APART = 2, /* iterations between the beginnings of sequences that are decoded */
};
static const double granted = 1.5;

struct known_model {
    const char *name;
    double bf16, fp16; /* distance of transformers in its worst row */
};

static const known_model known_models[] = {
    {"llama", 2.63e-2, 3.30e-3},         {"mistral", 1.94e-2, 2.53e-3},
    {"qwen2", 7.96e-2, 1.01e-2},         {"qwen3", 1.16e-2, 1.48e-3},
    {"opt", 3.60e-2, 5.23e-3},           {"llama_biased", 7.73e-2, 8.59e-3},
    {"opt_post_norm", 1.17e-2, 1.50e-3},
};

/* ------------------------------------------------------------ a model on the device */

struct loaded {
    golden_model golden = {};
    model *files = NULL;
    device_model weights = {};
    device_pass *pass = NULL;
    double bound; /* of a row's distance */

    loaded(const char *root, const known_model *m, device_dtype d, bool deterministic)
        : bound(granted * (d == DEVICE_BF16 ? m->bf16 : m->fp16)) {
        CHECK_OK(golden_model_read(&golden, root, m->name, &err));
        if (golden.rows) CHECK_OK(model_open(&files, golden.dir, true, &err));
        if (files) CHECK_OK(device_model_load(&weights, files, d, CONTEXT_MAX, &err));
        if (weights.memory) make_pass(deterministic);
    }
    loaded(const loaded &) = delete;
    loaded &operator=(const loaded &) = delete;
    ~loaded() {
        device_pass_destroy(pass);
        device_model_finish(&weights);
        model_close(files);
        golden_model_finish(&golden);
    }

    void make_pass(bool deterministic) {
        device_pass_options o = {};
        o.max_rows = o.max_samples = ROWS_AT_ONCE;
        o.max_context = CONTEXT_MAX;
        o.gemm = gemm_options_defaults();
        o.gemm.deterministic = deterministic;
        o.gemm.workspace_bytes = 1 << 20;
        o.gemm.cold_bytes = 0;
        CHECK_OK(device_pass_create(&pass, &weights, &o, &err));
        if (pass) CHECK_OK(gemm_prepare(device_pass_gemm(pass), NULL, NULL, &err));
    }

    const model_config *config() const { return model_config_of(files); }
};

/* How a model is run; none of it may show in the results. */
struct setting {
    uint32_t block_tokens, chunk_tokens, n_tokens_max; /* of a sequence */
    bool mixed;                                        /* chunks of 1 to chunk_tokens */
    bool shuffled;                                     /* blocks */
    bool last_only; /* logits of each chunk's last token, as when serving; else of all */
};

/* In small chunks only as far as into a third block or a second: the fake device is slow. */
static const setting settings[] = {
    {16, GOLDEN_TOKENS_MAX, GOLDEN_TOKENS_MAX, false, false, false},
    {16, 7, 40, false, true, false},
    {5, 5, 40, false, true, false},
    {16, 1, 20, false, true, true},
    {5, 9, 40, true, true, true},
};

/* Blocks of GOLDEN_LISTS_MAX sequences and a spare one, and the batch that runs on them. */
struct pool {
    kv_arena arena;
    uint32_t n_table; /* blocks of a sequence */
    std::vector<uint32_t> ids;
    device_array<uint16_t> values;
    device_batch batch = {};
    cudaStream_t stream;

    pool(const loaded &l, const setting &s, bool deterministic)
        : arena(shape_of(l.config(), s.block_tokens)),
          n_table((CONTEXT_MAX + s.block_tokens - 1) / s.block_tokens),
          ids(GOLDEN_LISTS_MAX * n_table + 1),
          values(ids.size() * kv_arena_rows(&arena, 1, 0, 0)) {
        for (uint32_t i = 0; i < ids.size(); i++) ids[i] = i;
        for (uint32_t i = (uint32_t)ids.size() - 1; s.shuffled && i > 0; i--)
            std::swap(ids[i], ids[rng_bits(7, 0, i) % (i + 1)]);
        arena.values = values.at;
        device_batch_limits limits = {ROWS_AT_ONCE, ROWS_AT_ONCE,
                                      n_table,      attention_tile_rows(arena.head_dim),
                                      ids.back(),   deterministic};
        CHECK_OK(device_batch_init(&batch, &limits, &err));
        check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
    }
    pool(const pool &) = delete;
    pool &operator=(const pool &) = delete;
    ~pool() {
        (void)cudaStreamDestroy(stream);
        device_batch_finish(&batch);
    }

    static kv_arena shape_of(const model_config *c, uint32_t block_tokens) {
        kv_arena a = {};
        a.block_tokens = block_tokens;
        a.n_layers = c->n_layers;
        a.n_kv_heads = c->n_kv_heads;
        a.head_dim = c->head_dim;
        return a;
    }
};

/* ------------------------------------------------------------ a batch made by hand */

/* Chunks of sequences; each has its whole table in the batch. */
struct hand_batch {
    const pool &p;
    std::vector<token_chunk> chunks;
    std::vector<uint32_t> seqs, blocks;
    std::vector<token_row> rows; /* of the table, by sequence */

    explicit hand_batch(const pool &p_) : p(p_), rows(GOLDEN_LISTS_MAX) {
        for (uint32_t i = 0; i < rows.size(); i++) rows[i].request_id = i;
    }

    void add(uint32_t seq, const uint32_t *tokens, uint32_t n_before, uint32_t n_tokens,
             bool samples) {
        token_chunk c = {tokens + n_before, n_tokens, n_before, NULL, samples};
        const uint32_t *table = p.ids.data() + seq * p.n_table;
        chunks.push_back(c);
        seqs.push_back(seq);
        blocks.insert(blocks.end(), table, table + p.n_table);
    }

    /* The same as the engine has it; valid until the next add. */
    token_batch view() {
        token_batch b = {};
        for (size_t i = 0; i < chunks.size(); i++) {
            chunks[i].blocks = blocks.data() + i * p.n_table;
            b.n_tokens += chunks[i].n_tokens;
            b.n_sampling += chunks[i].samples;
        }
        b.chunks = chunks.data();
        b.seqs = seqs.data();
        b.n = (uint32_t)chunks.size();
        b.blocks = blocks.data();
        b.n_blocks = blocks.size();
        return b;
    }

    token_table table() {
        token_table t = {};
        t.rows = rows.data();
        t.capacity = (uint32_t)rows.size();
        return t;
    }
};

static void load_batch(pool *p, hand_batch *b, uint32_t n_padded) {
    token_batch view = b->view();
    token_table table = b->table();
    CHECK_OK(device_batch_load(&p->batch, p->stream, &view, &table, n_padded, &err));
}

static std::vector<float> logits_of(const loaded &l, const pool &p, uint32_t n_rows) {
    std::vector<float> out((size_t)n_rows * l.golden.vocab);
    check_cuda(cudaStreamSynchronize(p.stream), "a pass");
    check_cuda(cudaMemcpy(out.data(), device_pass_logits(l.pass), out.size() * sizeof(float),
                          cudaMemcpyDeviceToHost),
               "logits");
    return out;
}

/* ------------------------------------------------------------ logits of sequences */

/* What each row had when it was first computed; empty: not yet. */
typedef std::vector<std::vector<float>> first_bits;

static void check_row(const loaded &l, const float *logits, uint32_t seq, uint32_t position,
                      first_bits *first) {
    const float *want = golden_model_row(&l.golden, seq, position);
    CHECK_NEAR(relative_l2(logits, want, l.golden.vocab), 0, l.bound, 0, position);
    if (!first) return;
    std::vector<float> &before = (*first)[l.golden.first_row[seq] + position];
    if (before.empty()) before.assign(logits, logits + l.golden.vocab);
    CHECK(memcmp(before.data(), logits, before.size() * sizeof(float)) == 0);
}

/* Logits of each row of the batch, whose places are read from the batch itself. */
static void run_all_rows(const loaded &l, pool *p, const hand_batch &b, first_bits *first) {
    pass_batch pass = p->batch.pass;
    std::vector<uint32_t> each(p->batch.n_rows);
    for (uint32_t i = 0; i < each.size(); i++) each[i] = i;
    device_array<uint32_t> rows(each);
    pass.sample_rows = rows.at;
    pass.n_samples = p->batch.n_rows;
    CHECK_OK(device_pass_run(l.pass, p->stream, &p->arena, &pass, &err));
    std::vector<float> logits = logits_of(l, *p, pass.n_samples);
    const uint32_t *positions = (const uint32_t *)p->batch.positions.host;
    const uint32_t *tables = (const uint32_t *)p->batch.first_block.host;
    for (uint32_t i = 0; i < pass.n_samples; i++)
        check_row(l, &logits[(size_t)i * l.golden.vocab], b.seqs[tables[i] / p->n_table],
                  positions[i], first);
}

static void run_last_rows(const loaded &l, pool *p, const hand_batch &b, first_bits *first) {
    const device_batch *d = &p->batch;
    CHECK_OK(device_pass_run(l.pass, p->stream, &p->arena, &d->pass, &err));
    std::vector<float> logits = logits_of(l, *p, d->n_samples);
    CHECK(d->n_samples == b.chunks.size());
    for (uint32_t i = 0; i < d->n_samples; i++) {
        const token_chunk *c = &b.chunks[d->order[i]];
        check_row(l, &logits[(size_t)i * l.golden.vocab], b.seqs[d->order[i]],
                  c->n_before + c->n_tokens - 1, first);
    }
}

/* All sequences side by side, chunk by chunk. */
static void check_sequences(const loaded &l, const setting &s, bool deterministic,
                            first_bits *first) {
    pool p(l, s, deterministic);
    uint32_t at[GOLDEN_LISTS_MAX] = {};
    for (uint32_t iteration = 0;; iteration++) {
        hand_batch b(p);
        for (uint32_t i = 0; i < l.golden.n_sequences; i++) {
            const golden_tokens *sequence = &l.golden.sequences[i];
            uint32_t n_tokens = sequence->n < s.n_tokens_max ? sequence->n : s.n_tokens_max;
            uint32_t n = s.chunk_tokens, left = n_tokens - at[i];
            if (s.mixed) n = 1 + (uint32_t)(rng_bits(8, i, iteration) % n);
            if (n > left) n = left;
            if (n > 0) b.add(i, sequence->ids, at[i], n, true);
            at[i] += n;
        }
        if (b.chunks.empty()) return;
        load_batch(&p, &b, 0);
        (s.last_only ? run_last_rows : run_all_rows)(l, &p, b, first);
    }
}

static int check_logits(const loaded &l, const char *name, bool deterministic) {
    check_begin("models %s%s: logits", name, deterministic ? " deterministic" : "");
    first_bits first((size_t)l.golden.first_row[l.golden.n_sequences - 1] + GOLDEN_TOKENS_MAX);
    for (const setting &s : settings)
        check_sequences(l, s, deterministic, deterministic ? &first : NULL);
    return check_end();
}

/* ------------------------------------------------------------ decoding */

/* A pass that was captured, of as many rows as it had then. */
struct captured {
    cudaGraphExec_t exec = NULL;
    ~captured() {
        if (exec) (void)cudaGraphExecDestroy(exec);
    }

    void take(const loaded &l, pool *p) {
        cudaGraph_t graph = NULL;
        check_cuda(cudaStreamBeginCapture(p->stream, cudaStreamCaptureModeThreadLocal),
                   "a capture");
        CHECK_OK(device_pass_run(l.pass, p->stream, &p->arena, &p->batch.pass, &err));
        check_cuda(cudaStreamEndCapture(p->stream, &graph), "a capture");
        check_cuda(cudaGraphInstantiate(&exec, graph, 0), "a graph");
        check_cuda(cudaGraphDestroy(graph), "a graph");
    }
};

/* A sequence and its continuation by transformers: [n_prompt) given, then picked. */
struct decoding {
    uint32_t ids[2 * GOLDEN_TOKENS_MAX];
    uint32_t n_prompt, n, n_computed;
};

static decoding begin_decoding(const golden_model *g, uint32_t i) {
    decoding d = {};
    d.n_prompt = g->prompts[i].n;
    d.n = d.n_prompt + g->continuations[i].n;
    memcpy(d.ids, g->prompts[i].ids, d.n_prompt * sizeof(*d.ids));
    memcpy(d.ids + d.n_prompt, g->continuations[i].ids, g->continuations[i].n * sizeof(*d.ids));
    return d;
}

/* The token that transformers picked is the best, or trails it by no more than rounding may
 * move two logits: three times the bound each, in a row whose root mean square is `size`. */
static void check_pick(const loaded &l, const float *logits, uint32_t want, size_t at) {
    double best = logits[0], squares = 0;
    for (uint32_t i = 0; i < l.golden.vocab; i++) {
        best = best > (double)logits[i] ? best : (double)logits[i];
        squares += (double)logits[i] * logits[i];
    }
    double size = sqrt(squares / l.golden.vocab);
    CHECK_NEAR(logits[want], best, 6 * l.bound * size, 0, at);
}

/* What each sequence computes next, prompts in chunks of 7 beside single tokens of others. */
static void next_chunks(hand_batch *b, const std::vector<decoding> &all, uint32_t iteration) {
    for (uint32_t i = 0; i < all.size(); i++) {
        const decoding &d = all[i];
        if (iteration < i * BEGIN_APART || d.n_computed + 1 >= d.n) continue;
        uint32_t n = d.n_computed < d.n_prompt ? d.n_prompt - d.n_computed : 1;
        bool ends = n <= 7;
        b->add(i, d.ids, d.n_computed, ends ? n : 7, ends);
    }
}

static void check_picks(const loaded &l, const pool &p, const hand_batch &b,
                        const std::vector<decoding> &all) {
    std::vector<float> logits = logits_of(l, p, p.batch.n_samples);
    std::vector<uint32_t> sampling;
    for (uint32_t i = 0; i < b.chunks.size(); i++)
        if (b.chunks[i].samples) sampling.push_back(i);
    CHECK(sampling.size() == p.batch.n_samples);
    for (uint32_t i = 0; i < p.batch.n_samples; i++) {
        const token_chunk *c = &b.chunks[sampling[p.batch.order[i]]];
        uint32_t seq = b.seqs[sampling[p.batch.order[i]]], end = c->n_before + c->n_tokens;
        check_pick(l, &logits[(size_t)i * l.golden.vocab], all[seq].ids[end], end);
    }
}

/* n_padded: batches of decodes are filled up to as many, and replayed from one graph. */
static int check_decoding(const loaded &l, const char *name, uint32_t n_padded) {
    check_begin("models %s: decoding%s", name, n_padded ? ", padded, in a graph" : "");
    pool p(l, settings[2], false);
    captured graph;
    std::vector<decoding> all;
    for (uint32_t i = 0; i < l.golden.n_continuations; i++)
        all.push_back(begin_decoding(&l.golden, i));
    for (uint32_t iteration = 0;; iteration++) {
        hand_batch b(p);
        next_chunks(&b, all, iteration);
        if (b.chunks.empty()) return check_end();
        token_batch view = b.view();
        bool repeats = n_padded > 0 && device_batch_is_decoding(&view);
        load_batch(&p, &b, repeats ? n_padded : 0);
        if (repeats && !graph.exec) graph.take(l, &p);
        if (repeats)
            check_cuda(cudaGraphLaunch(graph.exec, p.stream), "a graph");
        else
            CHECK_OK(device_pass_run(l.pass, p.stream, &p.arena, &p.batch.pass, &err));
        if (p.batch.n_samples > 0) check_picks(l, p, b, all);
        for (size_t i = 0; i < b.chunks.size(); i++)
            all[b.seqs[i]].n_computed += b.chunks[i].n_tokens;
    }
}

static int check_model(const char *root, const known_model *m, device_dtype d) {
    char name[64];
    snprintf(name, sizeof(name), "%s %s", m->name, dtype_name(d));
    check_begin("models %s", name);
    loaded usual(root, m, d, false), deterministic(root, m, d, true);
    if (!usual.pass || !deterministic.pass) return check_end();
    return check_logits(usual, name, false) + check_logits(deterministic, name, true) +
           check_decoding(usual, name, 0) + check_decoding(usual, name, GOLDEN_LISTS_MAX);
}

/* ------------------------------------------------------------ logits as files */

static void write_rows(const char *path, const first_bits &rows) {
    FILE *f = fopen(path, "wb");
    bool written = f != NULL;
    for (const std::vector<float> &row : rows)
        written = written && fwrite(row.data(), sizeof(float), row.size(), f) == row.size();
    if (f && fclose(f) != 0) written = false;
    if (!written) printf("  %s: %s\n", path, strerror(errno));
    CHECK(written);
}

static int dump_model(const char *dir, const char *root, const known_model *m, device_dtype d) {
    check_begin("models %s %s: logits to a file", m->name, dtype_name(d));
    loaded l(root, m, d, false);
    if (!l.pass) return check_end();
    l.bound = INFINITY; /* judged by who reads the file */
    first_bits rows((size_t)l.golden.first_row[l.golden.n_sequences - 1] + GOLDEN_TOKENS_MAX);
    check_sequences(l, settings[0], false, &rows);
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s.%s.f32", dir, m->name, dtype_name(d));
    write_rows(path, rows);
    return check_end();
}

/* ------------------------------------------------------------ all models */

/* NULL, and says so, where the environment names none. */
static const char *golden_root(const char *without) {
    const char *root = getenv("ADAPTIVELLM_GOLDEN");
    if (root && *root) return root;
    printf("%s  models: ADAPTIVELLM_GOLDEN does not name the folder tests/golden\n", without);
    return NULL;
}

int dump_models(const char *dir) {
    const char *root = golden_root("FAILED");
    if (!root) return 1;
    int n_failed = 0;
    for (const known_model &m : known_models)
        for (device_dtype d : check_dtypes) n_failed += dump_model(dir, root, &m, d);
    return n_failed;
}

int check_models(void) {
    const char *root = golden_root("skipped");
    if (!root) return 0;
    int n_failed = 0;
    for (const known_model &m : known_models)
        for (device_dtype d : check_dtypes) n_failed += check_model(root, &m, d);
    return n_failed;
}
