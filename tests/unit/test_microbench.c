/* The microbenchmarks against a device whose times are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bench_design.h"
#include "latency_analytic.h"
#include "microbench.h"
#include "virtual_device.h"

#include <cmocka.h>

static microbench_config small_config(void) {
    microbench_config c = microbench_config_defaults();
    c.max_batched_tokens = 2048;
    c.max_seqs = 64;
    c.max_model_len = 4096;
    c.n_device_blocks = 4096;
    c.n_host_blocks = 4096;
    c.n_layers = 32;
    c.block_bytes = 2 << 20;
    c.n_iterations = 200;
    c.n_copies = 60;
    c.n_copies_beside = 30;
    c.seed = 7;
    return c;
}

static void every_point_stays_within_the_bounds(void **state) {
    (void)state;
    microbench_config c = small_config();
    c.n_iterations = 5000;
    c.n_copies = c.n_copies_beside = 1000;
    uint32_t n_prefill = 0, n_decode = 0, n_both = 0;
    for (uint32_t i = 0; i < bench_design_n_points(&c); i++) {
        bench_point p = bench_design_point(&c, i);
        uint32_t n_tokens = p.n_decode;
        for (uint32_t j = 0; j < p.n_chunks; j++) {
            assert_true(p.chunks[j].n_tokens > 0);
            assert_true(p.chunks[j].n_before + p.chunks[j].n_tokens < c.max_model_len);
            n_tokens += p.chunks[j].n_tokens;
        }
        bool beside = i >= c.n_iterations + c.n_copies;
        if (i >= c.n_iterations) {
            assert_true(p.n_blocks >= 1 && p.n_blocks <= c.n_host_blocks / (beside ? 16 : 8));
            assert_true(p.run_blocks >= 1 && p.run_blocks <= p.n_blocks);
            assert_true(p.n_chunks == 0 && (p.n_decode > 0) == beside);
            if (!beside) continue;
        }
        assert_true(n_tokens >= 1 && n_tokens <= c.max_batched_tokens);
        assert_true(p.n_decode <= c.max_seqs);
        assert_true(p.mean_context * 3 / 2 <= c.max_model_len);
        uint64_t n_kv = (uint64_t)p.n_decode * p.mean_context;
        for (uint32_t j = 0; j < p.n_chunks; j++)
            n_kv += p.chunks[j].n_before + p.chunks[j].n_tokens;
        assert_true(n_kv <= 2 * bench_design_half_pool(&c));
        n_prefill += p.n_chunks > 0 && p.n_decode == 0;
        n_decode += p.n_chunks == 0 && !beside;
        n_both += p.n_chunks > 0 && p.n_decode > 0;
    }
    assert_true(n_prefill > 1500 && n_decode > 1200 && n_both > 1200);
}

typedef struct check {
    const latency_source *latency;
    uint32_t n_iterations, n_copies, n_busy, n_beside;
    double worst; /* relative distance from the source's own time */
} check;

static double distance(double measured, double expected) {
    double d = measured / expected - 1;
    return d < 0 ? -d : d;
}

static status compare_with_source(void *context, const sample *s, uint32_t n_done,
                                  uint32_t n_points, errbuf *err) {
    (void)err;
    check *c = context;
    assert_true(n_done >= 1 && n_done <= n_points);
    const latency_source *l = c->latency;
    double d;
    if (s->op == OP_ITERATION) {
        c->n_iterations++;
        assert_int_equal(s->batch.n_tokens, s->batch.n_prefill_tokens + s->batch.n_decode);
        d = distance(s->seconds, l->iteration_s(l->context, &s->batch));
    } else {
        c->n_copies++;
        double alone =
            l->copy_s(l->context, s->op == OP_SWAP_OUT ? LINK_TO_HOST : LINK_TO_DEVICE,
                      s->bytes, s->n_segments, s->compute_busy);
        if (s->other_direction_busy) alone *= l->copy_slowdown(l->context);
        c->n_busy += s->other_direction_busy;
        c->n_beside += s->compute_busy;
        d = distance(s->seconds, alone);
    }
    if (d > c->worst) c->worst = d;
    return ST_OK;
}

static void run(double noise, check *c, const microbench_config *config) {
    errbuf err = {0};
    latency_source latency;
    executor device;
    assert_int_equal(latency_analytic_create(&latency, device_spec_find("h200"),
                                             model_spec_find("llama-3-8b"), 1, &err),
                     ST_OK);
    virtual_device_config d = {.latency = latency,
                               .noise = noise,
                               .seed = 3,
                               .block_bytes = config->block_bytes,
                               .n_layers = config->n_layers};
    assert_int_equal(virtual_device_create(&device, &d, &err), ST_OK);
    *c = (check){.latency = &latency};
    assert_int_equal(microbench_run(&device, config, compare_with_source, c, &err), ST_OK);
    device.destroy(device.context);
    latency.destroy(latency.context);
}

static void a_device_without_noise_is_measured_exactly(void **state) {
    (void)state;
    microbench_config config = small_config();
    check c;
    run(0, &c, &config);
    assert_int_equal(c.n_iterations, config.n_iterations);
    assert_int_equal(c.n_copies, config.n_copies + config.n_copies_beside);
    assert_int_equal(c.n_beside, config.n_copies_beside);
    assert_true(c.n_busy > 10);
    assert_true(c.worst < 1e-3); /* times are whole nanoseconds */
}

static void noise_is_averaged_out_to_the_asked_precision(void **state) {
    (void)state;
    microbench_config config = small_config();
    config.precision = 0.005;
    config.n_repeats_max = 60;
    check c;
    run(0.01, &c, &config);
    assert_true(c.worst < 0.02);
    assert_true(c.worst > 1e-4);
}

