/* test_latency_measured.c - look-ups in measured samples: grids, attention, skew, whole
 * sources; and points of the real tables that were held out. */
#include "latency_analytic.h"
#include "latency_measured.h"
#include "measured_attention.h"
#include "skew_table.h"

#include "import.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const sample_list none = {0};

static void assert_near(double value, double expected, double share) {
    if (fabs(value - expected) > share * fabs(expected) + 1e-15)
        fail_msg("%.12g is not %.12g", value, expected);
}

/* ------------------------------------------------------------ unequal contexts */

static sample decode_sample(const char *part, uint32_t n, uint64_t mean, uint64_t longest,
                            double seconds) {
    sample s = {.op = OP_DECODE_ATTENTION, .tp = 1, .seconds = seconds, .n_repeats = 1};
    snprintf(s.part, sizeof(s.part), "%s", part);
    batch_shape_add_decodes(&s.batch, n, n * mean, longest);
    return s;
}

static double alpha_of(sample_list list, sample_list other, uint32_t n, uint64_t mean,
                       uint64_t longest) {
    skew_table *t;
    assert_int_equal(skew_table_create(&t, list, other), ST_OK);
    batch_shape b = {0};
    batch_shape_add_decodes(&b, n, n * mean, longest);
    double alpha = skew_table_alpha(t, &b);
    skew_table_destroy(t);
    return alpha;
}

static void alpha_is_the_share_of_the_gap_that_was_measured(void **state) {
    (void)state;
    const sample triple[] = {decode_sample("skew_mean", 8, 100, 100, 10e-6),
                             decode_sample("skew_longest", 8, 400, 400, 30e-6),
                             decode_sample("skew", 8, 100, 400, 15e-6)};
    const sample_list list = {triple, 3};
    assert_near(alpha_of(list, none, 8, 100, 400), 0.25, 1e-12);
    assert_near(alpha_of(none, list, 8, 100, 400), 0.25, 1e-12);
    assert_near(alpha_of(none, none, 8, 100, 400), 0, 0);
}

static void alpha_stays_within_0_and_1(void **state) {
    (void)state;
    sample triple[] = {decode_sample("skew_mean", 8, 100, 100, 10e-6),
                       decode_sample("skew_longest", 8, 400, 400, 30e-6),
                       decode_sample("skew", 8, 100, 400, 90e-6)};
    const sample_list list = {triple, 3};
    assert_near(alpha_of(list, none, 8, 100, 400), 1, 0);
    triple[2].seconds = 1e-6;
    assert_near(alpha_of(list, none, 8, 100, 400), 0, 0);
}

/* ------------------------------------------------------------ attention */

/* Times of kernels whose truth is simple: linear in pairs and contexts. */
static double decode_truth(double n, double context) {
    return 5e-6 + n * context * 1e-9;
}

static double prefill_truth(double n_new, double cached) {
    return 4e-6 + n_new * (cached + n_new / 2) * 1e-10;
}

enum { PLAIN_MAX = 512 };

typedef struct plain_samples {
    sample samples[PLAIN_MAX];
    size_t n;
} plain_samples;

static sample *add(plain_samples *p, operation op, const char *part, double seconds) {
    assert_true(p->n < PLAIN_MAX);
    sample *s = &p->samples[p->n++];
    *s = (sample){.op = op, .tp = 1, .seconds = seconds, .n_repeats = 1};
    snprintf(s->part, sizeof(s->part), "%s", part);
    return s;
}

static void add_mixed(plain_samples *p, uint32_t n, uint32_t n_new, uint32_t cached,
                      uint32_t context) {
    double alone = decode_truth(n, context) + prefill_truth(n_new, cached);
    sample *s = add(p, OP_MIXED_ATTENTION, "", 2 * alone);
    batch_shape_add_chunk(&s->batch, cached, n_new, false);
    batch_shape_add_decodes(&s->batch, n, (uint64_t)n * context, 0);
}

static void add_attention(plain_samples *p, bool with_mixed) {
    for (uint32_t n = 1; n <= 16; n *= 4)
        for (uint32_t context = 16; context <= 4096; context *= 16)
            batch_shape_add_decodes(
                &add(p, OP_DECODE_ATTENTION, "", decode_truth(n, context))->batch, n,
                (uint64_t)n * context, 0);
    for (uint32_t n_new = 16; n_new <= 1024; n_new *= 8)
        for (uint32_t cached = 0; cached <= 2048; cached += 1024)
            batch_shape_add_chunk(
                &add(p, OP_PREFILL_ATTENTION, "", prefill_truth(n_new, cached))->batch, cached,
                n_new, false);
    for (uint32_t n = 1; with_mixed && n <= 16; n *= 4)
        for (uint32_t n_new = 16; n_new <= 1024; n_new *= 8)
            for (uint32_t cached = 0; cached <= 2048; cached += 1024)
                for (uint32_t context = 16; context <= 4096; context *= 16)
                    add_mixed(p, n, n_new, cached, context);
}

