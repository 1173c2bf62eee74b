/* probe.c - `cuda_probe`: measures the host link and matrix products of a CUDA device.
 *
 * Needs neither the rest of the project nor anything but the driver and libcublasLt: built
 * where there is no device, it runs where there is one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy_timer.h"
#include "gemm_timer.h"
#include "probe_device.h"
#include "probe_options.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_MISUSE };

/* How long to measure. */
typedef struct effort {
    repeat_rule copy, gemm;
    double window_s; /* of a repeat of products */
} effort;

static const effort quick = {
    .copy = {6, 12, 0.01, 0.02}, .gemm = {6, 12, 0.01, 0.04}, .window_s = 0.5e-3};
static const effort full = {.copy = {6, PROBE_REPEATS_MAX, 0.01, 0.2},
                            .gemm = {6, PROBE_REPEATS_MAX, 0.01, 0.2},
                            .window_s = 1e-3};

typedef struct probe {
    probe_options options;
    const effort *effort;
    FILE *out;
    probe_machine machine;
    probe_device *device;
    gemm_timer *gemms;
    int shown_percent; /* of the progress */
} probe;

/* On a terminal a line that changes; elsewhere a line for each tenth. */
static void show_progress(probe *p, const char *what, size_t n_done, size_t n) {
    int percent = (int)(100 * n_done / n), step = isatty(STDERR_FILENO) ? 1 : 10;
    if (n_done != 0 && percent / step == p->shown_percent / step) return;
    p->shown_percent = percent;
    fprintf(stderr, "%s%s: %zu of %zu%s", step == 1 ? "\r" : "", what, n_done, n,
            step > 1 || n_done == n ? "\n" : "");
}

static status check_output(const probe *p, errbuf *err) {
    if (fflush(p->out) == 0 && !ferror(p->out)) return ST_OK;
    return fail(err, ST_IO, "%s: %s", p->options.out ? p->options.out : "stdout",
                strerror(errno));
}

/* ------------------------------------------------------------ copies */

static status measure_copies(probe *p, copy_timer *timer, const copy_design *design,
                             errbuf *err) {
    for (size_t i = 0; i < design->n; i++) {
        const copy_point *point = &design->points[i];
        probe_remark remark = {0};
        repeat_summary times;
        show_progress(p, "copies", i, design->n);
        TRY(copy_timer_measure(timer, &times, &remark, point, &p->effort->copy, err));
        remark.sm_clock_mhz = probe_device_sm_clock_mhz(p->device);
        probe_rows_copy(p->out, &p->machine, point, &times, &remark);
        TRY(check_output(p, err));
    }
    show_progress(p, "copies", design->n, design->n);
    return ST_OK;
}

static status run_copies(probe *p, errbuf *err) {
    copy_design design;
    copy_timer *timer = NULL;
    if (copy_design_make(&design, p->options.full) != ST_OK)
        return fail(err, ST_NO_MEMORY, "out of memory");
    status st = copy_timer_create(&timer, design.bytes_max, p->gemms, err);
    if (st == ST_OK) st = measure_copies(p, timer, &design, err);
    copy_timer_destroy(timer);
    copy_design_finish(&design);
    return st;
}

/* ------------------------------------------------------------ products */

static status measure_shape(probe *p, const gemm_shape *shape, const uint32_t *steps, size_t n,
                            errbuf *err) {
    TRY(gemm_timer_set_shape(p->gemms, shape, err));
    for (size_t i = 0; i < n; i++) {
        probe_remark remark = {0};
        repeat_summary times;
        TRY(gemm_timer_measure(p->gemms, &times, &remark, steps[i], p->effort->window_s,
                               &p->effort->gemm, err));
        remark.sm_clock_mhz = probe_device_sm_clock_mhz(p->device);
        probe_rows_gemm(p->out, &p->machine, shape, steps[i], &times, &remark);
        TRY(check_output(p, err));
    }
    return ST_OK;
}

static status run_gemms(probe *p, errbuf *err) {
    gemm_shape shapes[GEMM_SHAPES_MAX];
    uint32_t steps[GEMM_STEPS_MAX];
    size_t n_shapes = gemm_shapes(shapes);
    for (size_t i = 0; i < n_shapes; i++) {
        size_t n_steps = gemm_steps(steps, p->options.full, i);
        show_progress(p, "products by weight shapes", i, n_shapes);
        TRY(measure_shape(p, &shapes[i], steps, n_steps, err));
    }
    show_progress(p, "products by weight shapes", n_shapes, n_shapes);
    return ST_OK;
}

/* ------------------------------------------------------------ the whole */

static status run_on_device(probe *p, errbuf *err) {
    const probe_options *o = &p->options;
    TRY(gemm_timer_create(&p->gemms, &p->machine.cublaslt, o->cublaslt, p->machine.l2_bytes,
                          err));
    probe_rows_begin(p->out, &p->machine, o->date, o->full ? "full" : "quick");
    TRY(check_output(p, err));
    if (o->copies) TRY(run_copies(p, err));
    if (o->gemms) TRY(run_gemms(p, err));
    return ST_OK;
}

static status open_output(probe *p, errbuf *err) {
    p->out = p->options.out ? fopen(p->options.out, "w") : stdout;
    if (p->out) return ST_OK;
    return fail(err, ST_IO, "%s: %s", p->options.out, strerror(errno));
}

/* The device comes first: where there is none, no file is made. */
static status run(probe *p, errbuf *err) {
    TRY(probe_device_open(&p->device, &p->machine, p->options.device, err));
    TRY(open_output(p, err));
    status st = run_on_device(p, err);
    if (p->out != stdout && fclose(p->out) != 0 && st == ST_OK)
        st = fail(err, ST_IO, "%s: %s", p->options.out, strerror(errno));
    return st;
}

int main(int argc, char **argv) {
    probe p = {0};
    errbuf err = {0};
    status st = probe_options_parse(&p.options, argc, argv, &err);
    if (st != ST_OK) {
        fprintf(stderr, "cuda_probe: %s; `cuda_probe --help` explains\n", err.text);
        return EXIT_MISUSE;
    }
    if (p.options.help) {
        fputs(probe_usage, stdout);
        return EXIT_DONE;
    }
    p.effort = p.options.full ? &full : &quick;
    st = run(&p, &err);
    gemm_timer_destroy(p.gemms);
    probe_device_close(p.device);
    if (st == ST_OK) return EXIT_DONE;
    fprintf(stderr, "cuda_probe: %s\n", err.text[0] ? err.text : status_text(st));
    return EXIT_FAILED;
}
