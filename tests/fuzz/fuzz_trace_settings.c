/* fuzz_trace_settings.c - any text as a workload and as an arrival process; what is accepted
 * must make requests. */
#include <gsl/gsl_errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void try_options(const trace_options *o) {
    trace *t = NULL;
    errbuf err = {0};
    if (trace_open(&t, o, &err) != ST_OK) {
        if (err.text[0] == '\0') abort();
        return;
    }
    request_source source = trace_requests(t);
    int64_t last_ns = 0;
    for (int i = 0; i < 20; i++) {
        request r;
        uint32_t n_output;
        if (source.next(source.context, &r, &n_output, &err) != ST_OK) break;
        if (r.arrival_ns < last_ns || r.n_prompt < 1 || n_output < 1) abort();
        if (n_output > r.n_output_max) abort();
        last_ns = r.arrival_ns;
    }
    trace_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    gsl_set_error_handler_off();
    char *text = malloc(n + 1);
    if (!text) return 0;
    if (n) memcpy(text, data, n);
    text[n] = '\0';
    trace_options o = trace_options_defaults();
    o.workload = text;
    try_options(&o);
    o.workload = "fixed";
    o.arrival = text;
    try_options(&o);
    free(text);
    return 0;
}
