/* progress.h - a progress bar on standard error, where that is a terminal. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct progress {
    bool shown;
    const char *unit; /* what is counted */
    uint64_t n_total; /* 0: not known, only the count is shown */
    uint32_t n_calls;
    double started_s, drawn_s; /* of a monotonic clock */
} progress;

/* Shows nothing if quiet or standard error is no terminal. */
progress progress_start(uint64_t n_total, const char *unit, bool quiet);

/* Cheap enough for every iteration: draws ten times a second at most. */
void progress_update(progress *p, uint64_t n_done);

/* Clears the line. */
void progress_end(progress *p);

/* Seconds of a monotonic clock. */
double monotonic_s(void);

#endif
