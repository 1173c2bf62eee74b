/* import_splitwise.c - the table of whole models of Splitwise (Patel et al., ISCA 2024;
 * Mutinifni/splitwise-sim), in ms, host time included.
 *
 * A row is one run: batch_size prompts of prompt_size tokens in one iteration, then token_size
 * - 1 iterations of decodes, whose mean is token_time (prompt_time + (token_size - 1) *
 * token_time is e2e_time). That mean is at the mean of the contexts, the new token included:
 * from prompt_size + 1 to prompt_size + token_size - 1. */
#include "import_table.h"

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const double unit_s = 1e-3;

enum { MODEL, HARDWARE, TP, BATCH, PROMPT, OUTPUT, PROMPT_TIME, TOKEN_TIME };

static const import_column columns[] = {
    {"model", false},       {"hardware", false},    {"tensor_parallel", false},
    {"batch_size", false},  {"prompt_size", false}, {"token_size", false},
    {"prompt_time", false}, {"token_time", false},
};

static status read_run(import_row *row, errbuf *err) {
    uint32_t n_seqs, n_prompt, n_output, tp;
    TRY(import_whole(&tp, row, TP, 1, IMPORT_TP_MAX, err));
    TRY(import_whole(&n_seqs, row, BATCH, 1, IMPORT_SEQUENCES_MAX, err));
    TRY(import_whole(&n_prompt, row, PROMPT, 2, IMPORT_TOKENS_MAX, err));
    TRY(import_whole(&n_output, row, OUTPUT, 1, IMPORT_TOKENS_MAX, err));
    row->model = row->fields[MODEL];
    row->device = row->fields[HARDWARE];
    sample *s = import_add(row, OP_ITERATION, "");
    s->tp = tp;
    import_set_prefill(&s->batch, n_seqs, 0, n_prompt);
    s->batch.n_sampled = n_seqs;
    TRY(import_time(&s->seconds, row, PROMPT_TIME, unit_s, err));
    if (n_output == 1) return ST_OK; /* no decode at all */
    s = import_add(row, OP_ITERATION, "");
    s->tp = tp;
    import_set_decode(&s->batch, n_seqs, n_prompt + n_output / 2);
    s->batch.n_sampled = n_seqs;
    s->n_repeats = n_output - 1;
    return import_time(&s->seconds, row, TOKEN_TIME, unit_s, err);
}

static const import_table runs = {
    "table of runs", "perf_model", IMPORT_PATH_FOLDER, true, columns, N_OF(columns), read_run};

static const import_table *const tables[] = {&runs};

const import_source import_splitwise = {
    "splitwise", "whole iterations (ms) of prompts and of decodes, host time included", tables,
    N_OF(tables)};
