/* test_specs.c - the tables of models and devices. */
#include "device_spec.h"
#include "model_spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Parameters: as published with the weights (the total of the safetensors index, or the count
 * that training logs print); those of OPT-6.7B and OPT-30B follow by hand from their shapes, in
 * the way that gives the published 1.3B and 13B. */
static const struct {
    const char *name;
    uint64_t n_parameters, kv_bytes_per_token;
} published[] = {
    {"opt-1.3b", 1315758080, 196608},       {"opt-6.7b", 6658473984, 524288},
    {"opt-13b", 12853473280, 819200},       {"opt-30b", 29974540288, 1376256},
    {"llama-2-7b", 6738415616, 524288},     {"llama-2-13b", 13015864320, 819200},
    {"llama-2-70b", 68976648192, 327680},   {"llama-3-8b", 8030261248, 131072},
    {"llama-3-70b", 70553706496, 327680},   {"mistral-7b", 7248023552, 131072},
    {"qwen2.5-7b", 7615616512, 57344},      {"qwen3-32b", 32762123264, 262144},
    {"codellama-34b", 33743970304, 196608},
};
enum { N_PUBLISHED = sizeof(published) / sizeof(published[0]) };

static void parameter_counts_are_the_published_ones(void **state) {
    (void)state;
    size_t n;
    model_specs(&n);
    assert_int_equal(n, N_PUBLISHED);
    for (size_t i = 0; i < N_PUBLISHED; i++) {
        const model_spec *m = model_spec_find(published[i].name);
        assert_non_null(m);
        assert_int_equal(model_n_parameters(m), published[i].n_parameters);
    }
}

static void kv_bytes_follow_from_the_kv_heads(void **state) {
    (void)state;
    for (size_t i = 0; i < N_PUBLISHED; i++)
        assert_int_equal(model_kv_bytes_per_token(model_spec_find(published[i].name), 1),
                         published[i].kv_bytes_per_token);
}

static void kv_is_split_over_devices_until_one_head_is_left(void **state) {
    (void)state;
    const model_spec *m = model_spec_find("qwen2.5-7b"); /* 4 KV heads */
    assert_int_equal(model_kv_bytes_per_token(m, 2), 28672);
    assert_int_equal(model_kv_bytes_per_token(m, 4), 14336);
    assert_int_equal(model_kv_bytes_per_token(m, 8), 14336);
}

static void model_shapes_hang_together(void **state) {
    (void)state;
    size_t n;
    const model_spec *models = model_specs(&n);
    for (size_t i = 0; i < n; i++) {
        const model_spec *m = &models[i];
        assert_int_equal(m->n_heads % m->n_kv_heads, 0);
        assert_true(m->head_dim == 64 || m->head_dim == 128);
        assert_int_equal(m->bytes_per_value, 2);
        assert_true(m->n_positions == 0 || m->n_positions >= m->max_model_len);
        assert_ptr_equal(model_spec_find(m->name), m); /* so names are distinct */
    }
}

static void devices_keep_their_names_and_order(void **state) {
    (void)state;
    static const char *const names[] = {"h200", "h100-80g", "a100-80g",    "a100-40g",
                                        "l40s", "rtx4090",  "rtx-pro-6000"};
    size_t n;
    const device_spec *devices = device_specs(&n);
    assert_int_equal(n, sizeof(names) / sizeof(names[0]));
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(devices[i].name, names[i]);
        assert_ptr_equal(device_spec_find(names[i]), &devices[i]);
    }
}

static void device_limits_are_plausible(void **state) {
    (void)state;
    size_t n;
    const device_spec *devices = device_specs(&n);
    for (size_t i = 0; i < n; i++) {
        const device_spec *d = &devices[i];
        assert_in_range(d->n_sms, 64, 256);
        assert_in_range(d->family, 0, N_GPU_FAMILIES - 1);
        assert_true(d->peak_flops > 1e14 && d->peak_flops < 1e16);
        assert_true(d->memory_bytes > 20e9 && d->memory_bytes_per_s > 5e11);
        assert_true(d->link_bytes_per_s < d->memory_bytes_per_s);
        assert_true(d->link_both_bytes_per_s > d->link_bytes_per_s);
        assert_true(d->link_both_bytes_per_s <= 2 * d->link_bytes_per_s);
        assert_true(d->copy_launch_s > 0 && d->peer_latency_s > 0 && d->peer_bytes_per_s > 0);
    }
}

static void unknown_names_are_not_found(void **state) {
    (void)state;
    assert_null(model_spec_find("llama-3-9b"));
    assert_null(model_spec_find(""));
    assert_null(device_spec_find("h300"));
    assert_null(device_spec_find("H200"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameter_counts_are_the_published_ones),
        cmocka_unit_test(kv_bytes_follow_from_the_kv_heads),
        cmocka_unit_test(kv_is_split_over_devices_until_one_head_is_left),
        cmocka_unit_test(model_shapes_hang_together),
        cmocka_unit_test(devices_keep_their_names_and_order),
        cmocka_unit_test(device_limits_are_plausible),
        cmocka_unit_test(unknown_names_are_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
