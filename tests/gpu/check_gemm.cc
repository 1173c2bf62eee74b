/* check_gemm.cc - products by cuBLASLt against sums in double, the pinning of algorithms and
 * their records. */
#include "check.h"

#include "gemm.cuh"

enum { GUARD = 64 }; /* numbers behind an array that nothing may write */

struct gemm_case {
    gemm_product product;
    uint32_t n_rows_max;
};

/* n_out, n_in, float_out, bias, relu */
static const gemm_case gemm_cases[] = {
    {{52, 60, false, false, false}, 100}, {{60, 52, false, true, false}, 20},
    {{90, 60, false, true, true}, 20},    {{64, 64, false, false, true}, 20},
    {{52, 90, false, false, false}, 20},  {{60, 60, false, true, true}, 20},
    {{193, 90, true, false, false}, 20},  {{193, 60, true, false, true}, 20},
};

static gemm_options test_options(device_dtype d, bool deterministic) {
    gemm_options o = gemm_options_defaults();
    o.dtype = d;
    o.deterministic = deterministic;
    o.workspace_bytes = 1 << 20;
    o.cold_bytes = 0;
    return o;
}

static void name_product(const char *what, device_dtype d, const gemm_product *p,
                         uint32_t n_rows) {
    check_begin("gemm %s %s %u x %u, %u rows%s%s%s", what, dtype_name(d), p->n_out, p->n_in,
                n_rows, p->float_out ? ", float" : "", p->bias ? ", bias" : "",
                p->relu ? ", relu" : "");
}

/* ------------------------------------------------------------ one product */

/* Operands of n_rows rows, room for n_rows_all, and behind that a guard; what is not filled is
 * NaN. */
struct operands {
    const gemm_product *p;
    device_dtype dtype;
    uint32_t n_rows;
    numbers x, w, bias, before;
    device_array<uint16_t> x_device, w_device, bias_device, out16;
    device_array<float> out32;

    operands(const gemm_product *p_, device_dtype d, uint32_t n_rows_, uint32_t n_rows_all)
        : p(p_), dtype(d), n_rows(n_rows_),
          x(random_numbers16(d, 1, (size_t)n_rows * p->n_in, 0.5)),
          w(random_numbers16(d, 2, (size_t)p->n_out * p->n_in, 0.1)),
          bias(random_numbers16(d, 3, p->n_out, 0.5)),
          before(random_numbers16(d, 4, (size_t)n_rows * p->n_out, 0.5)),
          x_device((size_t)n_rows_all * p->n_in), w_device(upload16(d, w)),
          bias_device(upload16(d, bias)),
          out16(p->float_out ? 0 : (size_t)n_rows_all * p->n_out + GUARD),
          out32(p->float_out ? (size_t)n_rows_all * p->n_out + GUARD : 0) {
        std::vector<uint16_t> bits(x.size());
        for (size_t i = 0; i < x.size(); i++) bits[i] = bits16(d, x[i]);
        x_device.upload(bits);
        set_out();
    }

    void set_out() {
        std::vector<uint16_t> bits(before.size());
        std::vector<float> floats(before.size());
        for (size_t i = 0; i < before.size(); i++) {
            bits[i] = bits16(dtype, before[i]);
            floats[i] = (float)before[i];
        }
        if (p->float_out)
            out32.upload(floats);
        else
            out16.upload(bits);
    }

    gemm_operands on_device() const {
        gemm_operands o = {};
        o.out = p->float_out ? (void *)out32.at : (void *)out16.at;
        o.x = x_device.at;
        o.w = w_device.at;
        o.bias = p->bias ? bias_device.at : NULL;
        return o;
    }

    numbers result() const {
        if (!p->float_out) return download16(dtype, out16);
        std::vector<float> floats = out32.host();
        return numbers(floats.begin(), floats.end());
    }

    /* Float sums of n numbers are off by at most n rounding steps of the sum of magnitudes;
     * tensor cores cut rather than round, hence two of each. */
    void check_result() const {
        numbers got = result();
        for (size_t i = 0; i < before.size(); i++) {
            size_t row = i / p->n_out, column = i % p->n_out;
            double sum = 0, size = 0;
            if (p->bias) sum += bias[column];
            for (size_t k = 0; k < p->n_in; k++) {
                double term = x[row * p->n_in + k] * w[column * p->n_in + k];
                sum += term;
                size += fabs(term);
            }
            if (p->relu && sum < 0) sum = 0;
            double rel = p->float_out ? 0 : dtype_unit(dtype);
            double abs = size * (p->n_in + 2) * 0x1p-23 + dtype_tiny(dtype);
            CHECK_NEAR(got[i], sum, abs, rel, i);
        }
        for (size_t i = got.size() - GUARD; i < got.size(); i++) CHECK(isnan(got[i]));
    }
};

