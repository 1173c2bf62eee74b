/* check_sampling.cc - picks against the CPU engine's sampler, and the ring of iterations that
 * run ahead. */
#include "check.h"

#include <algorithm>

#include "device_rng.cuh"
#include "sampling.cuh"

extern "C" {
#include "sampling.h"
}

typedef std::vector<float> floats;

enum { STREAM_SAMPLING = 1 };
static const double share_error = 1e-6; /* of sampling.cuh */

/* A row takes the fake some milliseconds: a thousand fibers that exchange much. */
#ifdef __CUDACC__
static const uint32_t n_times = 8;
#else
static const uint32_t n_times = 1;
#endif

/* ------------------------------------------------------------ where picks may differ */

static std::vector<uint32_t> by_rank(const float *logits, uint32_t vocab) {
    std::vector<uint32_t> ids(vocab);
    for (uint32_t i = 0; i < vocab; i++) ids[i] = i;
    std::sort(ids.begin(), ids.end(), [=](uint32_t a, uint32_t b) {
        return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
    });
    return ids;
}

/* How near the drawn point and the end of top_p come to a boundary between two tokens of the
 * walk, as a share: nearer than share_error, another pick is no mistake. */
static double margin(const float *logits, uint32_t vocab, const sampling_options *o,
                     uint64_t request, uint32_t index) {
    std::vector<uint32_t> ids = by_rank(logits, vocab);
    bool cuts_k = o->top_k > 0 && o->top_k < vocab, cuts_p = o->top_p < 1;
    double highest = logits[ids[0]], sum = 0, nearest = 1;
    if (cuts_k) ids.resize(o->top_k);
    if (!cuts_k && !cuts_p) std::sort(ids.rbegin(), ids.rend());
    numbers ends;
    for (uint32_t id : ids) ends.push_back(sum += exp((logits[id] - highest) / o->temperature));
    if (cuts_p) {
        double kept = sum;
        size_t n = 0;
        while (n < ends.size() - 1 && ends[n] < o->top_p * sum) n++;
        for (double end : ends) nearest = std::min(nearest, fabs(end - o->top_p * kept) / kept);
        ends.resize(n + 1);
        sum = ends[n];
    }
    uint64_t key = rng_bits(o->seed, STREAM_SAMPLING, request);
    double at = rng_uniform(key, STREAM_SAMPLING, index) * sum;
    for (double end : ends) nearest = std::min(nearest, fabs(end - at) / sum);
    return nearest;
}

/* ------------------------------------------------------------ picks */

struct pick_setup {
    uint32_t n, vocab;
    floats logits;
    std::vector<uint64_t> requests;
    std::vector<uint32_t> positions, n_prompt, bad;

    pick_setup(uint32_t n_, uint32_t vocab_, double deviation)
        : n(n_), vocab(vocab_), logits((size_t)n_ * vocab_), requests(n_), positions(n_),
          n_prompt(n_), bad(n_) {
        for (size_t i = 0; i < logits.size(); i++)
            logits[i] = (float)(rng_normal(11, 1, i) * deviation - 2);
        for (uint32_t row = 0; row < n; row++) {
            requests[row] = rng_bits(11, 2, row);
            n_prompt[row] = 1 + row % 7;
            positions[row] = n_prompt[row] - 1 + row % 50;
        }
    }

    uint32_t index(uint32_t row) const { return positions[row] + 1 - n_prompt[row]; }

    /* Rounded, so that many are equal. */
    void coarsen(double step) {
        for (float &x : logits) x = (float)(rint(x / step) * step);
    }

    std::vector<uint32_t> pick(const sampling_options *o) {
        device_array<float> logits_device(logits);
        device_array<uint64_t> requests_device(requests);
        device_array<uint32_t> positions_device(positions), n_prompt_device(n_prompt),
            tokens(n), bad_device(std::vector<uint32_t>(n, 0));
        pick_args a = {};
        a.logits = logits_device.at;
        a.request_ids = requests_device.at;
        a.positions = positions_device.at;
        a.n_prompt = n_prompt_device.at;
        a.tokens = tokens.at;
        a.bad = bad_device.at;
        a.n = n;
        a.vocab = vocab;
        a.options = *o;
        CHECK_OK(pick_tokens(0, &a, &err));
        bad = bad_device.host();
        return tokens.host();
    }

