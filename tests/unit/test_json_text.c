/* test_json_text.c - texts from outside become JSON strings, valid UTF-8 or not. */
#include "json_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BAD "\xEF\xBF\xBD"

static void becomes(const char *text, const char *want) {
    json_t *json = json_text(text);
    assert_non_null(json);
    assert_string_equal(json_string_value(json), want);
    json_decref(json);
}

static void test_valid_texts_stay_as_they_are(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "plain \"text\" \\ \x7F",
        "\xC2\x80 \xDF\xBF",
        "\xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF",
        "\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) becomes(texts[i], texts[i]);
}

static void test_each_invalid_byte_is_replaced(void **state) {
    (void)state;
    becomes("\xFF\xFE", BAD BAD);
    becomes("tr\xFFx", "tr" BAD "x");
    becomes("\x80", BAD);
    becomes("cut \xE2\x82", "cut " BAD BAD);
    becomes("\xC3(", BAD "(");
    becomes("\xC0\x80", BAD BAD);                 /* overlong */
    becomes("\xE0\x9F\xBF", BAD BAD BAD);         /* overlong */
    becomes("\xED\xA0\x80", BAD BAD BAD);         /* a surrogate */
    becomes("\xF4\x90\x80\x80", BAD BAD BAD BAD); /* above U+10FFFF */
    becomes("\xF5\x80", BAD BAD);
}

/* Whatever the bytes: jansson takes them. */
static void test_every_pair_of_bytes_gives_a_string(void **state) {
    (void)state;
    for (int first = 1; first < 256; first++)
        for (int second = 1; second < 256; second++) {
            const char text[] = {(char)first, (char)second, 'x', '\0'};
            json_t *json = json_text(text);
            assert_true(json_is_string(json));
            json_decref(json);
        }
}

static void test_no_text_is_null(void **state) {
    (void)state;
    assert_true(json_is_null(json_text(NULL)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_texts_stay_as_they_are),
        cmocka_unit_test(test_each_invalid_byte_is_replaced),
        cmocka_unit_test(test_every_pair_of_bytes_gives_a_string),
        cmocka_unit_test(test_no_text_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
