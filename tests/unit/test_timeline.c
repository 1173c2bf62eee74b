/* test_timeline.c - what a timeline says of asynchronous copies. */
#include "timeline.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/test_timeline.XXXXXX";

static void add_copy(timeline *t, uint64_t id, link_direction direction, bool write_back) {
    const copy_in_flight copy = {.id = id,
                                 .direction = direction,
                                 .write_back = write_back,
                                 .n_blocks = 5 + (uint32_t)id,
                                 .n_segments = 2};
    const completion c = {
        .kind = COMPLETION_COPY, .now_ns = 7000000, .copy_id = id, .copy_s = 3e-3};
    timeline_copied(t, &copy, &c);
}

static const char *text_of(const json_t *event, const char *key) {
    return json_string_value(json_object_get(event, key));
}

/* Name of the track an event is on. */
static const char *track_of(const json_t *events, const json_t *event) {
    json_int_t tid = json_integer_value(json_object_get(event, "tid"));
    size_t i;
    json_t *e;
    json_array_foreach(events, i, e) {
        const char *name = text_of(e, "name");
        if (name && strcmp(name, "thread_name") == 0 &&
            json_integer_value(json_object_get(e, "tid")) == tid)
            return text_of(json_object_get(e, "args"), "name");
    }
    return NULL;
}

static void copies_are_drawn_by_direction_with_their_kind_and_size(void **state) {
    (void)state;
    static const struct {
        const char *name, *track;
    } expected[] = {{"swap out", "copies to the host"},
                    {"write back", "copies to the host"},
                    {"swap in", "copies to the device"}};
    errbuf err = {0};
    timeline *t;
    assert_int_equal(timeline_open(&t, path, &err), ST_OK);
    add_copy(t, 0, LINK_TO_HOST, false);
    add_copy(t, 1, LINK_TO_HOST, true);
    add_copy(t, 2, LINK_TO_DEVICE, false);
    assert_int_equal(timeline_close(t, &err), ST_OK);
    json_t *all = json_load_file(path, 0, NULL);
    assert_non_null(all);
    json_t *events = json_object_get(all, "traceEvents"), *e;
    size_t i, n = 0;
    json_array_foreach(events, i, e) {
        if (strcmp(text_of(e, "ph"), "X") != 0) continue;
        assert_true(n < 3);
        assert_string_equal(text_of(e, "name"), expected[n].name);
        assert_string_equal(track_of(events, e), expected[n].track);
        assert_float_equal(json_number_value(json_object_get(e, "ts")), 4000, 1e-6);
        assert_float_equal(json_number_value(json_object_get(e, "dur")), 3000, 1e-6);
        const json_t *args = json_object_get(e, "args");
        assert_int_equal(json_integer_value(json_object_get(args, "id")), n);
        assert_int_equal(json_integer_value(json_object_get(args, "blocks")), 5 + n);
        n++;
    }
    assert_int_equal(n, 3);
    json_decref(all);
}

static int make_file(void **state) {
    (void)state;
    int file = mkstemp(path);
    return file < 0 ? -1 : close(file);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_drawn_by_direction_with_their_kind_and_size),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