static int check_product(gemm *g, device_dtype d, bool deterministic, const gemm_product *p,
                         uint32_t id, uint32_t n_rows) {
    name_product("", d, p, n_rows);
    operands o(p, d, n_rows, gemm_rows_touched(deterministic, n_rows));
    gemm_operands at = o.on_device();
    CHECK_OK(gemm_run(g, 0, id, &at, n_rows, &err));
    o.check_result();
    return check_end();
}

static void count_progress(void *context, uint32_t n, uint32_t all) {
    uint32_t *last = (uint32_t *)context;
    CHECK(n == *last + 1 && n <= all);
    *last = n;
}

static int check_products(device_dtype d, bool deterministic) {
    int n_failed = 0;
    uint32_t ids[sizeof(gemm_cases) / sizeof(gemm_cases[0])], n = 0, n_told = 0;
    gemm *g = NULL;
    check_begin("gemm prepare %s%s", dtype_name(d), deterministic ? ", deterministic" : "");
    gemm_options o = test_options(d, deterministic);
    CHECK_OK(gemm_create(&g, &o, &err));
    if (!g) return check_end();
    for (const gemm_case &c : gemm_cases)
        CHECK_OK(gemm_add(g, &ids[n++], &c.product, c.n_rows_max, &err));
    CHECK_OK(gemm_prepare(g, count_progress, &n_told, &err));
    CHECK(n_told == (deterministic ? n : 8 + (n - 1) * 6));
    n_failed += check_end();
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t n_rows : {1u, 2u, 3u, 16u, 17u, 100u})
            if (n_rows <= gemm_cases[i].n_rows_max)
                n_failed +=
                    check_product(g, d, deterministic, &gemm_cases[i].product, ids[i], n_rows);
    gemm_destroy(g);
    return n_failed;
}

/* ------------------------------------------------------------ a row's bits */

static std::vector<unsigned char> row_bytes(const operands &o, size_t row) {
    size_t n = o.p->n_out * (o.p->float_out ? 4 : 2);
    std::vector<unsigned char> bytes(n);
    std::vector<float> floats = o.out32.host();
    std::vector<uint16_t> bits = o.out16.host();
    const void *at = o.p->float_out ? (const void *)&floats[row * o.p->n_out]
                                    : (const void *)&bits[row * o.p->n_out];
    memcpy(bytes.data(), at, n);
    return bytes;
}

static int check_row_alone(device_dtype d, const gemm_product *p) {
    const uint32_t n_rows = 100;
    name_product("a row alone and among others,", d, p, n_rows);
    gemm *g = NULL;
    uint32_t id;
    gemm_options options = test_options(d, true);
    CHECK_OK(gemm_create(&g, &options, &err));
    if (!g) return check_end();
    CHECK_OK(gemm_add(g, &id, p, n_rows, &err));
    CHECK_OK(gemm_prepare(g, NULL, NULL, &err));
    CHECK(gemm_rows_touched(true, 1) == 64 && gemm_rows_touched(true, 100) == 128);
    operands many(p, d, n_rows, 128);
    gemm_operands at = many.on_device();
    CHECK_OK(gemm_run(g, 0, id, &at, n_rows, &err));
    many.check_result();
    for (uint32_t row : {0u, 1u, 31u, 32u, 63u, 64u, 99u}) {
        operands one(p, d, 1, 64);
        std::vector<uint16_t> x = many.x_device.host();
        std::vector<uint16_t> alone(x.begin() + row * p->n_in, x.begin() + (row + 1) * p->n_in);
        one.x_device.upload(alone);
        at = one.on_device();
        CHECK_OK(gemm_run(g, 0, id, &at, 1, &err));
        CHECK(row_bytes(one, 0) == row_bytes(many, row));
    }
    gemm_destroy(g);
    return check_end();
}

/* ------------------------------------------------------------ records */

static const gemm_product recorded = {60, 52, false, true, false};

static std::vector<gemm_algo_record> records_of(const gemm *g) {
    std::vector<gemm_algo_record> all;
    gemm_algo_record r;
    while (gemm_record(g, &r, (uint32_t)all.size())) all.push_back(r);
    return all;
}

