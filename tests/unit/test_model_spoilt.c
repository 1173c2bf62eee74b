/* test_model_spoilt.c - directories that hold no model, or one with an error, are refused with
 * file, tensor and value. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory_check.h"
#include "model.h"
#include "model_folder.h"
#include "model_init.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_refused(const model_folder *f, status wanted, const char *first,
                           const char *second) {
    model *m = NULL;
    errbuf err = {0};
    status st = model_open(&m, f->model, true, &err);
    if (st != wanted) fail_msg("'%s' (%s), not %s", status_text(st), err.text, first);
    if (!strstr(err.text, first) || !strstr(err.text, second))
        fail_msg("'%s' lacks '%s' or '%s'", err.text, first, second);
    assert_null(m);
}

/* ------------------------------------------------------------ index and shards */

static void index_and_shards_must_agree(void **state) {
    (void)state;
    model_folder f = model_folder_make();
    model_folder_init(&f, ARCH_LLAMA, NULL);
    model_folder_split(&f, 2);
    static const char index_name[] = "model.safetensors.index.json";
    file_content before = model_folder_read(&f, index_name);
    json_t *index = json_loadb((char *)before.bytes, before.n, 0, NULL);
    json_t *map = json_object_get(index, "weight_map");

    static const char norm[] = "model.norm.weight",
                      first[] = "model-00001-of-00002.safetensors",
                      second[] = "model-00002-of-00002.safetensors";
    const char *is = json_string_value(json_object_get(map, norm));
    const char *other = strcmp(is, first) == 0 ? second : first;
    json_object_set_new(map, norm, json_string(other));
    model_folder_write_json(&f, index_name, index);
    assert_refused(&f, ST_FORMAT, norm, other);
    json_object_del(map, norm);
    model_folder_write_json(&f, index_name, index);
    assert_refused(&f, ST_FORMAT, norm, "not in the index");
    json_object_set_new(map, norm, json_string("../m/model-00001-of-00002.safetensors"));
    model_folder_write_json(&f, index_name, index);
    assert_refused(&f, ST_FORMAT, norm, "not the name of a file");
    model_folder_write_text(&f, index_name, "{\"weight_map\": {}}");
    assert_refused(&f, ST_FORMAT, "index.json", "names no file");
    model_folder_write_text(&f, index_name, "{\"weight_map\": [");
    assert_refused(&f, ST_FORMAT, "index.json", "line 1");
    model_folder_write_text(&f, index_name, "{}");
    assert_refused(&f, ST_FORMAT, "weight_map", "missing");

    model_folder_write(&f, index_name, before.bytes, before.n);
    model_close(model_folder_open(&f)); /* the control */
    model_folder_delete(&f, second);
    assert_refused(&f, ST_IO, second, "No such file");
    free(before.bytes);
    json_decref(index);
    model_folder_remove(&f);
}

/* A tensor in two shards: the second file's header lists one of the first, too. */
static void a_tensor_in_two_shards_is_refused(void **state) {
    (void)state;
    model_folder f = model_folder_make();
    model_folder_init(&f, ARCH_LLAMA, NULL);
    model_folder_split(&f, 2);
    weights_file w = weights_file_read(&f, "model-00001-of-00002.safetensors");
    weights_file_write(&f, "model-00002-of-00002.safetensors", w.header, 0, w.data, w.n_data);
    assert_refused(&f, ST_FORMAT, "00001-of", "00002-of");
    weights_file_drop(&w);
    model_folder_remove(&f);
}

/* ------------------------------------------------------------ spoilt files */

/* Changes the header of the one file of weights, and keeps the data. */
static void set_header(const model_folder *f, json_t *header, const weights_file *w) {
    weights_file_write(f, "model.safetensors", header, 0, w->data, w->n_data);
}

static void tensors_must_be_those_that_the_config_asks_for(void **state) {
    (void)state;
    model_folder f = model_folder_make();
    model_folder_init(&f, ARCH_LLAMA, NULL);
    weights_file w = weights_file_read(&f, "model.safetensors");
    static const char q[] = "model.layers.1.self_attn.q_proj.weight";
    json_t *entry = json_incref(json_object_get(w.header, q));

    json_object_set_new(entry, "shape", json_pack("[i, i]", 32, 128));
    set_header(&f, w.header, &w);
    assert_refused(&f, ST_FORMAT, q, "shape [32, 128], config.json asks for [64, 64]");
    json_object_set_new(entry, "shape", json_pack("[i]", 4096));
    set_header(&f, w.header, &w);
    assert_refused(&f, ST_FORMAT, q, "shape [4096]");
    json_object_set_new(entry, "shape", json_pack("[i, i]", 64, 64));
    json_object_set_new(entry, "dtype", json_string("I32"));
    set_header(&f, w.header, &w);
    assert_refused(&f, ST_FORMAT, q, "I32");
    json_object_set_new(entry, "dtype", json_string("F32"));
    json_object_del(w.header, q);
    json_object_set(w.header, "other", entry);
    set_header(&f, w.header, &w);
    assert_refused(&f, ST_FORMAT, q, "missing");
    weights_file_drop(&w);
    json_decref(entry);
    model_folder_remove(&f);
}

