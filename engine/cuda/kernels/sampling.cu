/* sampling.cu - see sampling.cuh.
 *
 * A cut is a place in the rank order: all tokens of a higher key (the logit's bits, ordered)
 * and the first few, by id, of one key, all of which weigh the same. It is found digit by
 * digit: a histogram of the keys' next bits, then a search for the bin in which the count or
 * the weight reaches what is needed. */
#include "sampling.cuh"

#include "device_rng.cuh"

#include <math.h>

/* 32 warps, so that one warp's lanes hold what all warps summed. */
enum { PICK_THREADS = 1024, N_WARPS = 32 };
enum { STREAM_SAMPLING = 1 }; /* that of engine/cpu/sampling.c */
enum { N_DIGITS = 3, BINS = 1 << 11 };
enum { ADVANCE_THREADS = 256 };
typedef unsigned long long whole; /* counts and weights: the type of shuffles of 64 bits */
static constexpr float weight_one = 17592186044416.0f; /* 2^44: 2^18 of them fit */
static constexpr double weight_log2_min = -45;         /* below it a weight rounds to 0 */
static constexpr double scale_max = 1e300;             /* finite: times 0 it is 0 */
static constexpr unsigned all_lanes = 0xffffffffu;

/* ------------------------------------------------------------ numbers */

