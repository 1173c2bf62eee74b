/* test_policy.c - policy texts: what they set, and what is said of a wrong one. */
#include "policy.h"

#include <stdio.h>
#include <string.h>

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static policy parse(const char *text) {
    errbuf err = {0};
    policy p;
    if (policy_parse(&p, text, &err) != ST_OK) fail_msg("%s: %s", text, err.text);
    return p;
}

typedef struct told_text {
    char at[256];
    size_t n;
} told_text;

static void append_setting(void *context, const char *key, const char *value) {
    told_text *t = context;
    t->n += (size_t)snprintf(t->at + t->n, sizeof(t->at) - t->n, ",%s=%s", key, value);
    assert_true(t->n < sizeof(t->at));
}

/* The name and every setting. */
static told_text tell(const policy *p) {
    told_text t = {{0}, 0};
    t.n = (size_t)snprintf(t.at, sizeof(t.at), "%s", p->row->name);
    policy_each_setting(p, append_setting, &t);
    return t;
}

static void a_name_alone_gives_the_defaults_of_its_row(void **state) {
    (void)state;
    size_t n;
    const policy_row *rows = policy_rows(&n);
    assert_true(n >= 3);
    for (size_t i = 0; i < n; i++) {
        policy p = parse(rows[i].name), expected = {&rows[i], rows[i].defaults};
        assert_ptr_equal(p.row, &rows[i]);
        assert_string_equal(tell(&p).at, tell(&expected).at);
        assert_true(rows[i].text[0] != '\0');
    }
}

static void the_defaults_are_those_of_upstream(void **state) {
    (void)state;
    policy v0 = parse("vllm-v0-recompute"), swap = parse("vllm-v0-swap"), v1 = parse("vllm-v1");
    policy sglang = parse("sglang"), lightllm = parse("lightllm");
    assert_int_equal(v0.settings.block_manager, 2);
    assert_true(v0.settings.watermark == 0.01);
    assert_false(v0.settings.swap);
    assert_false(v0.settings.chunked);
    assert_false(v0.settings.fcfs_resort);
    assert_true(swap.settings.swap);
    assert_int_equal(swap.settings.host_full, HOST_FULL_ABORT);
    assert_true(v1.settings.full_isl);
    assert_true(v1.settings.prefix_cache);
    assert_true(v1.settings.watermark == 0);
    assert_int_equal(v1.settings.long_prefill_threshold, 0);
    assert_true(sglang.settings.conservativeness == 1);
    assert_true(lightllm.settings.router_token_ratio == 0);
}

static void settings_replace_defaults(void **state) {
    (void)state;
    policy p = parse("vllm-v0-swap,block_manager=1,watermark=0.25,chunked=on,fcfs_resort=on,"
                     "host_full=recompute,order=priority");
    assert_int_equal(p.settings.block_manager, 1);
    assert_true(p.settings.watermark == 0.25);
    assert_true(p.settings.chunked);
    assert_true(p.settings.fcfs_resort);
    assert_int_equal(p.settings.host_full, HOST_FULL_RECOMPUTE);
    assert_int_equal(p.settings.order, ORDER_PRIORITY);
    assert_true(p.settings.swap); /* the row's, not to be set */
    p = parse("vllm-v1,full_isl=off,prefix_cache=off,long_prefill_threshold=512");
    assert_false(p.settings.full_isl);
    assert_false(p.settings.prefix_cache);
    assert_int_equal(p.settings.long_prefill_threshold, 512);
}

