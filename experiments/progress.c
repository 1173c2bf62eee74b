#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 30, CALLS_PER_LOOK = 64 };

double monotonic_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

progress progress_start(uint64_t n_total, const char *unit, bool quiet) {
    double now = monotonic_s();
    return (progress){.shown = !quiet && isatty(STDERR_FILENO),
                      .unit = unit,
                      .n_total = n_total,
                      .started_s = now,
                      .drawn_s = now};
}

static void draw(const progress *p, uint64_t n_done, double now) {
    if (p->n_total == 0) {
        fprintf(stderr, "\r%" PRIu64 " %s, %.0f s ", n_done, p->unit, now - p->started_s);
        return;
    }
    char bar[BAR_WIDTH + 1];
    double share = (double)n_done / (double)p->n_total;
    for (int i = 0; i < BAR_WIDTH; i++) bar[i] = i < share * BAR_WIDTH ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    double left_s = n_done ? (now - p->started_s) * (1 - share) / share : 0;
    fprintf(stderr, "\r[%s] %3.0f %%  %" PRIu64 " of %" PRIu64 " %s, %.0f s left ", bar,
            share * 100, n_done, p->n_total, p->unit, left_s);
}

void progress_update(progress *p, uint64_t n_done) {
    if (!p->shown || ++p->n_calls % CALLS_PER_LOOK) return;
    double now = monotonic_s();
    if (now - p->drawn_s < 0.1) return;
    p->drawn_s = now;
    draw(p, n_done, now);
}

void progress_end(progress *p) {
    if (p->shown) fputs("\r\033[K", stderr);
}
