/* test_sampling.c - tokens are picked with the shares that their logits say, among those that
 * top_k and top_p keep, and each pick stands for itself. */
#include "sampling.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { VOCAB = 12, N_PICKS = 60000 };

static const float logits[VOCAB] = {0.5f, -1, 2, 1.5f, 0, -3, 2, 1, -0.5f, 0.25f, -2, 1.75f};

static sampler *make_sampler(uint32_t vocab) {
    sampler *s;
    assert_int_equal(sampler_create(&s, vocab), ST_OK);
    return s;
}

static bool ranks_before(uint32_t a, uint32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
}

/* Shares by sorting everything: the definition, not the way of the code. */
static void expected_shares(double share[VOCAB], const sampling_options *o) {
    uint32_t order[VOCAB], n = VOCAB;
    for (uint32_t i = 0; i < VOCAB; i++) {
        uint32_t at = i;
        for (; at > 0 && ranks_before(i, order[at - 1]); at--) order[at] = order[at - 1];
        order[at] = i;
    }
    if (o->top_k && o->top_k < n) n = o->top_k;
    double sum = 0, kept = 0;
    for (uint32_t i = 0; i < n; i++) sum += exp(logits[order[i]] / o->temperature);
    uint32_t n_kept = 0;
    while (n_kept < n && kept < o->top_p * sum * (1 - 1e-12))
        kept += exp(logits[order[n_kept++]] / o->temperature);
    memset(share, 0, VOCAB * sizeof(*share));
    for (uint32_t i = 0; i < n_kept; i++)
        share[order[i]] = exp(logits[order[i]] / o->temperature) / kept;
}

/* Chi-square over the kept tokens. For k degrees of freedom its mean is k and its variance 2k;
 * Laurent and Massart (2000): above k + 2 sqrt(k x) + 2 x with probability below e^-x, here
 * x = 16, one in nine million. The picks are the same in each run. */
static void check_shares(const sampling_options *o, bool by_request) {
    double share[VOCAB], statistic = 0;
    expected_shares(share, o);
    uint32_t counts[VOCAB] = {0}, n_kept = 0;
    sampler *s = make_sampler(VOCAB);
    for (uint32_t i = 0; i < N_PICKS; i++)
        counts[sampler_pick(s, logits, o, by_request ? i : 7, by_request ? 3 : i)]++;
    for (uint32_t i = 0; i < VOCAB; i++) {
        if (share[i] == 0) {
            assert_int_equal(counts[i], 0);
            continue;
        }
        double want = share[i] * N_PICKS;
        statistic += (counts[i] - want) * (counts[i] - want) / want;
        n_kept++;
    }
    double k = n_kept > 1 ? n_kept - 1 : 1, x = 16;
    assert_true(statistic <= k + 2 * sqrt(k * x) + 2 * x);
    sampler_destroy(s);
}

static void picks_have_the_shares_of_their_logits(void **state) {
    (void)state;
    const sampling_options all[] = {{1, 0, 1, 1},         {0.7, 0, 1, 2},   {2, 0, 1, 3},
                                    {1, 5, 1, 4},         {1, 1, 1, 5},     {1, 0, 0.8, 6},
                                    {1, 0, 0.3, 7},       {1, 0, 1e-9, 8},  {1, 6, 0.7, 9},
                                    {1.3, 100, 0.95, 10}, {1, 12, 0.99, 11}};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        check_shares(&all[i], false);
        check_shares(&all[i], true);
    }
}

static void greedy_takes_the_lowest_of_the_likeliest(void **state) {
    (void)state;
    sampler *s = make_sampler(VOCAB);
    sampling_options o = sampling_options_defaults();
    assert_int_equal(sampler_pick(s, logits, &o, 1, 0), 2);
    o = (sampling_options){.temperature = 1, .top_k = 1, .top_p = 1};
    assert_int_equal(sampler_pick(s, logits, &o, 1, 0), 2);
    sampler_destroy(s);
}

