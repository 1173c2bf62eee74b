/* test_fingerprint.c - the decisions on a random workload are those of the upstream schedulers.
 *
 * Recorded from the upstream scheduler classes: vLLM V0 v0.6.3 (A to G; block managers 1 and 2
 * agree in A and E, so A2 and E2 are theirs too) and v0.5.3.post1 (names with 053), vLLM V1
 * v0.25.1 (K to R) and v0.18.0 (names with 18; K and M hold for both), nano-vllm bb823b3 (X,
 * Y). Upstream's own count of preemptions leaves out those that V0 forces for a more urgent
 * request: 3 and 4 of case D. */
#include "fingerprint.h"

/* Last: cmocka has a macro fail(). */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const struct row {
    const char *name;
    uint64_t seed;
    const char *counts; /* steps, preemptions, blocks out / in, tokens */
    const char *hashes; /* after 10, 40, 100 lines and all */
} rows[] = {
    {"A", 1, "244 44 0/0 2967",
     "6031ee413d18b2fb 9534286de8299ad0 9029bf7af3356c86 b7654fb99d2a64f3"},
    {"A2", 1, "244 44 0/0 2967",
     "6031ee413d18b2fb 9534286de8299ad0 9029bf7af3356c86 b7654fb99d2a64f3"},
    {"A", 2, "209 32 0/0 2614",
     "560f0db6ec47644a ff37e3e98343c3a8 42ce7bc4b8c7f98a e960373e4ede0cd6"},
    {"A2", 2, "209 32 0/0 2614",
     "560f0db6ec47644a ff37e3e98343c3a8 42ce7bc4b8c7f98a e960373e4ede0cd6"},
    {"B", 1, "226 26 184/184 1701",
     "6031ee413d18b2fb d1b0f1a363c81a14 b8c6f498fd33e452 848c56c11db2ec0a"},
    {"B", 2, "199 19 159/159 1638",
     "b2651be12a9981a3 aea4cb055b353f1e 02fc1ed3664322b1 c58c1463cbc6394d"},
    {"C", 1, "226 31 213/213 1701",
     "6031ee413d18b2fb d1b0f1a363c81a14 b5c5eb00b3d7046e 1d81ab99f7ca0cf0"},
    {"C", 2, "198 25 201/201 1638",
     "b2651be12a9981a3 aea4cb055b353f1e 55d125e7372b64bb 411eb8853268706e"},
    {"D", 1, "247 42 0/0 2949",
     "fc91789048f0ae2f 9b89d4f4dec8f7be 2d89c7c298b25e98 e2808a513dbe2fbb"},
    {"D", 2, "209 40 0/0 2841",
     "1180a6beb14f3945 db82eb870cb02b0d 85ab8006c846d053 9008395d3911d52e"},
    {"E", 1, "216 29 0/0 2328",
     "ffb11e135c6f152e 8033f89687e3f5d3 9ca9688f87438818 1119880b32f061ab"},
    {"E2", 1, "216 29 0/0 2328",
     "ffb11e135c6f152e 8033f89687e3f5d3 9ca9688f87438818 1119880b32f061ab"},
    {"E", 2, "188 24 0/0 2179",
     "a4f73960dd061f18 a4962c28638bb3fc 60763fe8dae368ec e1ee25f4267fd98f"},
    {"E2", 2, "188 24 0/0 2179",
     "a4f73960dd061f18 a4962c28638bb3fc 60763fe8dae368ec e1ee25f4267fd98f"},
    {"F", 1, "216 20 132/132 1701",
     "ffb11e135c6f152e e6450012b74ac16e b7f7a37d667a4614 6f5d3ce075e39593"},
    {"F", 2, "184 19 137/137 1638",
     "70d4e9b582b8e1ba f2aa3d83169726f3 b4a9f011de94edc3 43cb4c3d6c78c71e"},
    {"G", 1, "214 31 225/225 1701",
     "ffb11e135c6f152e 57bb8650af22310a 607b096e361e1772 827a31bffc4da6c0"},
    {"G", 2, "184 19 137/137 1638",
     "70d4e9b582b8e1ba f2aa3d83169726f3 b4a9f011de94edc3 43cb4c3d6c78c71e"},
    {"A053", 1, "244 44 0/0 2967",
     "6031ee413d18b2fb 9534286de8299ad0 9029bf7af3356c86 b7654fb99d2a64f3"},
    {"A053", 2, "209 32 0/0 2614",
     "560f0db6ec47644a ff37e3e98343c3a8 42ce7bc4b8c7f98a e960373e4ede0cd6"},
    {"B053", 1, "230 23 175/175 1701",
     "6031ee413d18b2fb d1b0f1a363c81a14 b8c6f498fd33e452 63ca70da79a8d1bc"},
    {"B053", 2, "201 20 164/164 1638",
     "b2651be12a9981a3 aea4cb055b353f1e 33d155bef807547a fc5c8f6c127ea6e4"},
    {"E053", 1, "218 26 0/0 2404",
     "b5f489972588c33e 988991c27d82f733 63f622236640b51c ae0f54465c89b432"},
    {"E053", 2, "187 23 0/0 2167",
     "149d8b80433f3c60 3c3a510e7d110e94 640f1eb83ea3b0b3 48e8076441a82e40"},
    {"F053", 1, "215 22 156/156 1701",
     "b5f489972588c33e 6445a87f9c51ce6b 6c75fc6abfb85f64 1ed908fd89ad592f"},
    {"F053", 2, "182 22 163/163 1638",
     "54b5358fc71e2942 099e6480b1ae8f6b 4f5625801a525ba3 45fad15ddf21c0c4"},
    {"K", 1, "210 19 0/0 2262",
     "67ff5920d6217afe 416bfa7a7fe7d56a 93b1abd98751943e 4e45dfa3ac62a92c"},
    {"K", 2, "178 12 0/0 2077",
     "1df8943941e78fd7 ff4eea48656adeaa 6f1050c033162b1a 4a1f3a6a7e92ce98"},
    {"L18", 1, "221 38 0/0 2605",
     "9834b951d94aac53 0fbc8fa809325db4 d70bb05ce88234e7 c0c716af3c455fe4"},
    {"L18", 2, "190 31 0/0 2349",
     "34cfdcae35d2a3d0 40e373e97c9fe383 1851a083f8a896b2 b989ed6a1fc517b2"},
    {"M", 1, "205 23 0/0 2239",
     "cd34f1aa635cd33e a5f199248e20fa54 462e0c4c872110d7 edb38ba1eac9da15"},
    {"M", 2, "171 18 0/0 2170",
     "00c990776fe6d4a5 89dde261ba6b18cf d945e6c3654df270 0b5b73cd0511d7ff"},
    {"N18", 1, "223 94 0/0 3396",
     "9021c762889600bd 2090dd298edb6d5c 548094c0260de6c3 399da87f4f44d332"},
    {"N18", 2, "190 76 0/0 3015",
     "33b1b8e59051b2d0 39dfc8bd7a25ef5f 112dfd04bf9a4de8 f1f23478f9e0c662"},
    {"L", 1, "222 18 0/0 2185",
     "075be434b38bec77 8087fe819d72cba5 bc7638a3549ff00f a323a7615fc85726"},
    {"L", 2, "191 14 0/0 2001",
     "d286a04c5d118934 a94e94dae78f2c14 229c26150ae6d992 b564b1d32e8d30cc"},
    {"N", 1, "226 46 0/0 2627",
     "55d9c5b0efa3a07a c36bb8ad1b02f41a 9f4e70fd94edfe6e cf62e2c1f3e67b52"},
    {"N", 2, "192 41 0/0 2387",
     "6c216e46cf51d28a 0f111dc267fbb092 00e8f2d534a95e27 6d4d84cadafab093"},
    {"P", 1, "211 15 0/0 2165",
     "67ff5920d6217afe 416bfa7a7fe7d56a f0f6f71c1a831cfd d368b1604d150504"},
    {"P", 2, "181 9 0/0 1882",
     "2ca19240d3a4f2ab 744359cfd8b1aaac eaecc2326aaec730 52a8d2825533436d"},
    {"Q", 1, "221 38 0/0 2605",
     "9834b951d94aac53 0fbc8fa809325db4 d70bb05ce88234e7 c0c716af3c455fe4"},
    {"Q", 2, "190 31 0/0 2349",
     "34cfdcae35d2a3d0 40e373e97c9fe383 1851a083f8a896b2 b989ed6a1fc517b2"},
    {"R", 1, "210 19 0/0 1978",
     "67ff5920d6217afe 4a47867ce89000d9 3ed85d74dbfbc5bc d475dd0ca95be45a"},
    {"R", 2, "178 12 0/0 1845",
     "1df8943941e78fd7 ff4eea48656adeaa 89bb5d30fc766076 f5bda2904ff2dbd8"},
    {"X", 1, "230 27 0/0 2000",
     "1ac183371d513818 1afd664259992ebb 708d1765855de4ca 726316ad8458be5e"},
    {"X", 2, "195 18 0/0 1850",
     "5ad33855848f1f7f 4b4001dd7bd5a19d 800c5b48b374be18 ef0dafc4f59987fb"},
    {"Y", 1, "262 24 0/0 2050",
     "9801d3e6571fb06b 4cd7c335a8940396 7e4684f77ee30757 6f14151844f1258b"},
    {"Y", 2, "220 16 0/0 1774",
     "82d5076f03122aee 8d851e81f23b6c34 36fb6c2ef3c965f1 1395cde74fb0adb8"},
};
enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static fingerprint run(const char *name, uint64_t seed) {
    errbuf err = {0};
    fingerprint f;
    const fingerprint_case *c = fingerprint_find(name);
    assert_non_null(c);
    if (fingerprint_run(&f, c, seed, &err, NULL) != ST_OK)
        fail_msg("case %s, seed %d: %s", name, (int)seed, err.text);
    return f;
}

