/* fuzz_trace_formats.c - any bytes as the lines of each format.
 *
 * The first byte picks a format, whose header (or first line) is put in front, so that the
 * fuzzer need not find it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trace_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const heads[] = {
    "TIMESTAMP,ContextTokens,GeneratedTokens\n",
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n",
    "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n",
    "arrival_s,n_prompt,n_output,priority,client\n",
    "{\"timestamp\":0,\"input_length\":1,\"output_length\":1,\"hash_ids\":[0]}\n",
    "{\"arrival_s\":0,\"n_prompt\":1,\"n_output\":1}\n",
};
enum { N_HEADS = sizeof(heads) / sizeof(heads[0]) };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n == 0) return 0;
    const char *head = heads[data[0] % N_HEADS];
    size_t n_head = strlen(head), total = n_head + n - 1;
    char *text = malloc(total);
    if (!text) return 0;
    memcpy(text, head, n_head);
    if (n > 1) memcpy(text + n_head, data + 1, n - 1);

    trace_reader_options options = trace_reader_options_defaults();
    options.skip_bad = true;
    trace_reader *r = NULL;
    if (trace_reader_open_memory(&r, text, total, "fuzz", &options, NULL) != ST_OK) abort();
    trace_record record;
    status st;
    uint64_t n_records = 0;
    while ((st = trace_reader_next(r, &record, NULL)) == ST_OK) n_records++;
    if (st != ST_END) abort();
    if (n_records + trace_reader_n_bad(r) + trace_reader_n_failed(r) > n + 1) abort();
    trace_reader_close(r);
    free(text);
    return 0;
}
