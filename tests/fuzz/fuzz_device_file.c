/* fuzz_device_file.c - any bytes as the file of a device. Where it is taken, a device is
 * simulated by it: times must be above 0 and fit a clock of nanoseconds. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "device_file.h"
#include "latency_analytic.h"
#include "model_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(int condition) {
    if (!condition) abort();
}

static void require_time(double s) {
    require(isfinite(s) && s > 0 && s < 9e9);
}

static void simulate(const device_spec *device) {
    latency_source source;
    errbuf err = {0};
    require(latency_analytic_create(&source, device, model_spec_find("llama-3-70b"), 8, &err) ==
            ST_OK);
    batch_shape batch = {0};
    batch_shape_add_chunk(&batch, 0, 2048, true);
    batch_shape_add_decodes(&batch, 256, 256 * 1000, 8000);
    require_time(source.iteration_s(source.context, &batch));
    require_time(source.copy_s(source.context, LINK_TO_HOST, 1e9, 100, true));
    require(source.copy_slowdown(source.context) >= 1);
    source.destroy(source.context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    device_file *file = NULL;
    errbuf err = {0};
    status st = device_file_parse(&file, (const char *)data, n, "fuzz", &err);
    require(st == ST_OK || (st == ST_FORMAT && err.text[0] != '\0'));
    if (st == ST_OK) simulate(device_file_spec(file));
    device_file_close(file);
    return 0;
}
