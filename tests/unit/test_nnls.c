/* Least squares with coefficients that may not be negative. */
#include <gsl/gsl_errno.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "nnls.h"
#include "rng.h"

/* Behind status.h, whose fail() is a macro of cmocka. */
#include <cmocka.h>

enum { ROWS = 40, COLUMNS = 6 };

typedef struct problem {
    double a[ROWS][COLUMNS], b[ROWS];
    double gram[COLUMNS * COLUMNS], c[COLUMNS];
} problem;

static uint64_t seed;

/* Random columns; b is a mix of them, some with negative weight, and noise. */
static problem random_problem(uint64_t number) {
    problem p = {0};
    uint64_t draw = 0;
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < COLUMNS; j++) {
            p.a[i][j] = rng_normal(seed, number, draw++) + 0.5;
            p.b[i] += (j % 2 ? -0.7 : 1.0) * p.a[i][j];
        }
        p.b[i] += rng_normal(seed, number, draw++);
    }
    for (int j = 0; j < COLUMNS; j++)
        for (int i = 0; i < ROWS; i++) {
            p.c[j] += p.a[i][j] * p.b[i];
            for (int k = 0; k < COLUMNS; k++) p.gram[j * COLUMNS + k] += p.a[i][j] * p.a[i][k];
        }
    return p;
}

static void solve(double *x, const problem *p, size_t max_terms) {
    nnls *s;
    errbuf err = {0};
    assert_int_equal(nnls_create(&s, COLUMNS), ST_OK);
    assert_int_equal(nnls_solve(s, x, p->gram, p->c, COLUMNS, max_terms, &err), ST_OK);
    nnls_destroy(s);
}

/* Karush, Kuhn and Tucker: no gradient pulls up where x is 0, none is left where it is not. */
static void solution_meets_the_optimality_conditions(void **state) {
    (void)state;
    for (uint64_t number = 0; number < 200; number++) {
        problem p = random_problem(number);
        double x[COLUMNS];
        solve(x, &p, COLUMNS);
        for (int j = 0; j < COLUMNS; j++) {
            double gradient = p.c[j];
            for (int k = 0; k < COLUMNS; k++) gradient -= p.gram[j * COLUMNS + k] * x[k];
            assert_true(x[j] >= 0);
            assert_true(gradient <= 1e-7 * fabs(p.c[j]) + 1e-7);
            if (x[j] > 0) assert_true(fabs(gradient) <= 1e-6);
        }
    }
}

static void known_weights_above_zero_are_found(void **state) {
    (void)state;
    problem p = random_problem(1);
    const double truth[COLUMNS] = {1, 0, 2.5, 0, 0.125, 3};
    for (int j = 0; j < COLUMNS; j++) {
        p.c[j] = 0;
        for (int k = 0; k < COLUMNS; k++) p.c[j] += p.gram[j * COLUMNS + k] * truth[k];
    }
    double x[COLUMNS];
    solve(x, &p, COLUMNS);
    for (int j = 0; j < COLUMNS; j++) assert_true(fabs(x[j] - truth[j]) < 1e-8);
}

static void no_more_terms_are_taken_than_allowed(void **state) {
    (void)state;
    for (size_t max_terms = 1; max_terms <= COLUMNS; max_terms++) {
        problem p = random_problem(max_terms);
        double x[COLUMNS];
        size_t n = 0;
        solve(x, &p, max_terms);
        for (int j = 0; j < COLUMNS; j++) n += x[j] > 0;
        assert_true(n <= max_terms);
    }
}

static void indefinite_and_infinite_equations_are_refused(void **state) {
    (void)state;
    nnls *s;
    errbuf err = {0};
    double x[2];
    const double saddle[] = {1, -2, -2, 1}, c[] = {1, 1}, endless[] = {INFINITY, 1};
    assert_int_equal(nnls_create(&s, 2), ST_OK);
    assert_int_equal(nnls_solve(s, x, saddle, endless, 2, 2, &err), ST_INVALID);
    assert_true(err.text[0] != '\0');
    assert_int_equal(nnls_solve(s, x, saddle, c, 2, 2, &err), ST_INVALID);
    nnls_destroy(s);
}

int main(void) {
    gsl_set_error_handler_off();
    const char *given = getenv("SEED");
    seed = given ? strtoull(given, NULL, 10) : 20240917;
    printf("SEED=%" PRIu64 "\n", seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solution_meets_the_optimality_conditions),
        cmocka_unit_test(known_weights_above_zero_are_found),
        cmocka_unit_test(no_more_terms_are_taken_than_allowed),
        cmocka_unit_test(indefinite_and_infinite_equations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
