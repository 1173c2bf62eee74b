/* test_model.c - random models are written, split into shards, and opened. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model.h"
#include "model_folder.h"
#include "model_init.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What a tensor must be besides its size; sums of its values. */
typedef struct moments {
    double mean, deviation;
    size_t n_zeros;
} moments;

static moments measure(const tensor_view *t) {
    size_t n = (size_t)t->rows * t->cols;
    double sum = 0, squares = 0;
    moments m = {0};
    for (size_t i = 0; i < n; i++) {
        float x;
        tensor_to_floats(&x, t, i, 1);
        sum += x;
        squares += (double)x * x;
        m.n_zeros += x == 0;
    }
    m.mean = sum / (double)n;
    m.deviation = sqrt(squares / (double)n - m.mean * m.mean);
    return m;
}

static void assert_shape(const tensor_view *t, uint32_t rows, uint32_t cols) {
    assert_non_null(t->data);
    assert_int_equal(t->rows, rows);
    assert_int_equal(t->cols, cols);
    assert_int_equal(measure(t).n_zeros, 0);
}

static void assert_equal_tensors(const tensor_view *a, const tensor_view *b) {
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->cols, b->cols);
    assert_int_equal(a->dtype, b->dtype);
    assert_memory_equal(a->data, b->data,
                        (size_t)a->rows * a->cols * tensor_dtype_bytes(a->dtype));
}

/* ------------------------------------------------------------ what is written can be read */

static void random_models_of_every_kind_open_with_their_shapes(void **state) {
    (void)state;
    for (int arch = 0; arch < N_MODEL_ARCHS; arch++)
        for (int dtype = 0; dtype < N_TENSOR_DTYPES; dtype++) {
            model_folder f = model_folder_make();
            model_init_options o = model_init_defaults((model_arch)arch);
            o.n_layers = 3, o.n_heads = 8, o.n_kv_heads = arch == ARCH_OPT ? 8 : 2;
            o.dtype = (tensor_dtype)dtype;
            if (arch == ARCH_QWEN3) o.head_dim = 24; /* 8 * 24 is not hidden */
            model_folder_init(&f, o.arch, &o);
            model *m = model_folder_open(&f);
            const model_config *c = model_config_of(m);
            const model_weights *w = model_weights_of(m);
            const layer_weights *layer = &w->layers[2];
            uint32_t dim = arch == ARCH_QWEN3 ? 24 : 8;
            assert_int_equal(c->head_dim, dim);
            assert_int_equal(c->dtype, dtype);
            assert_shape(&w->embedding, 256, 64);
            assert_shape(&w->head, 256, 64);
            assert_true((w->head.data == w->embedding.data) == (arch == ARCH_OPT));
            assert_shape(&layer->q.weight, 8 * dim, 64);
            assert_shape(&layer->k.weight, o.n_kv_heads * dim, 64);
            assert_shape(&layer->o.weight, 64, 8 * dim);
            assert_shape(&layer->down.weight, 64, 256);
            assert_int_equal(layer->down.weight.dtype, dtype);
            if (arch == ARCH_OPT) {
                assert_shape(&w->positions, 2050, 64);
                assert_shape(&layer->down.bias, 1, 64);
                assert_null(layer->gate.weight.data);
                assert_shape(&layer->mlp_norm.bias, 1, 64);
            } else {
                assert_shape(&layer->gate.weight, 256, 64);
                assert_null(layer->mlp_norm.bias.data);
            }
            assert_true((layer->q.bias.data != NULL) ==
                        (arch == ARCH_OPT || arch == ARCH_QWEN2));
            assert_true((layer->q_norm.weight.data != NULL) == (arch == ARCH_QWEN3));
            assert_int_equal(model_stored_bytes(m), model_config_bytes(c, o.dtype));
            model_close(m);
            model_folder_remove(&f);
        }
}

static void random_weights_are_normal_and_scaled(void **state) {
    (void)state;
    model_folder f = model_folder_make();
    model_folder_init(&f, ARCH_QWEN2, NULL);
    model *m = model_folder_open(&f);
    const layer_weights *layer = &model_weights_of(m)->layers[1];
    moments matrix = measure(&layer->down.weight); /* 16384 values, deviation 1/16 */
    assert_true(fabs(matrix.mean) < 5 * 0.0625 / 128);
    assert_true(fabs(matrix.deviation / 0.0625 - 1) < 5 * 0.71 / 128);
    moments scale = measure(&layer->mlp_norm.weight), bias = measure(&layer->q.bias);
    assert_true(fabs(scale.mean - 1) < 0.1 && scale.deviation > 0.05);
    assert_true(fabs(bias.mean) < 0.1 && bias.deviation > 0.05);
    model_close(m);
    model_folder_remove(&f);
}

static void the_seed_alone_decides_on_the_bytes(void **state) {
    (void)state;
    file_content files[3];
    for (int i = 0; i < 3; i++) {
        model_folder f = model_folder_make();
        model_init_options o = model_init_defaults(ARCH_LLAMA);
        o.seed = i == 2 ? 8 : 7;
        model_folder_init(&f, o.arch, &o);
        files[i] = model_folder_read(&f, "model.safetensors");
        model_folder_remove(&f);
    }
    assert_int_equal(files[0].n, files[1].n);
    assert_memory_equal(files[0].bytes, files[1].bytes, files[0].n);
    assert_memory_not_equal(files[0].bytes, files[2].bytes, files[0].n);
    for (int i = 0; i < 3; i++) free(files[i].bytes);
}

