/* fuzz_trace_reader.c - any bytes as a trace file: the format is told, every line is read.
 *
 * What the strict reader hands out must be fit to be served, and a reader that skips bad lines
 * must come to the end. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "trace_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(int condition) {
    if (!condition) abort();
}

static void read_all(const uint8_t *data, size_t n, const trace_reader_options *options,
                     int strict) {
    trace_reader *r = NULL;
    errbuf err = {0};
    status st = trace_reader_open_memory(&r, data, n, "fuzz", options, &err);
    int64_t last_ns = 0;
    while (st == ST_OK) {
        trace_record record;
        st = trace_reader_next(r, &record, &err);
        if (st != ST_OK) break;
        require(record.n_prompt <= TRACE_MAX_TOKENS && record.n_output <= TRACE_MAX_TOKENS);
        require(record.time_ns >= 0);
        for (uint32_t i = 0; i < record.n_prefix_ids; i++)
            require(record.prefix_ids[i] <= INT64_MAX);
        if (!strict) continue;
        require(record.n_prompt >= 1 && record.n_output >= 1 && record.time_ns >= last_ns);
        last_ns = record.time_ns;
    }
    require(st == ST_END || st == ST_FORMAT);
    if (st == ST_FORMAT) require(err.text[0] != '\0');
    if (r && options->skip_bad) require(st == ST_END);
    trace_reader_close(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    trace_reader_options options = trace_reader_options_defaults();
    read_all(data, n, &options, 1);
    options.skip_bad = true;
    read_all(data, n, &options, 1);
    options.any_order = options.allow_empty = true;
    read_all(data, n, &options, 0);
    return 0;
}