static measured_attention *make_attention(const plain_samples *p) {
    measured_attention *a;
    errbuf err = {0};
    if (measured_attention_create(&a, (head_shape){32, 8, 128}, (sample_list){p->samples, p->n},
                                  none, &err) != ST_OK)
        fail_msg("%s", err.text);
    return a;
}

static batch_shape mixed_batch(uint32_t n_decode, uint32_t context, uint32_t n_new,
                               uint32_t cached) {
    batch_shape b = {0};
    batch_shape_add_decodes(&b, n_decode, (uint64_t)n_decode * context, context);
    if (n_new) batch_shape_add_chunk(&b, cached, n_new, true);
    return b;
}

static double attention_of(const measured_attention *a, batch_shape b) {
    return measured_attention_s(a, &b);
}

static void mixed_attention_is_a_kernel_of_its_own(void **state) {
    (void)state;
    static plain_samples p = {0};
    add_attention(&p, true);
    measured_attention *a = make_attention(&p);
    double decode = attention_of(a, mixed_batch(4, 256, 0, 0));
    assert_near(decode, decode_truth(4, 256), 1e-12);
    double fewest = attention_of(a, mixed_batch(4, 256, 16, 0));
    assert_near(fewest, 2 * (decode_truth(4, 256) + prefill_truth(16, 0)), 1e-12);
    /* 2 to 15 new tokens cost what 16 do: nothing lies between 16 and none. */
    for (uint32_t n_new = 2; n_new < 16; n_new++)
        assert_true(attention_of(a, mixed_batch(4, 256, n_new, 0)) > 0.999 * fewest);
    /* A chunk of one token is a decode. */
    assert_near(attention_of(a, mixed_batch(3, 256, 1, 255)), decode, 1e-12);
    measured_attention_destroy(a);
}

static void several_chunks_count_by_their_pairs(void **state) {
    (void)state;
    static plain_samples p = {0};
    add_attention(&p, true);
    measured_attention *a = make_attention(&p);
    batch_shape one = mixed_batch(4, 256, 1024, 0), two = mixed_batch(4, 256, 512, 0);
    batch_shape_add_chunk(&two, 0, 512, true);
    double one_s = attention_of(a, one), two_s = attention_of(a, two);
    /* Half of the pairs: 1024^2 / 2 becomes 2 x 512^2 / 2. */
    assert_near(one_s - two_s, 2 * 1e-10 * (1024.0 * 1024 / 4), 0.02);
    measured_attention_destroy(a);
}

static void without_mixed_samples_the_two_kernels_follow_each_other(void **state) {
    (void)state;
    static plain_samples p = {0};
    add_attention(&p, false);
    measured_attention *a = make_attention(&p);
    assert_near(attention_of(a, mixed_batch(4, 256, 128, 1024)),
                decode_truth(4, 256) + prefill_truth(128, 1024), 1e-3);
    measured_attention_destroy(a);
}

static void fewer_heads_are_folded_into_the_batch(void **state) {
    (void)state;
    static plain_samples p = {0};
    for (uint32_t n = 1; n <= 64; n *= 2)
        for (uint32_t context = 16; context <= 4096; context *= 16) {
            sample *s = add(&p, OP_DECODE_ATTENTION, "", decode_truth(n, context));
            batch_shape_add_decodes(&s->batch, n, (uint64_t)n * context, 0);
            s->n_heads = 8;
            s->n_kv_heads = 2;
            s->head_dim = 128;
        }
    sample *s = add(&p, OP_PREFILL_ATTENTION, "", 1e-3);
    batch_shape_add_chunk(&s->batch, 0, 64, false);
    measured_attention *a = make_attention(&p); /* of 32 / 8 heads: 4 times as many */
    assert_near(attention_of(a, mixed_batch(2, 256, 0, 0)), decode_truth(8, 256), 1e-12);
    measured_attention_destroy(a);
}

/* ------------------------------------------------------------ whole sources */

