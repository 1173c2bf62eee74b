/* test_sample_grid.c - values between, beyond and on the points of grids. */
#include "sample_grid.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_near(double value, double expected, double share) {
    if (fabs(value - expected) > share * fabs(expected) + 1e-15)
        fail_msg("%.12g is not %.12g", value, expected);
}

static double plane(const double *x) {
    return 3 + 2 * x[0] + 5 * x[1] + 7 * x[0] * x[1];
}

static void a_grid_is_exact_where_the_truth_is_linear_in_each_axis(void **state) {
    (void)state;
    static const double at[2][4] = {{1, 2, 4, 8}, {0, 16, 17, 400}};
    grid_point points[16];
    for (int i = 0; i < 16; i++) {
        points[i] = (grid_point){.x = {at[0][i / 4], at[1][i % 4]}};
        points[i].value = plane(points[i].x);
    }
    sample_grid *g;
    assert_int_equal(sample_grid_create(&g, 2, points, 16), ST_OK);
    for (double x = 0; x < 20; x += 0.37)
        for (double y = 0; y < 900; y += 13) {
            const double query[] = {x, y};
            assert_near(sample_grid_at(g, query), plane(query), 1e-12);
        }
    sample_grid_destroy(g);
}

/* Lattices of other coordinates laid over one another, as in the tables of the RTX PRO 6000. */
static void slices_may_have_coordinates_of_their_own(void **state) {
    (void)state;
    grid_point points[] = {{{16, 0}, 0},   {{16, 64}, 0}, {{16, 4096}, 0}, {{24, 512}, 0},
                           {{24, 768}, 0}, {{32, 8}, 0},  {{32, 4096}, 0}};
    size_t n = sizeof(points) / sizeof(points[0]);
    for (size_t i = 0; i < n; i++) points[i].value = plane(points[i].x);
    sample_grid *g;
    assert_int_equal(sample_grid_create(&g, 2, points, n), ST_OK);
    for (double x = 16; x <= 32; x += 0.5)
        for (double y = 0; y < 1000; y += 10) {
            const double query[] = {x, y};
            assert_near(sample_grid_at(g, query), plane(query), 1e-12);
        }
    sample_grid_destroy(g);
}

static void equal_points_count_as_their_mean_and_one_point_is_constant(void **state) {
    (void)state;
    const grid_point points[] = {{{5}, 1}, {{5}, 2}, {{5}, 6}};
    sample_grid *g;
    assert_int_equal(sample_grid_create(&g, 1, points, 3), ST_OK);
    for (double x = 0; x < 10; x++) assert_near(sample_grid_at(g, &x), 3, 0);
    sample_grid_destroy(g);
    assert_int_equal(sample_grid_create(&g, 1, points, 0), ST_INVALID);
    assert_int_equal(sample_grid_create(&g, 5, points, 3), ST_INVALID);
}

static void beyond_its_end_a_staircase_goes_on_at_its_mean_slope(void **state) {
    (void)state;
    const grid_point steps[] = {{{64}, 1}, {{127}, 1}, {{128}, 2}, {{191}, 2}, {{192}, 3}};
    sample_grid *g;
    assert_int_equal(sample_grid_create(&g, 1, steps, 5), ST_OK);
    double x = 192 + 128;
    assert_near(sample_grid_at(g, &x), 5, 1e-12);
    x = 192 + 10 * 128;
    assert_near(sample_grid_at(g, &x), 23, 1e-12);
    x = 0; /* below 0 there is no time */
    assert_true(sample_grid_at(g, &x) >= 0);
    sample_grid_destroy(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grid_is_exact_where_the_truth_is_linear_in_each_axis),
        cmocka_unit_test(slices_may_have_coordinates_of_their_own),
        cmocka_unit_test(equal_points_count_as_their_mean_and_one_point_is_constant),
        cmocka_unit_test(beyond_its_end_a_staircase_goes_on_at_its_mean_slope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
