/* fake_state.h - what the parts of the fake share. */
#ifndef FAKE_STATE_H
#define FAKE_STATE_H

#include "fake_launch.h"

#include <mutex>

enum { SHARED_DEFAULT_BYTES = 48 << 10, SHARED_MAX_BYTES = 227 << 10, THREADS_MAX = 1024 };

/* Held by each call as long as it works. */
extern std::recursive_mutex fake_lock;
typedef std::lock_guard<std::recursive_mutex> guard;

extern size_t fake_device_bytes; /* of the device's memory */
extern size_t fake_n_handles;    /* streams, events and graphs that live */

/* Makes e the last error and gives it. */
cudaError_t fake_failed(cudaError_t e);

/* True if the test wants this call to fail. */
bool fake_must_fail(void);

/* Whether any stream captures. */
bool fake_captures(void);

static inline fake_call fake_call_of(fake_call_kind kind) {
    fake_call c = {};
    c.kind = kind;
    return c;
}

/* Runs all blocks of a valid shape; one grid at a time. */
void fake_run_grid(const fake_shape &shape, const std::function<void()> &body);

/* Checks of a call: each returns from it with an error. */
#define CHECK_VALUE(holds)                                                                     \
    do {                                                                                       \
        if (!(holds)) return fake_failed(cudaErrorInvalidValue);                               \
    } while (0)
#define MAY_FAIL(error)                                                                        \
    do {                                                                                       \
        if (fake_must_fail()) return fake_failed(error);                                       \
    } while (0)
#define NOT_IN_A_CAPTURE()                                                                     \
    do {                                                                                       \
        if (fake_captures()) return fake_failed(cudaErrorStreamCaptureUnsupported);            \
    } while (0)

#endif