static void decides_as_upstream(void **state) {
    const struct row *r = *state;
    fingerprint f = run(r->name, r->seed);
    char counts[64], hashes[80];
    snprintf(counts, sizeof(counts), "%" PRIu32 " %" PRIu64 " %" PRIu64 "/%" PRIu64 " %" PRIu64,
             f.n_steps, f.n_preempted, f.n_out_blocks, f.n_in_blocks, f.n_tokens);
    snprintf(hashes, sizeof(hashes), "%016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64,
             f.hashes[0], f.hashes[1], f.hashes[2], f.hashes[3]);
    assert_string_equal(counts, r->counts);
    assert_string_equal(hashes, r->hashes);
}

static void every_case_is_recorded_for_two_seeds(void **state) {
    (void)state;
    size_t n;
    const fingerprint_case *cases = fingerprint_cases(&n);
    for (size_t i = 0; i < n; i++) {
        uint64_t seeds = 0;
        for (int j = 0; j < N_ROWS; j++)
            if (fingerprint_find(rows[j].name) == &cases[i]) seeds += rows[j].seed;
        assert_int_equal(seeds, 1 + 2);
    }
}

/* A swapped sequence keeps its KV: each token is computed once. */
static void swapping_computes_every_token_once(void **state) {
    (void)state;
    static const char *const swapping[] = {"B", "C", "F", "G", "B053", "F053"};
    static const uint64_t n_tokens[] = {1701, 1638, 1527}; /* of seeds 1 to 3 */
    for (size_t i = 0; i < sizeof(swapping) / sizeof(swapping[0]); i++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            fingerprint f = run(swapping[i], seed);
            assert_int_equal(f.n_useful_tokens, n_tokens[seed - 1]);
            assert_int_equal(f.n_tokens, n_tokens[seed - 1]);
            assert_int_equal(f.n_in_blocks, f.n_out_blocks);
            assert_true(f.n_preempted > 0);
        }
    }
}

int main(void) {
    static char names[N_ROWS][32];
    struct CMUnitTest tests[N_ROWS + 2] = {
        cmocka_unit_test(every_case_is_recorded_for_two_seeds),
        cmocka_unit_test(swapping_computes_every_token_once),
    };
    for (int i = 0; i < N_ROWS; i++) {
        snprintf(names[i], sizeof(names[i]), "case %s, seed %d", rows[i].name,
                 (int)rows[i].seed);
        tests[i + 2] = (struct CMUnitTest){.name = names[i],
                                           .test_func = decides_as_upstream,
                                           .initial_state = (void *)&rows[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
