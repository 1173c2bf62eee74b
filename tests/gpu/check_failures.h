/* check_failures.h - what is left behind when a call of CUDA fails: on the fake device alone,
 * which can be told to fail. */
#ifndef CHECK_FAILURES_H
#define CHECK_FAILURES_H

#include "check.h"

#ifndef __CUDACC__

/* Runs `work` again and again, its n-th call of CUDA failing, until it has no n-th. It is to
 * give back what it made after setting *n_calls to fake_fallible_calls(), and no call fails
 * then: nobody would see it. */
template <class F> static inline void fail_each_call(F work) {
    const size_t n_live = fake_live_objects();
    for (long n = 1; n < 10000; n++) {
        long before = fake_fallible_calls(), n_calls = 0;
        fake_fail_after(n);
        status st = work(&n_calls);
        CHECK(fake_live_objects() == n_live);
        bool has_failed = n_calls - before >= n;
        CHECK(has_failed == (st != ST_OK));
        if (!has_failed) return;
    }
    CHECK(!"ends");
}

/* What has been done so far is all that may fail. */
static inline void end_of_failures(long *n_calls) {
    *n_calls = fake_fallible_calls();
    fake_fail_after(0);
}

#endif
#endif
