/* test_safetensors.c - what a header of a safetensors file may say, and 16-bit floats. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "safetensors.h"
#include "tensor_view.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Parses a file of the header with this length and text and n_data bytes. The memory is of just
 * that size, so that a sanitizer sees a read behind it. */
static status parse(safetensors *out, uint64_t n_header, const char *text, size_t n_data,
                    errbuf *err) {
    size_t n_text = strlen(text), n = 8 + n_text + n_data;
    uint8_t *bytes = calloc(n, 1);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(n_header >> 8 * i);
    memcpy(bytes + 8, text, n_text);
    status st = safetensors_parse(out, bytes, n, "w.safetensors", err);
    free(bytes);
    return st;
}

/* The message must name the file, and hold both texts. */
static void assert_refused(const char *text, size_t n_data, const char *first,
                           const char *second) {
    safetensors s = {0};
    errbuf err = {0};
    assert_int_equal(parse(&s, strlen(text), text, n_data, &err), ST_FORMAT);
    if (!strstr(err.text, "w.safetensors: ") || !strstr(err.text, first) ||
        !strstr(err.text, second))
        fail_msg("'%s' lacks the file, '%s' or '%s'", err.text, first, second);
    assert_null(s.tensors);
}

#define ENTRY(name, dtype, shape, offsets)                                                     \
    "\"" name "\": {\"dtype\": \"" dtype "\", \"shape\": " shape                               \
    ", \"data_offsets\": " offsets "}"

/* ------------------------------------------------------------ what is read */

static void tensors_are_listed_in_the_order_of_their_data(void **state) {
    (void)state;
    const char text[] = "{\"__metadata__\": {\"format\": \"pt\"}, " ENTRY(
        "b", "BF16", "[2, 3]", "[8, 20]") ", " ENTRY("a", "F32", "[2]",
                                                     "[0, 8]") ", " ENTRY("c", "I64", "[]",
                                                                          "[20, 28]") "}   ";
    safetensors s;
    errbuf err = {0};
    assert_int_equal(parse(&s, strlen(text), text, 28, &err), ST_OK);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.tensors[0].name, "a");
    assert_string_equal(s.tensors[1].name, "b");
    assert_int_equal(s.tensors[0].begin, 8 + strlen(text));
    assert_int_equal(s.tensors[1].begin, 8 + strlen(text) + 8);
    assert_int_equal(s.tensors[2].end, 8 + strlen(text) + 28);
    assert_true(s.tensors[1].has_dtype && s.tensors[1].dtype == TENSOR_BF16);
    assert_int_equal(s.tensors[1].n_dims, 2);
    assert_int_equal(s.tensors[1].shape[1], 3);
    assert_false(s.tensors[2].has_dtype);
    assert_string_equal(s.tensors[2].dtype_name, "I64");
    assert_int_equal(s.tensors[2].n_dims, 0);
    safetensors_finish(&s);
}

static void a_file_may_hold_no_tensor_and_a_tensor_no_value(void **state) {
    (void)state;
    safetensors s;
    assert_int_equal(parse(&s, 2, "{}", 0, NULL), ST_OK);
    assert_int_equal(s.n, 0);
    safetensors_finish(&s);
    const char text[] =
        "{" ENTRY("a", "F32", "[0, 9]", "[0, 0]") ", " ENTRY("b", "U8", "[1]", "[0, 1]") "}";
    assert_int_equal(parse(&s, strlen(text), text, 1, NULL), ST_OK);
    assert_int_equal(s.n, 2);
    safetensors_finish(&s);
}

/* ------------------------------------------------------------ headers that lie */

static void the_length_of_the_header_must_fit_the_file(void **state) {
    (void)state;
    static const uint64_t lengths[] = {3, UINT64_C(1) << 63, UINT64_MAX, UINT64_MAX - 7,
                                       100000001};
    safetensors s;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        errbuf err = {0};
        char figure[32];
        snprintf(figure, sizeof(figure), " %llu bytes", (unsigned long long)lengths[i]);
        assert_int_equal(parse(&s, lengths[i], "{}", 0, &err), ST_FORMAT);
        if (!strstr(err.text, figure)) fail_msg("'%s' lacks '%s'", err.text, figure);
    }
    errbuf err = {0};
    assert_int_equal(safetensors_parse(&s, (const uint8_t *)"\2\0\0\0", 4, "w", &err),
                     ST_FORMAT);
    assert_non_null(strstr(err.text, "cut short"));
}