    void check(const sampling_options *o) {
        std::vector<uint32_t> got = pick(o);
        sampler *s = NULL;
        uint32_t n_close = 0;
        check_that(sampler_create(&s, vocab) == ST_OK, "a sampler", __FILE__, __LINE__);
        for (uint32_t row = 0; row < n; row++) {
            const float *of_row = &logits[(size_t)row * vocab];
            uint32_t want = sampler_pick(s, of_row, o, requests[row], index(row));
            CHECK(bad[row] == 0);
            if (got[row] == want) continue;
            bool close = o->temperature > 0 &&
                         margin(of_row, vocab, o, requests[row], index(row)) < share_error;
            n_close += close;
            if (!close && check_speaks())
                printf("  row %u: got %u, want %u\n", row, got[row], want);
            CHECK(close);
        }
        CHECK(n_close <= 1 + n / 50); /* or the margin forgives too much */
        sampler_destroy(s);
    }
};

static int check_picks(uint32_t n, uint32_t vocab, double deviation, double step,
                       const sampling_options &o) {
    check_begin("sampling of %u x %u, deviation %g step %g, temperature %g top_k %u top_p %g",
                n, vocab, deviation, step, o.temperature, o.top_k, o.top_p);
    pick_setup s(n, vocab, deviation);
    if (step > 0) s.coarsen(step);
    s.check(&o);
    return check_end();
}

static int check_all_picks(void) {
    static const sampling_options options[] = {
        {0, 0, 1, 5},       {1, 0, 1, 5},      {0.7, 0, 1, 6},     {1, 1, 1, 5},
        {1, 40, 1, 5},      {1.5, 7, 1, 9},    {1, 0, 0.9, 5},     {0.8, 0, 0.3, 5},
        {1, 0, 1e-9, 5},    {1, 20, 0.8, 5},   {2, 100, 0.999, 3}, {1e-3, 50, 0.9, 3},
        {30, 0, 0.9999, 4}, {1, 1000, 0.9, 4}, {1e-320, 0, 1, 5},  {1e-320, 9, 0.5, 5},
    };
    int n_failed = 0;
    for (const sampling_options &o : options) {
        n_failed += check_picks(5 * n_times, 193, 3, 0, o);
        n_failed += check_picks(3 * n_times, 1000, 5, 0.5, o); /* many are equal */
        n_failed += check_picks(n_times, 32000, 2, 0, o);
    }
    n_failed += check_picks(2, 151936, 3, 0, {1, 0, 0.95, 5});
    n_failed += check_picks(1, PICK_VOCAB_MAX, 0, 0, {1, 0, 0.5, 5}); /* all are equal */
    n_failed += check_picks(1, PICK_VOCAB_MAX, 0, 0, {1, 0, 1, 5});
    n_failed += check_picks(3, 1, 1, 0, {1, 0, 1, 5});
    n_failed += check_picks(3, 2, 1, 0, {1, 1, 0.5, 5});
    return n_failed + check_picks(40 * n_times, 50, 1, 0, {1, 10, 0.9, 5});
}

/* ------------------------------------------------------------ odd logits */

static int check_ties(void) {
    check_begin("sampling: of equal logits the lowest id, and zeros of both signs are equal");
    const uint32_t vocab = 4100;
    sampling_options greedy = {0, 0, 1, 0}, first = {1, 1, 1, 0};
    pick_setup s(4, vocab, 1);
    for (float &x : s.logits) x -= 100;
    s.logits[17] = s.logits[4099] = s.logits[18] = 3;
    s.logits[vocab + 4099] = 3;
    s.logits[2 * vocab + 5] = -0.0f;
    s.logits[2 * vocab + 6] = 0.0f;
    for (uint32_t i = 0; i < vocab; i++) s.logits[3 * vocab + i] = -INFINITY;
    s.logits[3 * vocab + 77] = -3e38f;
    const std::vector<uint32_t> want = {17, 4099, 5, 77};
    CHECK(s.pick(&greedy) == want);
    CHECK(s.pick(&first) == want);
    CHECK(s.bad == std::vector<uint32_t>(4, 0));
    return check_end();
}

static int check_bad(void) {
    check_begin("sampling: NaN, infinity and rows without a finite logit are told");
    const uint32_t vocab = 1030;
    pick_setup s(5, vocab, 1);
    s.logits[1029] = NAN;
    s.logits[vocab + 3] = INFINITY;
    for (uint32_t i = 0; i < vocab; i++) s.logits[2 * vocab + i] = -INFINITY;
    for (uint32_t i = 0; i < vocab; i++) s.logits[3 * vocab + i] = -NAN;
    for (sampling_options o : {sampling_options{0, 0, 1, 0}, sampling_options{1, 0, 1, 0},
                               sampling_options{1, 9, 0.9, 0}}) {
        std::vector<uint32_t> tokens = s.pick(&o);
        CHECK(s.bad == (std::vector<uint32_t>{1, 1, 1, 1, 0}));
        for (uint32_t token : tokens) CHECK(token < vocab);
    }
    return check_end();
}