/* Appends an entry of 4 bytes to a whole model. */
static void add_tensor(const model_folder *f, const char *name) {
    weights_file w = weights_file_read(f, "model.safetensors");
    json_object_set_new(w.header, name,
                        json_pack("{s:s, s:[i], s:[I, I]}", "dtype", "F32", "shape", 1,
                                  "data_offsets", (json_int_t)w.n_data,
                                  (json_int_t)w.n_data + 4));
    uint8_t *data = calloc(w.n_data + 4, 1);
    assert_non_null(data);
    memcpy(data, w.data, w.n_data);
    weights_file_write(f, "model.safetensors", w.header, 0, data, w.n_data + 4);
    free(data);
    weights_file_drop(&w);
}

static void only_harmless_tensors_may_be_left_over(void **state) {
    (void)state;
    model_folder f = model_folder_make();
    model_folder_init(&f, ARCH_OPT, NULL); /* its head is tied */
    add_tensor(&f, "model.layers.0.self_attn.rotary_emb.inv_freq");
    add_tensor(&f, "lm_head.weight");
    model_close(model_folder_open(&f));
    add_tensor(&f, "model.decoder.layers.2.fc1.weight"); /* there are two layers */
    assert_refused(&f, ST_FORMAT, "model.safetensors", "model.decoder.layers.2.fc1.weight");
    model_folder_remove(&f);
}

static void a_file_cut_anywhere_is_refused(void **state) {
    (void)state;
    model_folder f = model_folder_make();
    model_folder_init(&f, ARCH_QWEN3, NULL);
    static const char name[] = "model.safetensors";
    file_content whole = model_folder_read(&f, name);
    for (size_t n = 0; n < whole.n; n += 1 + whole.n / 64) {
        model_folder_write(&f, name, whole.bytes, n);
        assert_refused(&f, ST_FORMAT, "model.safetensors", "");
    }
    model_folder_write(&f, name, whole.bytes, whole.n - 1);
    assert_refused(&f, ST_FORMAT, "bytes of data", "ends at");
    free(whole.bytes);
    model_folder_remove(&f);
}

static void values_that_are_not_finite_are_found_when_asked(void **state) {
    (void)state;
    for (int dtype = 0; dtype < N_TENSOR_DTYPES; dtype++)
        for (int nan = 0; nan < 2; nan++) {
            model_folder f = model_folder_make();
            model_init_options o = model_init_defaults(ARCH_LLAMA);
            o.dtype = (tensor_dtype)dtype;
            model_folder_init(&f, o.arch, &o);
            weights_file w = weights_file_read(&f, "model.safetensors");
            static const char q[] = "model.layers.1.self_attn.q_proj.weight";
            json_t *offsets = json_object_get(json_object_get(w.header, q), "data_offsets");
            size_t size = tensor_dtype_bytes(o.dtype);
            float bad = nan ? NAN : -INFINITY;
            uint16_t bits = dtype == TENSOR_F16 ? half_from_float(bad) : bfloat_from_float(bad);
            uint8_t *at = w.all.bytes + (w.data - w.all.bytes) +
                          json_integer_value(json_array_get(offsets, 0)) + (63 * 64 + 5) * size;
            memcpy(at, size == 4 ? (void *)&bad : (void *)&bits, size);
            set_header(&f, w.header, &w);
            assert_refused(&f, ST_FORMAT, q, nan ? "value 5 of row 63 is NaN" : "is infinite");
            model *m = NULL;
            assert_int_equal(model_open(&m, f.model, false, NULL), ST_OK);
            model_close(m);
            weights_file_drop(&w);
            model_folder_remove(&f);
        }
}

static void a_directory_without_a_model_is_told_so(void **state) {
    (void)state;
    model_folder f = model_folder_make();
    assert_refused(&f, ST_IO, "config.json", "No such file");
    model_folder_init(&f, ARCH_LLAMA, NULL);
    model_folder_delete(&f, "model.safetensors");
    assert_refused(&f, ST_IO, f.model, "neither model.safetensors nor");
    char path[MODEL_FOLDER_PATH_SIZE];
    assert_int_equal(mkdir(model_folder_path(path, &f, "model.safetensors"), 0777), 0);
    assert_refused(&f, ST_IO, "model.safetensors", "no regular file");
    model_folder_delete(&f, "model.safetensors");
    model_folder_write_text(&f, "model.safetensors", "");
    assert_refused(&f, ST_FORMAT, "model.safetensors", "cut short");
    model_folder_write_text(&f, "config.json", "");
    assert_refused(&f, ST_FORMAT, "config.json", "");
    model_folder_remove(&f);
}

static void too_little_memory_is_told_with_the_figures(void **state) {
    (void)state;
    errbuf err = {0};
    uint64_t available = memory_available_bytes();
    assert_true(available > 1 << 20);
    assert_int_equal(memory_check(1 << 10, "a model", &err), ST_OK);
    if (available == UINT64_MAX) return; /* the system does not say */
    assert_int_equal(memory_check(UINT64_C(1) << 60, "a model", &err), ST_NO_MEMORY);
    assert_non_null(strstr(err.text, "a model: needs 1073741824.00 GiB"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_and_shards_must_agree),
        cmocka_unit_test(a_tensor_in_two_shards_is_refused),
        cmocka_unit_test(tensors_must_be_those_that_the_config_asks_for),
        cmocka_unit_test(only_harmless_tensors_may_be_left_over),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(values_that_are_not_finite_are_found_when_asked),
        cmocka_unit_test(a_directory_without_a_model_is_told_so),
        cmocka_unit_test(too_little_memory_is_told_with_the_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