static gemm *make_recorded(bool prepared) {
    gemm *g = NULL;
    uint32_t id;
    gemm_options o = test_options(DEVICE_BF16, false);
    CHECK_OK(gemm_create(&g, &o, &err));
    CHECK_OK(gemm_add(g, &id, &recorded, 16, &err));
    CHECK(id == 0);
    if (prepared) CHECK_OK(gemm_prepare(g, NULL, NULL, &err));
    return g;
}

static void check_recorded_product(gemm *g) {
    operands o(&recorded, DEVICE_BF16, 5, 8);
    gemm_operands at = o.on_device();
    CHECK_OK(gemm_prepare(g, NULL, NULL, &err));
    CHECK_OK(gemm_run(g, 0, 0, &at, 5, &err));
    o.check_result();
}

static int check_records(void) {
    check_begin("gemm records by way of text");
    gemm *found = make_recorded(true), *told = make_recorded(false);
    std::vector<gemm_algo_record> all = records_of(found);
    CHECK(all.size() == 5);
    for (const gemm_algo_record &r : all) {
        char text[GEMM_RECORD_TEXT_BYTES];
        gemm_algo_record back;
        gemm_record_write(text, &r);
        CHECK_OK(gemm_record_read(&back, text, &err));
        CHECK(memcmp(back.algo, r.algo, sizeof(r.algo)) == 0);
        CHECK(strcmp(back.device, r.device) == 0);
        CHECK_OK(gemm_use_record(told, &back, &err));
    }
    std::vector<gemm_algo_record> again = records_of(told);
    CHECK(again.size() == all.size());
    for (size_t i = 0; i < again.size() && i < all.size(); i++) {
        CHECK(again[i].bucket == all[i].bucket);
        CHECK(memcmp(again[i].algo, all[i].algo, sizeof(all[i].algo)) == 0);
    }
    check_recorded_product(told);
    gemm_destroy(told);
    gemm_destroy(found);
    return check_end();
}

static int check_wrong_records(void) {
    check_begin("gemm wrong records are refused, then found anew");
    errbuf err = {};
    gemm *found = make_recorded(true), *told = make_recorded(false);
    std::vector<gemm_algo_record> all = records_of(found);
    if (!CHECK(!all.empty())) return check_end();
    const gemm_algo_record good = all[0];
    gemm_algo_record r;
#define REFUSED(st, change)                                                                    \
    do {                                                                                       \
        r = good;                                                                              \
        change;                                                                                \
        CHECK(gemm_use_record(told, &r, &err) == (st));                                        \
    } while (0)
#ifndef __CUDACC__ /* the library need not survive it */
    REFUSED(ST_INVALID, memset(r.algo, 0xff, sizeof(r.algo)));
#endif
    REFUSED(ST_VERSION, r.version++);
    REFUSED(ST_VERSION, r.device[0] ^= 1);
    REFUSED(ST_VERSION, r.dtype = DEVICE_FP16);
    REFUSED(ST_VERSION, r.deterministic = true);
    REFUSED(ST_NOT_FOUND, r.bucket = 3);
    REFUSED(ST_NOT_FOUND, r.bucket = 32);
    REFUSED(ST_NOT_FOUND, r.product.n_in++);
#undef REFUSED
    CHECK(records_of(told).empty());
    check_recorded_product(told);
    CHECK(records_of(told).size() == all.size());
    for (const char *text : {"", "60 52 0 1", "60 52 0 1 0 1 bf16 0 1 00 x"})
        CHECK(gemm_record_read(&r, text, &err) == ST_FORMAT);
    char text[GEMM_RECORD_TEXT_BYTES];
    gemm_record_write(text, &good);
    text[6] = '2'; /* float_out */
    CHECK(gemm_record_read(&r, text, &err) == ST_FORMAT);
    gemm_record_write(text, &good);
    *strstr(text, "bf16") = 'x';
    CHECK(gemm_record_read(&r, text, &err) == ST_FORMAT);
    gemm_destroy(told);
    gemm_destroy(found);
    return check_end();
}

/* ------------------------------------------------------------ use */

static int check_graph(void) {
    check_begin("gemm in a graph");
    gemm *g = make_recorded(true);
    operands o(&recorded, DEVICE_BF16, 16, 16);
    gemm_operands at = o.on_device();
    cudaStream_t stream;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
    check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "a graph");
    CHECK_OK(gemm_run(g, stream, 0, &at, 16, &err));
    check_cuda(cudaStreamEndCapture(stream, &graph), "a graph");
    check_cuda(cudaGraphInstantiate(&exec, graph, 0), "a graph");
    check_cuda(cudaGraphLaunch(exec, stream), "a graph");
    check_cuda(cudaStreamSynchronize(stream), "a graph");
    o.check_result();
    check_cuda(cudaGraphExecDestroy(exec), "a graph");
    check_cuda(cudaGraphDestroy(graph), "a graph");
    check_cuda(cudaStreamDestroy(stream), "a stream");
    gemm_destroy(g);
    return check_end();
}