static void tokens_that_are_ruled_out_are_never_picked(void **state) {
    (void)state;
    float some[VOCAB];
    for (int i = 0; i < VOCAB; i++) some[i] = i % 3 ? -INFINITY : logits[i];
    sampler *s = make_sampler(VOCAB);
    sampling_options o = {.temperature = 5, .top_p = 1, .seed = 1};
    for (uint32_t i = 0; i < 2000; i++)
        assert_int_equal(sampler_pick(s, some, &o, i, i) % 3, 0);
    o.top_p = 0.9999, o.top_k = 8;
    for (uint32_t i = 0; i < 2000; i++)
        assert_int_equal(sampler_pick(s, some, &o, i, i) % 3, 0);
    sampler_destroy(s);
}

/* The picks of one request, with those of others in between. */
static void a_pick_does_not_depend_on_other_picks(void **state) {
    (void)state;
    enum { BIG = 5000, N = 50 };
    float *big = malloc(BIG * sizeof(*big));
    for (uint32_t i = 0; i < BIG; i++) big[i] = (float)(8 * rng_normal(1, 1, i));
    sampler *a = make_sampler(BIG), *b = make_sampler(BIG);
    sampling_options o = {.temperature = 0.9, .top_k = 400, .top_p = 0.98, .seed = 3};
    uint32_t alone[N], n_changes = 0;
    for (uint32_t i = 0; i < N; i++) alone[i] = sampler_pick(a, big, &o, 42, i);
    for (uint32_t i = N; i-- > 0;) {
        sampling_options other = {.temperature = 1 + i, .top_p = 1, .seed = i};
        sampler_pick(b, big, &other, i, 9);
        assert_int_equal(sampler_pick(b, big, &o, 42, i), alone[i]);
        n_changes += sampler_pick(b, big, &o, 43, i) != alone[i];
    }
    assert_true(n_changes > N / 4); /* other requests draw other numbers */
    sampler_destroy(a), sampler_destroy(b), free(big);
}

/* Bit for bit, not in shares alone: what nothing is cut from is walked along in one way. */
static void a_top_k_that_cuts_nothing_is_none(void **state) {
    (void)state;
    sampler *s = make_sampler(VOCAB);
    for (uint32_t i = 0; i < 1000; i++) {
        sampling_options o = {.temperature = 1, .top_p = 1, .seed = 3};
        uint32_t token = sampler_pick(s, logits, &o, 7, i);
        for (o.top_k = VOCAB; o.top_k < VOCAB + 2; o.top_k++)
            assert_int_equal(sampler_pick(s, logits, &o, 7, i), token);
    }
    sampler_destroy(s);
}

static void options_out_of_range_are_refused(void **state) {
    (void)state;
    const sampling_options bad[] = {{-1, 0, 1, 0}, {NAN, 0, 1, 0}, {INFINITY, 0, 1, 0},
                                    {1, 0, 0, 0},  {1, 0, 1.5, 0}, {1, 0, NAN, 0}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        errbuf err = {0};
        assert_int_equal(sampling_options_check(&bad[i], &err), ST_INVALID);
        assert_true(err.text[0]);
    }
    sampling_options o = sampling_options_defaults();
    assert_int_equal(sampling_options_check(&o, NULL), ST_OK);
    sampler *s;
    assert_int_equal(sampler_create(&s, 0), ST_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picks_have_the_shares_of_their_logits),
        cmocka_unit_test(greedy_takes_the_lowest_of_the_likeliest),
        cmocka_unit_test(tokens_that_are_ruled_out_are_never_picked),
        cmocka_unit_test(a_pick_does_not_depend_on_other_picks),
        cmocka_unit_test(a_top_k_that_cuts_nothing_is_none),
        cmocka_unit_test(options_out_of_range_are_refused),
    };
    return cmocka_run_group_tests_name("sampling", tests, NULL, NULL);
}