/* Every operator of a dense model, each with its own time per token; the head per sequence. */
static void add_operators(plain_samples *p, double scale) {
    static const char *const parts[] = {"embedding",  "layernorm", "qkv_proj",
                                        "rotary_emb", "o_proj",    "gate_up_proj",
                                        "act_fn",     "down_proj", "final_layernorm"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        for (uint32_t n = 1; n <= 4096; n *= 64)
            add(p, OP_LAYER, parts[i], scale * (double)(i + 1) * (1e-6 + n * 1e-8))
                ->batch.n_tokens = n;
    for (uint32_t n = 1; n <= 256; n *= 16) {
        add(p, OP_PER_SEQUENCE, "lm_head", scale * (1e-4 + n * 1e-7))->batch.n_sampled = n;
        add(p, OP_PER_SEQUENCE, "sampler", scale * 2e-5)->batch.n_sampled = n;
    }
    add_attention(p, true);
}

static latency_source make_source(measured_config config) {
    latency_source l;
    errbuf err = {0};
    config.device = device_spec_find("rtx-pro-6000");
    if (latency_measured_create(&l, &config, &err) != ST_OK) fail_msg("%s", err.text);
    return l;
}

static double iteration_of(const latency_source *l, batch_shape b) {
    return l->iteration_s(l->context, &b);
}

static void an_iteration_is_layers_times_operators_and_the_rest(void **state) {
    (void)state;
    static plain_samples p = {0};
    add_operators(&p, 1);
    const model_spec *m = model_spec_find("llama-3-8b");
    latency_source l = make_source(
        (measured_config){.model = m, .tp = 1, .own = {p.samples, p.n}, .host_step_s = 3e-4});
    assert_int_equal(latency_measured_way(&l), MEASURED_OPERATORS);
    /* 64 decodes: in a layer 2 norms (2 each) and operators 3 to 8; once 1 and 9. */
    double unit = 1e-6 + 64e-8;
    double layer = (2 * 2 + 3 + 4 + 5 + 6 + 7 + 8) * unit;
    double head = 1e-4 + 64e-7 + 2e-5;
    batch_shape b = mixed_batch(16, 256, 0, 0);
    b.n_tokens = 64; /* operators go by tokens, attention by decodes, the head by samples */
    b.n_sampled = 64;
    double expected =
        m->n_layers * (layer + decode_truth(16, 256)) + (1 + 9) * unit + head + 3e-4;
    assert_near(iteration_of(&l, b), expected, 1e-9);
    l.destroy(l.context);
}

static void a_missing_operator_is_named(void **state) {
    (void)state;
    static plain_samples p = {0};
    add_operators(&p, 1);
    for (size_t i = 0; i < p.n; i++)
        if (strcmp(p.samples[i].part, "down_proj") == 0)
            strcpy(p.samples[i].part, "up_side_down_proj");
    latency_source l;
    errbuf err = {0};
    measured_config config = {.device = device_spec_find("rtx-pro-6000"),
                              .model = model_spec_find("llama-3-8b"),
                              .tp = 1,
                              .own = {p.samples, p.n}};
    assert_int_equal(latency_measured_create(&l, &config, &err), ST_NOT_FOUND);
    assert_non_null(strstr(err.text, "second MLP matrix"));
}

static void scaling_takes_over_what_another_model_gains(void **state) {
    (void)state;
    static plain_samples single = {0}, faster = {0};
    add_operators(&single, 1);
    add_operators(&faster, 0.5);
    const model_spec *m = model_spec_find("qwen3-32b");
    const sample_list one = {single.samples, single.n};
    latency_source alone = make_source((measured_config){.model = m, .tp = 1, .own = one});
    latency_source two =
        make_source((measured_config){.model = m,
                                      .tp = 2,
                                      .reference_model = model_spec_find("llama-3-8b"),
                                      .single = one,
                                      .reference_single = one,
                                      .reference_tp = {faster.samples, faster.n}});
    assert_int_equal(latency_measured_way(&two), MEASURED_SCALED);
    batch_shape b = mixed_batch(16, 256, 0, 0);
    double attention = m->n_layers * decode_truth(16, 256); /* which gains nothing here */
    double hidden = 16.0 * m->hidden * 2, logits = 16.0 * m->vocab * 2;
    const device_spec *d = device_spec_find("rtx-pro-6000");
    double reduces =
        (2 * m->n_layers + 1) * (d->peer_latency_s + hidden / d->peer_bytes_per_s) +
        d->peer_latency_s + logits / 2 / d->peer_bytes_per_s;
    assert_near(iteration_of(&two, b),
                (iteration_of(&alone, b) - attention) / 2 + attention + reduces, 1e-9);
    alone.destroy(alone.context);
    two.destroy(two.context);
}

static void whole_iterations_correct_the_analytic_time(void **state) {
    (void)state;
    const model_spec *m = model_spec_find("llama-3-8b");
    const device_spec *d = device_spec_find("rtx-pro-6000");
    latency_source analytic;
    errbuf err = {0};
    assert_int_equal(latency_analytic_create(&analytic, d, m, 1, &err), ST_OK);
    static plain_samples p = {0};
    for (uint32_t n = 1; n <= 128; n *= 2) {
        batch_shape b = mixed_batch(n, 500, 0, 0);
        sample *s = add(&p, OP_ITERATION, "", 1.5 * iteration_of(&analytic, b));
        s->batch = b;
        s->deviation_s = 0.02 * s->seconds;
    }
    latency_source l =
        make_source((measured_config){.model = m, .tp = 1, .own = {p.samples, p.n}});
    assert_int_equal(latency_measured_way(&l), MEASURED_ITERATIONS);
    assert_near(latency_measured_noise(&l), 0.02, 1e-9);
    for (uint32_t n = 1; n <= 128; n += 9)
        assert_near(iteration_of(&l, mixed_batch(n, 700, 0, 0)),
                    1.5 * iteration_of(&analytic, mixed_batch(n, 700, 0, 0)), 1e-9);
    l.destroy(l.context);
    analytic.destroy(analytic.context);
}

/* ------------------------------------------------------------ real tables */

/* Reads the attention table of the RTX PRO 6000; false: it is not here. */
static bool read_attention_table(imported *out) {
    const char *shared = getenv("ADAPTIVELLM_SHARED_DATA");
    char path[512];
    snprintf(path, sizeof(path),
             "%s/profiles/llmservingsim/rtxpro6000/llama-3.1-8b_tp1_attention.csv",
             shared ? shared : ".");
    FILE *file = fopen(path, "r");
    if (!file) return false;
    fclose(file);
    char *files[] = {path};
    import_options options = {0};
    errbuf err = {0};
    if (profile_read_format(out, "llmservingsim", files, 1, &options, &err) != ST_OK)
        fail_msg("%s", err.text);
    return true;
}

/* One point in 41 is left out and looked up between the others. */
static void points_that_were_held_out_are_found_within_4_percent(void **state) {
    (void)state;
    imported all;
    if (!read_attention_table(&all)) {
        print_message("no shared data: skipped\n");
        skip();
    }
    const sample *from = all.groups[0].samples;
    size_t n = all.groups[0].n, n_kept = 0, n_held = 0;
    sample *kept = malloc(n * sizeof(*kept));
    assert_non_null(kept);
    for (size_t i = 0; i < n; i++)
        if (i % 41 != 20) kept[n_kept++] = from[i];
    measured_attention *a;
    errbuf err = {0};
    assert_int_equal(measured_attention_create(&a, (head_shape){32, 8, 128},
                                               (sample_list){kept, n_kept}, none, &err),
                     ST_OK);
    double sum = 0;
    for (size_t i = 20; i < n; i += 41, n_held++)
        sum += fabs(measured_attention_s(a, &from[i].batch) / from[i].seconds - 1);
    print_message("held out: %zu points, mean error %.2f %%\n", n_held, 100 * sum / n_held);
    assert_true(sum / (double)n_held < 0.04);
    measured_attention_destroy(a);
    free(kept);
    imported_finish(&all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alpha_is_the_share_of_the_gap_that_was_measured),
        cmocka_unit_test(alpha_stays_within_0_and_1),
        cmocka_unit_test(mixed_attention_is_a_kernel_of_its_own),
        cmocka_unit_test(several_chunks_count_by_their_pairs),
        cmocka_unit_test(without_mixed_samples_the_two_kernels_follow_each_other),
        cmocka_unit_test(fewer_heads_are_folded_into_the_batch),
        cmocka_unit_test(an_iteration_is_layers_times_operators_and_the_rest),
        cmocka_unit_test(a_missing_operator_is_named),
        cmocka_unit_test(scaling_takes_over_what_another_model_gains),
        cmocka_unit_test(whole_iterations_correct_the_analytic_time),
        cmocka_unit_test(points_that_were_held_out_are_found_within_4_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