/* A device that looks at the plans before it runs them. */
typedef struct watched_device {
    executor inner;
    uint32_t n_both;   /* plans with copies in both directions */
    uint32_t n_beside; /* and with decodes beside copies */
    uint32_t n_same;   /* copies that begin where the one before began */
    uint32_t n_plans, first_block;
    uint32_t n_device_blocks, n_host_blocks;
} watched_device;

static void assert_leaves_alone(const plan *p, uint32_t block) {
    for (uint32_t id = 0; p->runs_cohort && id < p->seqs->n_touched; id++) {
        const sequence *q = &p->seqs->seqs[id];
        for (uint32_t i = 0; q->state == SEQ_RUNNING && i < q->n_slots; i++)
            assert_int_not_equal(q->slots[i].device, block);
    }
}

static status admit_watched(void *context, const sequence_table *seqs, uint32_t seq,
                            uint32_t n_output) {
    watched_device *w = context;
    const sequence *q = &seqs->seqs[seq];
    for (uint32_t i = 0; i < q->n_slots; i++)
        assert_true(q->slots[i].device < w->n_device_blocks);
    return w->inner.admit(w->inner.context, seqs, seq, n_output);
}

static status submit_watched(void *context, const plan *p, errbuf *err) {
    watched_device *w = context;
    w->n_both += p->n_copies == 2;
    w->n_beside += p->n_copies > 0 && p->runs_cohort;
    if (p->n_copies > 0) {
        uint32_t first = p->pairs[p->copies[p->n_copies - 1].first_pair].device;
        w->n_same += w->n_plans++ > 0 && first == w->first_block;
        w->first_block = first;
    }
    for (uint32_t i = 0; i < p->n_pairs; i++) {
        assert_true(p->pairs[i].device < w->n_device_blocks);
        assert_true(p->pairs[i].host < w->n_host_blocks);
        assert_leaves_alone(p, p->pairs[i].device);
        for (uint32_t j = 0; j < i; j++) {
            assert_int_not_equal(p->pairs[i].device, p->pairs[j].device);
            assert_int_not_equal(p->pairs[i].host, p->pairs[j].host);
        }
    }
    return w->inner.submit(w->inner.context, p, err);
}

static status next_watched(void *context, int64_t until_ns, completion *out, errbuf *err) {
    watched_device *w = context;
    return w->inner.next(w->inner.context, until_ns, out, err);
}

static status count_only(void *context, const sample *s, uint32_t n_done, uint32_t n_points,
                         errbuf *err) {
    (void)context, (void)s, (void)n_done, (void)n_points, (void)err;
    return ST_OK;
}

/* What real threads would copy at once. */
static void copies_and_decodes_share_no_block(void **state) {
    (void)state;
    const uint32_t pools[][2] = {{300, 300}, {600, 300}, {300, 600}, {300, 8}, {301, 9}};
    for (size_t i = 0; i < sizeof(pools) / sizeof(*pools); i++) {
        microbench_config c = small_config();
        c.n_device_blocks = pools[i][0];
        c.n_host_blocks = pools[i][1];
        c.n_iterations = 0;
        c.n_copies = 100;
        c.n_copies_beside = pools[i][1] >= 16 ? 40 : 0;
        c.n_repeats_max = 3;
        latency_source latency;
        errbuf err = {0};
        assert_int_equal(latency_analytic_create(&latency, device_spec_find("h200"),
                                                 model_spec_find("llama-3-8b"), 1, &err),
                         ST_OK);
        virtual_device_config d = {
            .latency = latency, .block_bytes = c.block_bytes, .n_layers = c.n_layers};
        watched_device w = {.n_device_blocks = pools[i][0], .n_host_blocks = pools[i][1]};
        assert_int_equal(virtual_device_create(&w.inner, &d, &err), ST_OK);
        executor watched = {.admit = admit_watched,
                            .submit = submit_watched,
                            .next = next_watched,
                            .context = &w};
        assert_int_equal(microbench_run(&watched, &c, count_only, NULL, &err), ST_OK);
        assert_true(w.n_both > 20);
        if (pools[i][1] >= 300) assert_true(w.n_same * 10 < w.n_plans);
        assert_true(w.n_beside >= 3 * c.n_copies_beside);
        w.inner.destroy(w.inner.context);
        latency.destroy(latency.context);
    }
}

/* Ends with an error of the executor if a point does not fit. */
static void a_small_pool_bounds_the_points(void **state) {
    (void)state;
    microbench_config config = small_config();
    config.n_device_blocks = 300;
    config.max_batched_tokens = 8192;
    config.n_iterations = 500;
    check c;
    run(0, &c, &config);
    assert_int_equal(c.n_iterations, config.n_iterations);
}

static void bounds_without_room_for_a_point_are_refused(void **state) {
    (void)state;
    errbuf err = {0};
    executor none = {0};
    microbench_config c = small_config();
    c.n_device_blocks = 100;
    assert_int_equal(microbench_run(&none, &c, compare_with_source, NULL, &err), ST_INVALID);
    assert_non_null(strstr(err.text, "--kv-gib"));
    c = small_config();
    c.n_host_blocks = 0;
    assert_int_equal(microbench_run(&none, &c, compare_with_source, NULL, &err), ST_INVALID);
    c = small_config();
    c.max_batched_tokens = 1;
    assert_int_equal(microbench_run(&none, &c, compare_with_source, NULL, &err), ST_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_point_stays_within_the_bounds),
        cmocka_unit_test(a_device_without_noise_is_measured_exactly),
        cmocka_unit_test(noise_is_averaged_out_to_the_asked_precision),
        cmocka_unit_test(copies_and_decodes_share_no_block),
        cmocka_unit_test(a_small_pool_bounds_the_points),
        cmocka_unit_test(bounds_without_room_for_a_point_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