static void every_shorter_file_is_refused(void **state) {
    (void)state;
    const char text[] =
        "{" ENTRY("a", "F32", "[2]", "[0, 8]") ", " ENTRY("b", "U8", "[3]", "[8, 11]") "}";
    safetensors s;
    for (size_t n = 0; n < 11; n++)
        assert_int_equal(parse(&s, strlen(text), text, n, NULL), ST_FORMAT);
    for (size_t n = 0; n < strlen(text); n++)
        assert_int_equal(parse(&s, n, text, 11, NULL), ST_FORMAT);
    assert_int_equal(parse(&s, strlen(text), text, 11, NULL), ST_OK);
    safetensors_finish(&s);
    assert_refused(text, 12, "ends at 11", "12 bytes");
    assert_refused(text, 10, "tensor b", "ends at 11, but the file has 10");
}

static void places_must_lie_in_the_data_side_by_side(void **state) {
    (void)state;
    assert_refused("{" ENTRY("t", "F32", "[2]", "[8, 0]") "}", 8, "tensor t", "begins at 8");
    assert_refused("{" ENTRY("t", "F32", "[2]", "[8, 16]") "}", 8, "tensor t", "ends at 16");
    assert_refused("{" ENTRY("t", "F32", "[2]", "[-8, 0]") "}", 8, "tensor t", "from 0 on");
    assert_refused("{" ENTRY("t", "F32", "[2]", "[0]") "}", 8, "tensor t", "two whole numbers");
    assert_refused("{" ENTRY("t", "F32", "[2]", "[0, 8, 8]") "}", 8, "tensor t", "two whole");
    assert_refused("{" ENTRY("t", "F32", "[2]", "[0.0, 8.0]") "}", 8, "tensor t", "two whole");
    assert_refused("{" ENTRY("t", "F32", "[2]", "[0, 9223372036854775807]") "}", 8, "tensor t",
                   "ends at 9223372036854775807");
    assert_refused("{" ENTRY("t", "F32", "[2]", "[0, 9223372036854775808]") "}", 8, "integer",
                   "9223372036854775808");
    assert_refused("{" ENTRY("a", "F32", "[2]", "[0, 8]") ", " //
                   ENTRY("b", "F32", "[2]", "[4, 12]") "}",
                   12, "tensor b begins at 4", "inside a");
    assert_refused("{" ENTRY("a", "F32", "[2]", "[0, 8]") ", " //
                   ENTRY("b", "F32", "[2]", "[0, 8]") "}",
                   8, "tensor b begins at 0", "inside a");
    assert_refused("{" ENTRY("a", "F32", "[1]", "[0, 4]") ", " //
                   ENTRY("b", "F32", "[1]", "[8, 12]") "}",
                   12, "tensor b begins at 8", "from 4");
    assert_refused("{" ENTRY("t", "F32", "[1]", "[4, 8]") "}", 8, "tensor t", "from 0");
}

static void shapes_must_ask_for_the_bytes_that_are_there(void **state) {
    (void)state;
    assert_refused("{" ENTRY("t", "F32", "[3]", "[0, 8]") "}", 8, "tensor t", "asks for 12");
    assert_refused("{" ENTRY("t", "F16", "[2]", "[0, 8]") "}", 8, "tensor t", "asks for 4");
    assert_refused("{" ENTRY("t", "F32", "[-2]", "[0, 8]") "}", 8, "tensor t", "shape[0]");
    assert_refused("{" ENTRY("t", "F32", "[2, 1.0]", "[0, 8]") "}", 8, "tensor t", "shape[1]");
    assert_refused("{" ENTRY("t", "F32", "2", "[0, 8]") "}", 8, "tensor t", "no list");
    assert_refused("{" ENTRY("t", "F32", "[1,1,1,1,1,1,1,1,1]", "[0, 4]") "}", 4, "tensor t",
                   "no list of up to 8");
    /* 2^33 * 2^33 * 2^2 is 16 bytes where products wrap. */
    assert_refused("{" ENTRY("t", "F32", "[8589934592, 8589934592]", "[0, 16]") "}", 16,
                   "tensor t", "2^63");
    assert_refused("{" ENTRY("t", "F32", "[9223372036854775807]", "[0, 8]") "}", 8, "tensor t",
                   "2^63");
}

static void entries_are_of_one_form(void **state) {
    (void)state;
    assert_refused("{" ENTRY("t", "F31", "[2]", "[0, 8]") "}", 8, "tensor t", "\"F31\"");
    assert_refused("{\"t\": 3}", 0, "tensor t", "is not {dtype");
    assert_refused("{\"t\": {\"dtype\": \"F32\", \"shape\": []}}", 0, "tensor t", "is not");
    assert_refused("{\"t\": {\"dtype\": 1, \"shape\": [], \"data_offsets\": [0, 4]}}", 4,
                   "tensor t", "dtype");
    assert_refused("{\"__metadata__\": {\"n\": 1}}", 0, "__metadata__.n", "no text");
    assert_refused("{\"__metadata__\": 1}", 0, "__metadata__", "no object");
    assert_refused("{" ENTRY("t", "U8", "[1]", "[0, 1]") ", " //
                   ENTRY("t", "U8", "[1]", "[1, 2]") "}",
                   2, "duplicate", "\"t\"");
    assert_refused("[]", 0, "holds no JSON object", "");
    assert_refused("{}{}", 0, "line 1", "");
}