static void an_existing_model_is_not_overwritten(void **state) {
    (void)state;
    model_folder f = model_folder_make();
    model_folder_init(&f, ARCH_LLAMA, NULL);
    file_content before = model_folder_read(&f, "model.safetensors");
    model_init_options o = model_init_defaults(ARCH_LLAMA);
    o.seed = 2;
    errbuf err = {0};
    assert_int_equal(model_init_random(f.model, &o, &err), ST_IO);
    assert_non_null(strstr(err.text, "config.json"));
    model_folder_delete(&f, "config.json");
    assert_int_equal(model_init_random(f.model, &o, &err), ST_IO);
    assert_non_null(strstr(err.text, "model.safetensors"));
    file_content after = model_folder_read(&f, "model.safetensors");
    assert_int_equal(before.n, after.n);
    assert_memory_equal(before.bytes, after.bytes, before.n);
    free(before.bytes);
    free(after.bytes);
    model_folder_remove(&f);
}

static void options_that_make_no_model_are_refused_and_nothing_is_made(void **state) {
    (void)state;
    model_folder f = model_folder_make();
    model_init_options cases[6];
    for (int i = 0; i < 6; i++) cases[i] = model_init_defaults(i == 4 ? ARCH_OPT : ARCH_LLAMA);
    cases[0].n_heads = 7;
    cases[1].n_kv_heads = 3;
    cases[2].head_dim = 5;
    cases[3].n_layers = 0;
    cases[4].n_kv_heads = 2;
    cases[5].n_heads = 0;
    for (int i = 0; i < 6; i++) {
        errbuf err = {0};
        assert_int_equal(model_init_random(f.model, &cases[i], &err), ST_INVALID);
        assert_true(err.text[0]);
        assert_int_not_equal(access(f.model, F_OK), 0);
    }
    model_init_options o = model_init_defaults(ARCH_LLAMA);
    errbuf err = {0};
    assert_int_equal(model_init_random("/nonexistent/a/b", &o, &err), ST_IO);
    assert_non_null(strstr(err.text, "/nonexistent/a/b"));
    model_folder_remove(&f);
}

/* ------------------------------------------------------------ shards, alignment */

static void assert_equal_models(const model *a, const model *b) {
    const model_weights *x = model_weights_of(a), *y = model_weights_of(b);
    assert_equal_tensors(&x->embedding, &y->embedding);
    assert_equal_tensors(&x->head, &y->head);
    assert_equal_tensors(&x->final_norm.weight, &y->final_norm.weight);
    for (uint32_t i = 0; i < model_config_of(a)->n_layers; i++) {
        assert_equal_tensors(&x->layers[i].q.weight, &y->layers[i].q.weight);
        assert_equal_tensors(&x->layers[i].down.weight, &y->layers[i].down.weight);
        assert_equal_tensors(&x->layers[i].mlp_norm.weight, &y->layers[i].mlp_norm.weight);
    }
}

static void shards_hold_the_same_model_as_one_file(void **state) {
    (void)state;
    model_folder one = model_folder_make(), many = model_folder_make();
    model_folder_init(&one, ARCH_LLAMA, NULL);
    model_folder_init(&many, ARCH_LLAMA, NULL);
    model_folder_split(&many, 3);
    model *a = model_folder_open(&one), *b = model_folder_open(&many);
    assert_equal_models(a, b);
    assert_int_equal(model_stored_bytes(a), model_stored_bytes(b));
    model_close(a);
    model_close(b);
    model_folder_remove(&one);
    model_folder_remove(&many);
}

static void unaligned_data_is_handed_out_aligned(void **state) {
    (void)state;
    model_folder f = model_folder_make(), g = model_folder_make();
    model_folder_init(&f, ARCH_LLAMA, NULL);
    model_folder_init(&g, ARCH_LLAMA, NULL);
    weights_file w = weights_file_read(&g, "model.safetensors");
    char *text = json_dumps(w.header, JSON_COMPACT);
    unsigned spaces = 9 - strlen(text) % 8; /* the data begins at an odd byte */
    free(text);
    weights_file_write(&g, "model.safetensors", w.header, spaces, w.data, w.n_data);
    model *a = model_folder_open(&f), *b = model_folder_open(&g);
    assert_int_equal((uintptr_t)model_weights_of(b)->layers[1].q.weight.data % 4, 0);
    assert_equal_models(a, b);
    model_close(a);
    model_close(b);
    weights_file_drop(&w);
    model_folder_remove(&f);
    model_folder_remove(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_models_of_every_kind_open_with_their_shapes),
        cmocka_unit_test(random_weights_are_normal_and_scaled),
        cmocka_unit_test(the_seed_alone_decides_on_the_bytes),
        cmocka_unit_test(an_existing_model_is_not_overwritten),
        cmocka_unit_test(options_that_make_no_model_are_refused_and_nothing_is_made),
        cmocka_unit_test(shards_hold_the_same_model_as_one_file),
        cmocka_unit_test(unaligned_data_is_handed_out_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