static int check_misuse(void) {
    check_begin("gemm refuses what it cannot do");
    errbuf err = {};
    gemm *g = make_recorded(false);
    operands o(&recorded, DEVICE_BF16, 16, 16);
    gemm_operands good = o.on_device(), at = good;
    uint32_t id;
    CHECK(gemm_run(g, 0, 0, &at, 4, &err) == ST_INVALID); /* not prepared */
    CHECK_OK(gemm_prepare(g, NULL, NULL, &err));
    CHECK(gemm_run(g, 0, 1, &at, 4, &err) == ST_INVALID);
    CHECK(gemm_run(g, 0, 0, &at, 0, &err) == ST_INVALID);
    CHECK(gemm_run(g, 0, 0, &at, 17, &err) == ST_INVALID);
    at.bias = NULL;
    CHECK(gemm_run(g, 0, 0, &at, 4, &err) == ST_INVALID);
    at = good;
    at.x = (const char *)at.x + 2;
    CHECK(gemm_run(g, 0, 0, &at, 4, &err) == ST_INVALID);
    gemm_product p = recorded;
    CHECK(gemm_add(g, &id, &p, 0, &err) == ST_INVALID);
    CHECK(gemm_add(g, &id, &p, GEMM_ROWS_MAX + 1, &err) == ST_INVALID);
    CHECK_OK(gemm_add(g, &id, &p, 3, &err));
    CHECK(id == 0);
    p.float_out = true;
    CHECK(gemm_add(g, &id, &p, 4, &err) == ST_INVALID); /* with a bias */
    p.bias = false;
    p.n_in = 0;
    CHECK(gemm_add(g, &id, &p, 4, &err) == ST_INVALID);
    gemm_destroy(g);
    gemm_destroy(NULL);
    return check_end();
}

static int check_buckets(void) {
    check_begin("gemm buckets");
    uint32_t n_buckets = 0, last = 0;
    for (uint32_t n = 1; n <= GEMM_ROWS_MAX; n++) {
        uint32_t b = gemm_bucket(n);
        CHECK(b >= n && b >= last && gemm_bucket(b) == b && b <= GEMM_ROWS_MAX);
        CHECK(b < 2 * n && b - n < 256);
        n_buckets += b != last;
        last = b;
    }
    CHECK(n_buckets == GEMM_N_BUCKETS);
    CHECK(gemm_bucket(65) == 128 && gemm_bucket(513) == 640 && gemm_bucket(2049) == 2304);
    return check_end();
}

/* Every call is made to fail once; a candidate that fails may be passed over. */
static int check_failures(void) {
#ifdef __CUDACC__
    return 0;
#else
    check_begin("gemm gives back what it holds when a call fails");
    size_t n_live = fake_live_objects();
    uint32_t n_ok = 0, n_failed = 0, n_last_ok = 0;
    for (long n = 1; n_last_ok < 2; n++) {
        errbuf err = {};
        gemm *g = NULL;
        uint32_t id;
        gemm_options o = test_options(DEVICE_BF16, n % 2);
        long n_before = fake_fallible_calls();
        fake_fail_after(n);
        status st = gemm_create(&g, &o, &err);
        if (st == ST_OK) st = gemm_add(g, &id, &recorded, 2, &err);
        if (st == ST_OK) st = gemm_prepare(g, NULL, NULL, &err);
        bool reached = fake_fallible_calls() - n_before >= n;
        fake_fail_after(0);
        CHECK(reached || st == ST_OK);
        CHECK((st == ST_OK) == (err.text[0] == '\0'));
        n_ok += st == ST_OK;
        n_failed += st != ST_OK;
        n_last_ok = reached ? 0 : n_last_ok + 1;
        gemm_destroy(g);
        CHECK(fake_live_objects() == n_live);
        (void)cudaGetLastError();
    }
    CHECK(n_ok > 2 && n_failed > 10);
    return check_end();
#endif
}

int check_gemm(void) {
    int n_failed = check_buckets();
    for (device_dtype d : check_dtypes) {
        n_failed += check_products(d, false);
        n_failed += check_products(d, true);
        for (const gemm_case &c : gemm_cases) n_failed += check_row_alone(d, &c.product);
    }
    n_failed += check_records() + check_wrong_records() + check_graph() + check_misuse();
    return n_failed + check_failures();
}