/* ------------------------------------------------------------ 16-bit floats */

static void every_16_bit_float_survives_the_way_through_a_float(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits <= UINT16_MAX; bits++) {
        float half = float_from_half((uint16_t)bits),
              bfloat = float_from_bfloat((uint16_t)bits);
        if (isnan(half))
            assert_true(isnan(float_from_half(half_from_float(half))));
        else
            assert_int_equal(half_from_float(half), bits);
        if (isnan(bfloat))
            assert_true(isnan(float_from_bfloat(bfloat_from_float(bfloat))));
        else
            assert_int_equal(bfloat_from_float(bfloat), bits);
    }
}

static void halves_have_the_values_of_the_standard(void **state) {
    (void)state;
    for (uint16_t bits = 0; bits < 0x7c00; bits++) {
        int exponent = bits >> 10, fraction = bits & 0x3ff;
        double value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        assert_true(float_from_half(bits) == (float)value);
        assert_true(float_from_half((uint16_t)(bits | 0x8000)) == -(float)value);
    }
    assert_true(float_from_half(0x7c00) == INFINITY);
    assert_true(float_from_half(0xfc00) == -INFINITY);
}

/* Between two neighbours the nearer one is taken, in the middle the even one. */
static void floats_are_rounded_to_the_nearest_ties_to_even(void **state) {
    (void)state;
    for (uint16_t low = 0; low < 0x7bff; low++) {
        float a = float_from_half(low), b = float_from_half((uint16_t)(low + 1));
        float middle = (float)(((double)a + b) / 2);
        assert_int_equal(half_from_float(middle), low + (low & 1));
        assert_int_equal(half_from_float(nextafterf(middle, 0)), low);
        assert_int_equal(half_from_float(-nextafterf(middle, 1e9f)), 0x8000 | (low + 1));
    }
    for (uint16_t low = 0; low < 0x7f7f; low++) {
        float a = float_from_bfloat(low), b = float_from_bfloat((uint16_t)(low + 1));
        float middle = (float)(((double)a + b) / 2);
        assert_int_equal(bfloat_from_float(middle), low + (low & 1));
        assert_int_equal(bfloat_from_float(nextafterf(middle, 0)), low);
        assert_int_equal(bfloat_from_float(nextafterf(middle, INFINITY)), low + 1);
    }
    assert_int_equal(half_from_float(65519.996f), 0x7bff);
    assert_int_equal(half_from_float(65520), 0x7c00); /* infinity, as IEEE 754 rounds */
    assert_int_equal(half_from_float(1e30f), 0x7c00);
}

static void views_give_any_range_as_floats(void **state) {
    (void)state;
    static const float f32[] = {1, -2, 3.5f, 0.25f};
    uint16_t f16[4], bf16[4];
    for (int i = 0; i < 4; i++) {
        f16[i] = half_from_float(f32[i]);
        bf16[i] = bfloat_from_float(f32[i]);
    }
    const tensor_view views[] = {
        {f32, TENSOR_F32, 2, 2}, {f16, TENSOR_F16, 2, 2}, {bf16, TENSOR_BF16, 2, 2}};
    for (int i = 0; i < 3; i++) {
        float out[3] = {0, 0, 99};
        tensor_to_floats(out, &views[i], 1, 2);
        assert_true(out[0] == -2 && out[1] == 3.5f && out[2] == 99);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_listed_in_the_order_of_their_data),
        cmocka_unit_test(a_file_may_hold_no_tensor_and_a_tensor_no_value),
        cmocka_unit_test(the_length_of_the_header_must_fit_the_file),
        cmocka_unit_test(every_shorter_file_is_refused),
        cmocka_unit_test(places_must_lie_in_the_data_side_by_side),
        cmocka_unit_test(shapes_must_ask_for_the_bytes_that_are_there),
        cmocka_unit_test(entries_are_of_one_form),
        cmocka_unit_test(every_16_bit_float_survives_the_way_through_a_float),
        cmocka_unit_test(halves_have_the_values_of_the_standard),
        cmocka_unit_test(floats_are_rounded_to_the_nearest_ties_to_even),
        cmocka_unit_test(views_give_any_range_as_floats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