/* Orders as the number does; both zeros are one. NaN is beyond one of the infinities. */
__device__ static uint32_t key_of(float x) {
    uint32_t bits = __float_as_uint(x);
    if (x == 0) bits = 0;
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ static float logit_of(uint32_t key) {
    return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

/* exp((x - highest) / temperature) of the likeliest token's weight; scale = log2(e) /
 * temperature. As a float the exponent is off by 1e-6 at most where the weights of a whole
 * vocabulary still make a share (above -2^5), which moves a share by a quarter of that. */
__device__ static whole weight_of(float x, float highest, double scale) {
    double exponent = ((double)x - (double)highest) * scale;
    if (!(exponent >= weight_log2_min)) return 0;
    return (whole)(weight_one * exp2f((float)exponent) + 0.5f);
}

/* ------------------------------------------------------------ reading a row */

/* f(id, logit) for all of the row, each by one thread. By 16 bytes where rows allow it. */
template <class F>
__device__ static void for_each_logit(const float *row, uint32_t vocab, F f) {
    if ((uintptr_t)row % 16 != 0 || vocab % 4 != 0) {
        for (uint32_t i = threadIdx.x; i < vocab; i += PICK_THREADS) f(i, row[i]);
        return;
    }
    for (uint32_t i = 4 * threadIdx.x; i < vocab; i += 4 * PICK_THREADS) {
        float4 v = *(const float4 *)(row + i);
        f(i, v.x);
        f(i + 1, v.y);
        f(i + 2, v.z);
        f(i + 3, v.w);
    }
}

/* ------------------------------------------------------------ over a block */

__device__ static whole warp_sum(whole x) {
    for (int by = 16; by > 0; by /= 2) x += __shfl_xor_sync(all_lanes, x, by);
    return x;
}

__device__ static whole warp_max(whole x) {
    for (int by = 16; by > 0; by /= 2) {
        whole other = __shfl_xor_sync(all_lanes, x, by);
        if (other > x) x = other;
    }
    return x;
}

/* Sum of this lane and those below it. */
__device__ static whole warp_prefix(whole x) {
    for (int by = 1; by < 32; by *= 2) {
        whole other = __shfl_up_sync(all_lanes, x, by);
        if (threadIdx.x % 32 >= (unsigned)by) x += other;
    }
    return x;
}

/* What each warp gave, by lane, in all warps. */
__device__ static whole share_with_warps(whole of_warp) {
    __shared__ whole shared[N_WARPS];
    __syncthreads(); /* the last one's has been read */
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = of_warp;
    __syncthreads();
    return shared[threadIdx.x % 32];
}

typedef struct crossing {
    uint32_t index;
    whole before; /* sum of what lies before index */
} crossing;

/* The first index of [0, n) at which measure(0) + ... + measure(index) reaches `need`, which is
 * above 0 and at most the sum of all. Each round the warps sum a part each and all go on with
 * the part that crosses. The same in all threads. */
template <class Measure>
__device__ static crossing find_crossing(uint32_t n, whole need, Measure measure) {
    uint32_t begin = 0, end = n, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    whole before = 0;
    for (;;) {
        uint32_t part = (end - begin + N_WARPS - 1) / N_WARPS, mine = begin + lane;
        whole value = 0;
        if (part > 1) {
            for (uint32_t i = warp * part + lane; i < (warp + 1) * part && begin + i < end;
                 i += 32)
                value += measure(begin + i);
            value = share_with_warps(warp_sum(value));
        } else if (mine < end) {
            value = measure(mine);
        }
        whole prefix = warp_prefix(value);
        unsigned crossed = __ballot_sync(all_lanes, before + prefix >= need);
        int first = crossed ? __ffs((int)crossed) - 1 : 31;
        before += __shfl_sync(all_lanes, prefix - value, first);
        begin += first * part;
        if (part <= 1) break;
        if (begin + part < end) end = begin + part;
    }
    crossing found = {begin, before};
    return found;
}

/* ------------------------------------------------------------ cuts */

/* By digit of the keys. Sums in halves, since shared memory adds 32 bits at once and 64 only
 * by trying again. */
typedef struct histogram {
    uint32_t counts[BINS], low[BINS], high[BINS];
} histogram;

typedef struct row_view {
    const float *logits;
    uint32_t vocab;
    float highest;
    double scale; /* log2(e) / temperature */
} row_view;

__device__ static whole bin_weight(const histogram *h, uint32_t bin) {
    return (whole)h->high[bin] << 32 | h->low[bin];
}

__device__ static void add_weight(histogram *h, uint32_t bin, whole weight) {
    uint32_t low = (uint32_t)weight, high = (uint32_t)(weight >> 32);
    if (low) {
        uint32_t old = atomicAdd(&h->low[bin], low);
        high += old + low < old; /* the carry */
    }
    if (high) atomicAdd(&h->high[bin], high);
}

/* Bits of the digits, from the highest: [21, 32) [10, 21) [0, 10). */
__device__ static uint32_t digit_shift(int digit) {
    return digit == 0 ? 21 : digit == 1 ? 10 : 0;
}
__device__ static uint32_t digit_mask(int digit) {
    return digit == 2 ? 0x3ff : 0x7ff;
}

/* Of the keys that share the bits above the digit with `key`. No thread still reads h: descend
 * ends behind a barrier. */
__device__ static void fill(histogram *h, const row_view *row, uint32_t key, int digit) {
    uint32_t shift = digit_shift(digit), mask = digit_mask(digit);
    uint32_t above = digit == 0 ? 0 : ~0u << digit_shift(digit - 1);
    for (uint32_t i = threadIdx.x; i < BINS; i += PICK_THREADS)
        h->counts[i] = h->low[i] = h->high[i] = 0;
    __syncthreads();
    for_each_logit(row->logits, row->vocab, [=](uint32_t, float x) {
        uint32_t k = key_of(x), bin = k >> shift & mask;
        if ((k ^ key) & above) return;
        atomicAdd(&h->counts[bin], 1u);
        add_weight(h, bin, weight_of(x, row->highest, row->scale));
    });
    __syncthreads();
}

/* A prefix of the rank order that is not empty: the keys above `key`, and n_ties of key. */
typedef struct rank_cut {
    uint32_t key, n_ties;
    whole count, weight; /* of the prefix */
} rank_cut;

/* The place that was reached in the digits above. */
typedef struct descent {
    uint32_t key;
    whole count, weight; /* of what ranks before it */
} descent;

/* On to the bin of h, that of the digit behind those of *d, in which the count (else the
 * weight) reaches `need`. */
__device__ static void descend(descent *d, const histogram *h, int digit, bool by_count,
                               whole need) {
    uint32_t last = digit_mask(digit);
    whole before = by_count ? d->count : d->weight;
    crossing c = find_crossing(last + 1, need - before, [=](uint32_t i) {
        return by_count ? (whole)h->counts[last - i] : bin_weight(h, last - i);
    });
    whole other = 0; /* what the other one comes to over the same bins */
    for (uint32_t i = threadIdx.x; i < c.index; i += PICK_THREADS)
        other += by_count ? bin_weight(h, last - i) : (whole)h->counts[last - i];
    other = warp_sum(share_with_warps(warp_sum(other)));
    d->count += by_count ? c.before : other;
    d->weight += by_count ? other : c.before;
    d->key |= (last - c.index) << digit_shift(digit);
}

/* The shortest prefix of the rank order whose count (else weight) reaches `need`, which is
 * above 0 and at most that of all. h_first is the histogram of the first digit, h room for
 * others. */
__device__ static rank_cut cut_at(const histogram *h_first, histogram *h, const row_view *row,
                                  bool by_count, whole need) {
    descent d = {0, 0, 0};
    descend(&d, h_first, 0, by_count, need);
    for (int digit = 1; digit < N_DIGITS; digit++) {
        fill(h, row, d.key, digit);
        descend(&d, h, digit, by_count, need);
    }
    whole weight = weight_of(logit_of(d.key), row->highest, row->scale);
    whole n_ties = by_count ? need - d.count : (need - d.weight + weight - 1) / weight;
    rank_cut cut = {d.key, (uint32_t)n_ties, d.count + n_ties, d.weight + n_ties * weight};
    return cut;
}

/* ------------------------------------------------------------ picking */

/* The likeliest token, lowest id first. *is_bad: sampling.cuh, pick_args. */
__device__ static uint32_t find_likeliest(const float *logits, uint32_t vocab, float *highest,
                                          bool *is_bad) {
    whole best = 0; /* key, then ~id, so that the highest has the lowest id */
    bool nan = false;
    for_each_logit(logits, vocab, [&](uint32_t i, float x) {
        whole rank = (whole)key_of(x) << 32 | (uint32_t)~i;
        if (rank > best) best = rank;
        nan |= x != x;
    });
    best = warp_max(share_with_warps(warp_max(best)));
    whole n_nan = warp_sum(share_with_warps(warp_sum(nan)));
    *highest = logit_of((uint32_t)(best >> 32));
    *is_bad = n_nan > 0 || !(fabsf(*highest) < INFINITY);
    return ~(uint32_t)best;
}

/* The number, from 1, that the walk must reach to be at the drawn point. */
__device__ static whole drawn_point(const pick_args *a, uint32_t row, whole sum) {
    uint64_t key = device_rng_bits(a->options.seed, STREAM_SAMPLING, a->request_ids[row]);
    uint32_t index = a->positions[row] + 1 - a->n_prompt[row];
    whole at = (whole)(device_rng_uniform(key, STREAM_SAMPLING, index) * (double)sum) + 1;
    return at < sum ? at : sum;
}

/* Nothing is cut: the walk goes along falling ids. */
__device__ static uint32_t pick_of_all(const pick_args *a, uint32_t row, const row_view *v) {
    whole sum = 0;
    for_each_logit(v->logits, v->vocab,
                   [&](uint32_t, float x) { sum += weight_of(x, v->highest, v->scale); });
    sum = warp_sum(share_with_warps(warp_sum(sum)));
    uint32_t last = v->vocab - 1;
    crossing c = find_crossing(v->vocab, drawn_point(a, row, sum), [=](uint32_t i) {
        return weight_of(v->logits[last - i], v->highest, v->scale);
    });
    return last - c.index;
}

__device__ static uint32_t pick_of_first(const pick_args *a, uint32_t row, const row_view *v,
                                         histogram *first, histogram *h) {
    fill(first, v, 0, 0);
    whole kept = 0;
    for (uint32_t i = threadIdx.x; i < BINS; i += PICK_THREADS) kept += bin_weight(first, i);
    kept = warp_sum(share_with_warps(warp_sum(kept)));
    if (a->options.top_k > 0 && a->options.top_k < v->vocab)
        kept = cut_at(first, h, v, true, a->options.top_k).weight;
    if (a->options.top_p < 1) {
        whole least = (whole)ceil(a->options.top_p * (double)kept);
        if (least > kept) least = kept; /* kept, as a double, may have been rounded up */
        kept = cut_at(first, h, v, false, least).weight;
    }
    rank_cut drawn = cut_at(first, h, v, false, drawn_point(a, row, kept));
    return find_crossing(v->vocab, drawn.n_ties,
                         [=](uint32_t i) { return (whole)(key_of(v->logits[i]) == drawn.key); })
        .index;
}

/* Grid (n), block PICK_THREADS; shared memory: two histograms. Bound by reading the row. */
__global__ static void __launch_bounds__(PICK_THREADS, 1) pick_kernel(pick_args a) {
    DYNAMIC_SHARED(shared);
    histogram *histograms = (histogram *)shared;
    uint32_t row = blockIdx.x;
    row_view v;
    bool is_bad;
    v.logits = a.logits + (size_t)row * a.vocab;
    v.vocab = a.vocab;
    uint32_t picked = find_likeliest(v.logits, a.vocab, &v.highest, &is_bad);
    if (is_bad && threadIdx.x == 0) a.bad[row] = 1;
    if (a.options.temperature > 0 && !is_bad) {
        v.scale = fmin(1.4426950408889634 / a.options.temperature, scale_max);
        bool all = (a.options.top_k == 0 || a.options.top_k >= a.vocab) && a.options.top_p >= 1;
        picked = all ? pick_of_all(&a, row, &v)
                     : pick_of_first(&a, row, &v, histograms, histograms + 1);
    }
    if (threadIdx.x == 0) a.tokens[row] = picked;
}

static status check_pick(const pick_args *a, errbuf *err) {
    const sampling_options *o = &a->options;
    TRY(sampling_options_check(o, err));
    if (a->vocab == 0 || a->vocab > PICK_VOCAB_MAX)
        return fail(err, ST_INVALID, "a vocabulary of %u, must be 1 to %d", a->vocab,
                    PICK_VOCAB_MAX);
    if (!a->logits || !a->tokens || !a->bad)
        return fail(err, ST_INVALID, "picking needs logits, tokens and bad");
    if (o->temperature > 0 && (!a->request_ids || !a->positions || !a->n_prompt))
        return fail(err, ST_INVALID, "drawing needs request_ids, positions and n_prompt");
    return ST_OK;
}

status pick_tokens(cudaStream_t stream, const pick_args *args, errbuf *err) {
    TRY(check_pick(args, err));
    if (args->n == 0) return ST_OK;
    /* Greedy rows use none, and so leave the cache its space. With what the kernel has beside,
     * two histograms exceed the 48 KiB that need no asking. */
    size_t shared_bytes = args->options.temperature > 0 ? 2 * sizeof(histogram) : 0;
    if (shared_bytes > 0 &&
        cudaFuncSetAttribute(pick_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             (int)shared_bytes) != cudaSuccess)
        return launched("pick_tokens", err);
    LAUNCH(pick_kernel, args->n, PICK_THREADS, shared_bytes, stream, *args);
    return launched("pick_tokens", err);
}

/* ------------------------------------------------------------ running ahead */

/* Grid (1), block 1. */
__global__ static void begin_iteration_kernel(decode_ring ring) {
    if (*(const volatile uint32_t *)ring.host_stop) *ring.stopped = 1;
}

status begin_iteration(cudaStream_t stream, const decode_ring *ring, errbuf *err) {
    LAUNCH(begin_iteration_kernel, 1, 1, 0, stream, *ring);
    return launched("begin_iteration", err);
}

/* Grid (1), block ADVANCE_THREADS, threads stride over the rows: one block, so that its barrier
 * tells when all picks are on their way. */
__global__ static void advance_rows_kernel(decode_ring ring, advance_args a) {
    if (*ring.stopped) return;
    uint32_t n = a.n, i = *ring.n_done, slot = i & (ring.n_slots - 1);
    if (a.n_live && *a.n_live < n) n = *a.n_live;
    uint32_t *tokens = ring.tokens + (size_t)slot * ring.n_rows_max;
    for (uint32_t row = threadIdx.x; row < n; row += ADVANCE_THREADS) {
        uint32_t token = a.picked[row];
        a.tokens[row] = token;
        a.positions[row] += 1;
        *(volatile uint32_t *)&tokens[row] = token;
    }
    __threadfence_system(); /* the host sees no done without its tokens */
    __syncthreads();
    if (threadIdx.x > 0) return;
    *ring.n_done = i + 1;
    *(volatile uint32_t *)&ring.done[slot] = i + 1;
}

status advance_rows(cudaStream_t stream, const decode_ring *ring, const advance_args *args,
                    errbuf *err) {
    if (args->n == 0 || args->n > ring->n_rows_max)
        return fail(err, ST_INVALID, "%u rows to advance, must be 1 to %u", args->n,
                    ring->n_rows_max);
    if (ring->n_slots == 0 || (ring->n_slots & (ring->n_slots - 1)) != 0)
        return fail(err, ST_INVALID, "a ring of %u slots, must be a power of two",
                    ring->n_slots);
    LAUNCH(advance_rows_kernel, 1, ADVANCE_THREADS, 0, stream, *ring, *args);
    return launched("advance_rows", err);
}