static int check_shares(void) {
    check_begin("sampling: tokens come up as often as they should");
    const uint32_t n = 200 * n_times, n_rounds = 2;
    const double shares[] = {0.5, 0.3, 0.15, 0.05};
    pick_setup s(n, 4, 0);
    uint32_t counts[4] = {0};
    for (uint32_t i = 0; i < 4 * n; i++) s.logits[i] = (float)log(shares[i % 4]);
    for (uint32_t round = 0; round < n_rounds; round++) {
        sampling_options o = {1, 0, 1, round};
        for (uint32_t token : s.pick(&o)) counts[token & 3]++;
    }
    for (int i = 0; i < 4; i++) { /* four deviations */
        double expected = n * n_rounds * shares[i];
        CHECK_NEAR(counts[i], expected, 4 * sqrt(expected * (1 - shares[i])), 0, (size_t)i);
    }
    return check_end();
}

/* ------------------------------------------------------------ random numbers */

__global__ static void rng_kernel(uint64_t *bits, double *uniforms, uint64_t seed) {
    uint64_t i = threadIdx.x;
    bits[i] = device_rng_bits(seed, i * 3, ~i);
    uniforms[i] = device_rng_uniform(seed, STREAM_SAMPLING, i);
}

static int check_rng(void) {
    check_begin("sampling: random numbers of the device are those of rng.h");
    const uint32_t n = 64;
    for (uint64_t seed : {(uint64_t)0, (uint64_t)12345, ~(uint64_t)0}) {
        device_array<uint64_t> bits(n);
        device_array<double> uniforms(n);
        LAUNCH(rng_kernel, 1, n, 0, 0, bits.at, uniforms.at, seed);
        std::vector<uint64_t> got = bits.host();
        std::vector<double> got_uniforms = uniforms.host();
        for (uint64_t i = 0; i < n; i++) {
            CHECK(got[i] == rng_bits(seed, i * 3, ~i));
            CHECK(got_uniforms[i] == rng_uniform(seed, STREAM_SAMPLING, i));
        }
    }
    return check_end();
}

static int check_pick_misuse(void) {
    check_begin("sampling refuses what it cannot do");
    errbuf err = {};
    float logit = 0;
    uint32_t token = 0;
    pick_args good = {};
    good.logits = &logit;
    good.tokens = good.bad = &token;
    good.vocab = 10;
    good.options = {0, 0, 1, 0};
    CHECK(pick_tokens(0, &good, &err) == ST_OK); /* no rows */
#define REFUSED(change)                                                                        \
    do {                                                                                       \
        pick_args a = good;                                                                    \
        a.change;                                                                              \
        CHECK(pick_tokens(0, &a, &err) == ST_INVALID);                                         \
    } while (0)
    REFUSED(vocab = 0);
    REFUSED(vocab = PICK_VOCAB_MAX + 1);
    REFUSED(options.temperature = -1);
    REFUSED(options.temperature = 1); /* without request ids */
    REFUSED(options.top_p = 0);
    REFUSED(options.top_p = NAN);
    REFUSED(logits = NULL);
    REFUSED(bad = NULL);
#undef REFUSED
    return check_end();
}

/* ------------------------------------------------------------ running ahead */

enum { RING_SLOTS = 4, RING_ROWS = 300 };

struct ring_setup {
    decode_ring ring = {};
    uint32_t *host; /* pinned: tokens, done, host_stop */
    device_array<uint32_t> state, picked, tokens, positions, n_live;

    ring_setup()
        : state(std::vector<uint32_t>(2, 0)), picked(RING_ROWS), tokens(RING_ROWS),
          positions(std::vector<uint32_t>(RING_ROWS, 10)),
          n_live(std::vector<uint32_t>(1, RING_ROWS)) {
        const size_t n = RING_SLOTS * RING_ROWS + RING_SLOTS + 1;
        uint32_t *device;
        check_cuda(cudaHostAlloc((void **)&host, n * sizeof(*host), cudaHostAllocMapped),
                   "a ring");
        check_cuda(cudaHostGetDevicePointer((void **)&device, host, 0), "a ring");
        memset(host, 0, n * sizeof(*host));
        ring.tokens = device;
        ring.done = device + RING_SLOTS * RING_ROWS;
        ring.host_stop = ring.done + RING_SLOTS;
        ring.stopped = state.at;
        ring.n_done = state.at + 1;
        ring.n_slots = RING_SLOTS;
        ring.n_rows_max = RING_ROWS;
    }
    ~ring_setup() { (void)cudaFreeHost(host); }