static void wrong_texts_are_refused_with_what_would_be_right(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "there is no policy ''"},
        {"vllm-v2", "there is no policy 'vllm-v2'; did you mean 'vllm-v1'?"},
        {"vllm-v0-swop", "did you mean 'vllm-v0-swap'?"},
        {"zzzzzzzzz", "there is no policy 'zzzzzzzzz'; `adaptivellm policies` lists them"},
        {"vllm-v1,full_isi=on",
         "policy vllm-v1 has no setting 'full_isi'; did you mean 'full_isl'?"},
        {"vllm-v1,zzzz=on", "policy vllm-v1 has no setting 'zzzz'; it takes: order"},
        {"vllm-v1,chunked=on", "policy vllm-v1 has no setting 'chunked'"},
        {"vllm-v0-swap,prefix_cache=on", "policy vllm-v0-swap has no setting 'prefix_cache'"},
        {"vllm-v0-swap,swap=off", "policy vllm-v0-swap has no setting 'swap'"},
        {"vllm-v1,isl=on", "policy vllm-v1 has no setting 'isl'"}, /* a part of a key */
        {"vllm-v1,full=on", "policy vllm-v1 has no setting 'full'"},
        {"vllm-v1,=on", "policy vllm-v1 has no setting ''"},
        {"nano-vllm,prefix_cache=off",
         "policy nano-vllm has no setting 'prefix_cache'; it takes: none"},
        {"vllm-v1,full_isl", "'full_isl' after policy vllm-v1 is not key=value"},
        {"vllm-v1,full_isl=", "full_isl is on or off, not ''"},
        {"vllm-v1,full_isl=yes", "full_isl is on or off, not 'yes'"},
        {"vllm-v0-swap,block_manager=3",
         "block_manager is a whole number from 1 to 2, not '3'"},
        {"vllm-v0-swap,block_manager=0", "from 1 to 2, not '0'"},
        {"vllm-v0-swap,block_manager=-1", "from 1 to 2, not '-1'"},
        {"vllm-v0-swap,block_manager=", "from 1 to 2, not ''"},
        {"vllm-v0-swap,block_manager=1x", "from 1 to 2, not '1x'"},
        {"vllm-v0-swap,block_manager= 1", "from 1 to 2, not ' 1'"},
        {"vllm-v1,long_prefill_threshold=99999999999999999999", "from 0 to 16777216"},
        {"vllm-v1,watermark=0.1,watermark=0.2", "policy vllm-v1: watermark is given twice"},
        {"vllm-v1,async=on,full_isl=off,async=on", "policy vllm-v1: async is given twice"},
        {"vllm-v1,watermark=0.1,", "policy vllm-v1: nothing is behind a comma"},
        {"vllm-v1,,watermark=0.1", "policy vllm-v1: nothing is behind a comma"},
        {"vllm-v1,", "policy vllm-v1: nothing is behind a comma"},
        {",vllm-v1", "there is no policy ''"},
        {"vllm-v1,watermark=1", "watermark is a share in [0, 1), not '1'"},
        {"vllm-v1,watermark=-0.1", "watermark is a share in [0, 1), not '-0.1'"},
        {"vllm-v1,watermark=nan", "watermark is a share in [0, 1), not 'nan'"},
        {"vllm-v1,watermark=", "watermark is a share in [0, 1), not ''"},
        {"vllm-v1,watermark=0.1%", "watermark is a share in [0, 1), not '0.1%'"},
        {"vllm-v1,order=priorty", "order cannot be 'priorty'; did you mean 'priority'?"},
        {"vllm-v0-swap,host_full=stop",
         "policy vllm-v0-swap: host_full cannot be 'stop'; it is one of: abort recompute"},
        {"adaptive,mechanism=swp", "mechanism cannot be 'swp'; did you mean 'swap'? it is one"},
        {"adaptive,order=bogus", "order cannot be 'bogus'; it is one of: fcfs priority hrrn "
                                 "srpt-oracle lpt-oracle sjf-prompt mlfq vtc gittins"},
        {"vllm-v1,order=hrrn", "policy vllm-v1: order cannot be 'hrrn'; it is one of: fcfs"},
        {"sglang,conservativeness=0",
         "conservativeness is a number above 0 and up to 100, not '0'"},
        {"sglang,conservativeness=101",
         "conservativeness is a number above 0 and up to 100, not '101'"},
        {"sglang,conservativeness=nan",
         "conservativeness is a number above 0 and up to 100, not 'nan'"},
        {"past-future,seed=4294967296",
         "seed is a whole number from 0 to 4294967295, not '4294967296'"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        errbuf err = {0};
        policy p = {NULL, {.block_manager = 42}};
        assert_int_equal(policy_parse(&p, rows[i].text, &err), ST_INVALID);
        if (!strstr(err.text, rows[i].message))
            fail_msg("'%s' says '%s', not '%s'", rows[i].text, err.text, rows[i].message);
        assert_null(p.row);
        assert_int_equal(p.settings.block_manager, 42);
    }
}

/* The words told of a setting are those that it takes. */
static void take_each(void *context, const char *key, const char *const *values) {
    uint32_t *n = context;
    for (; *values; values++, ++*n) {
        char text[64];
        bool is_of_v0 = strcmp(key, "host_full") == 0;
        snprintf(text, sizeof(text), "%s,%s=%s", is_of_v0 ? "vllm-v0-swap" : "adaptive", key,
                 *values);
        policy p = parse(text);
        if (!strstr(tell(&p).at, text + strcspn(text, ","))) fail_msg("%s is not set", text);
    }
}