    const uint32_t *slot(uint32_t i) const { return host + (size_t)i * RING_ROWS; }
    uint32_t done(uint32_t i) const {
        return __atomic_load_n(&host[RING_SLOTS * RING_ROWS + i], __ATOMIC_ACQUIRE);
    }
    void stop(uint32_t value) {
        __atomic_store_n(&host[RING_SLOTS * RING_ROWS + RING_SLOTS], value, __ATOMIC_RELEASE);
    }

    /* One iteration of n rows that picks base, base + 1, ... */
    void iterate(uint32_t n, uint32_t base, bool with_live) {
        std::vector<uint32_t> picks(RING_ROWS);
        for (uint32_t row = 0; row < RING_ROWS; row++) picks[row] = base + row;
        advance_args a = {};
        a.picked = picked.at;
        a.tokens = tokens.at;
        a.positions = positions.at;
        a.n_live = with_live ? n_live.at : NULL;
        a.n = n;
        picked.upload(picks);
        CHECK_OK(begin_iteration(0, &ring, &err));
        CHECK_OK(advance_rows(0, &ring, &a, &err));
        check_cuda(cudaDeviceSynchronize(), "an iteration");
    }
};

static int check_ring(void) {
    check_begin("sampling: iterations reach the host in turn, until it stops them");
    ring_setup s;
    for (uint32_t i = 0; i < 6; i++) {
        s.iterate(RING_ROWS, 1000 * i, false);
        CHECK(s.done(i % RING_SLOTS) == i + 1);
        for (uint32_t row = 0; row < RING_ROWS; row++)
            CHECK(s.slot(i % RING_SLOTS)[row] == 1000 * i + row);
    }
    CHECK(s.positions.host() == std::vector<uint32_t>(RING_ROWS, 16));
    CHECK(s.tokens.host() == s.picked.host());

    std::vector<uint32_t> tokens = s.tokens.host();
    std::vector<uint32_t> before(s.host, s.host + RING_SLOTS * RING_ROWS + RING_SLOTS);
    s.stop(1);
    for (uint32_t i = 6; i < 8; i++) {
        s.iterate(RING_ROWS, 1000 * i, false);
        s.stop(0); /* stopped stays set for those behind */
    }
    CHECK(s.tokens.host() == tokens);
    CHECK(s.positions.host() == std::vector<uint32_t>(RING_ROWS, 16));
    CHECK(std::equal(before.begin(), before.end(), s.host));
    CHECK(s.state.host() == (std::vector<uint32_t>{1, 6}));

    check_cuda(cudaMemset(s.ring.stopped, 0, sizeof(uint32_t)), "going on");
    s.iterate(RING_ROWS, 9000, false);
    CHECK(s.done(2) == 7 && s.slot(2)[0] == 9000);
    return check_end();
}

static int check_padding(void) {
    check_begin("sampling: rows of padding are not moved");
    ring_setup s;
    s.n_live.upload({3});
    s.iterate(8, 50, true);
    std::vector<uint32_t> positions(RING_ROWS, 10), tokens(RING_ROWS, ~0u);
    for (uint32_t row = 0; row < 3; row++) {
        positions[row] = 11;
        tokens[row] = 50 + row;
    }
    CHECK(s.positions.host() == positions && s.tokens.host() == tokens);
    CHECK(s.slot(0)[2] == 52 && s.slot(0)[3] == 0 && s.done(0) == 1);
    return check_end();
}

static int check_ring_misuse(void) {
    check_begin("sampling: a ring refuses what does not fit");
    errbuf err = {};
    ring_setup s;
    advance_args a = {};
    CHECK(advance_rows(0, &s.ring, &a, &err) == ST_INVALID);
    a.n = RING_ROWS + 1;
    CHECK(advance_rows(0, &s.ring, &a, &err) == ST_INVALID);
    a.n = 1;
    s.ring.n_slots = 3;
    CHECK(advance_rows(0, &s.ring, &a, &err) == ST_INVALID);
    s.ring.n_slots = 0;
    CHECK(advance_rows(0, &s.ring, &a, &err) == ST_INVALID);
    return check_end();
}

int check_sampling(void) {
    int n_failed = check_rng() + check_ties() + check_bad() + check_shares();
    n_failed += check_all_picks() + check_pick_misuse();
    return n_failed + check_ring() + check_padding() + check_ring_misuse();
}