static void each_word_that_is_told_is_taken(void **state) {
    (void)state;
    uint32_t n = 0;
    policy_each_choice(take_each, &n);
    assert_int_equal(n, N_ORDERS + N_HOST_FULL + N_MECHANISMS + N_VICTIMS);
}

static void a_text_too_long_is_refused(void **state) {
    (void)state;
    char text[400];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    errbuf err = {0};
    policy p;
    assert_int_equal(policy_parse(&p, text, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "399 characters is too long (at most 255)"));
}

static void told_settings_are_read_back_as_they_were(void **state) {
    (void)state;
    static const char *const texts[] = {
        "vllm-v0-recompute",
        "vllm-v0-swap,watermark=0.125,order=priority,host_full=recompute,block_manager=1",
        "vllm-v0-swap,chunked=on,fcfs_resort=on",
        "vllm-v1",
        "vllm-v1,watermark=0.05,long_prefill_threshold=16,full_isl=off,prefix_cache=off",
        "sglang,conservativeness=1.25",
        "lightllm,router_token_ratio=0.5",
        "past-future,seed=4294967295",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        policy p = parse(texts[i]);
        told_text told = tell(&p);
        policy again = parse(told.at);
        assert_ptr_equal(again.row, p.row);
        assert_string_equal(tell(&again).at, told.at);
        assert_int_equal(again.settings.swap, p.settings.swap);
    }
}

static void count_setting(void *context, const char *key, const char *value) {
    (void)key, (void)value;
    ++*(size_t *)context;
}

static void every_key_of_a_row_is_told(void **state) {
    (void)state;
    size_t n_rows;
    const policy_row *rows = policy_rows(&n_rows);
    for (size_t i = 0; i < n_rows; i++) {
        size_t n_told = 0, n_keys = rows[i].keys[0] != '\0';
        policy p = parse(rows[i].name);
        policy_each_setting(&p, count_setting, &n_told);
        for (const char *c = rows[i].keys; *c; c++) n_keys += *c == ' ';
        assert_int_equal(n_told, n_keys);
    }
}

/* Exactly one of a before b and b before a, and no cycles: all pairs and triples of a small
 * space of arrivals, priorities and ids. */
static void orders_are_strict_and_total(void **state) {
    (void)state;
    enum { N = 12 };
    sequence s[N];
    for (int i = 0; i < N; i++)
        s[i] =
            (sequence){.req = {.id = (uint64_t)i, .arrival_ns = i / 2 % 3, .priority = i % 2}};
    static const char *const names[] = {"vllm-v1,order=fcfs", "vllm-v1,order=priority"};
    for (int order = 0; order < 2; order++) {
        policy p = parse(names[order]);
        const order_policy *o = policy_order(&p);
        assert_non_null(strstr(names[order], o->name));
        for (int a = 0; a < N; a++) {
            for (int b = 0; b < N; b++) {
                assert_int_equal(o->before(&s[a], &s[b]) + o->before(&s[b], &s[a]), a != b);
                for (int c = 0; c < N; c++)
                    if (o->before(&s[a], &s[b]) && o->before(&s[b], &s[c]))
                        assert_true(o->before(&s[a], &s[c]));
            }
        }
    }
}

static void priority_comes_before_arrival_only_in_its_order(void **state) {
    (void)state;
    sequence early = {.req = {.id = 0, .arrival_ns = 0, .priority = 1}};
    sequence urgent = {.req = {.id = 1, .arrival_ns = 9, .priority = 0}};
    policy fcfs = parse("vllm-v1"), priority = parse("vllm-v1,order=priority");
    assert_true(policy_order(&fcfs)->before(&early, &urgent));
    assert_true(policy_order(&priority)->before(&urgent, &early));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_alone_gives_the_defaults_of_its_row),
        cmocka_unit_test(the_defaults_are_those_of_upstream),
        cmocka_unit_test(settings_replace_defaults),
        cmocka_unit_test(wrong_texts_are_refused_with_what_would_be_right),
        cmocka_unit_test(each_word_that_is_told_is_taken),
        cmocka_unit_test(a_text_too_long_is_refused),
        cmocka_unit_test(told_settings_are_read_back_as_they_were),
        cmocka_unit_test(every_key_of_a_row_is_told),
        cmocka_unit_test(orders_are_strict_and_total),
        cmocka_unit_test(priority_comes_before_arrival_only_in_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
