/* workload_tables.c - the lengths of the workloads, as quantiles, and where they come from.
 *
 * The quantiles are read off the recorded data: the least length that the share of the records
 * does not exceed. Beside each table: the source, and mean of the data / mean of the draws.
 * p50, p90 and p99 are those of the data. Correlation between prompt and output is left out;
 * over the logarithms it is 0.04 (azure-conv), 0.00 (azure-code), -0.48 (longdoc, where the
 * table was cut to 4096 tokens in all). */
#include "workload.h"

/* ShareGPT single turns, microsoft/vidur's format, 39,987 records with both lengths:
 * AKafakA/vidur_opt_scheduler, sharegpt-val-10k-predicted-len.csv. 251 / 253, 323 / 324. */
static const length_table sharegpt_prompt = {
    {1, 1, 6, 8, 12, 17, 24, 35, 57, 103, 251, 773, 1452, 1988, 2862, 3803, 3972}};
static const length_table sharegpt_output = {
    {1, 6, 20, 40, 104, 164, 227, 282, 338, 403, 498, 680, 843, 919, 1000, 1129, 2383}};

/* Alpaca instructions (Taori et al., 2023): only the means are recorded here, 19.31 and 58.45
 * tokens (Kwon et al., PagedAttention, SOSP 2023, figure 11). The shape is ASSUMED: lognormal
 * with those means, sigma 0.5 and 0.9, cut at the 1e-5 quantiles. Draws: 19.8, 59.7. */
static const length_table alpaca_prompt = {
    {2, 5, 7, 9, 11, 13, 15, 17, 19, 22, 26, 32, 39, 44, 55, 80, 144}};
static const length_table alpaca_output = {
    {1, 5, 9, 12, 18, 24, 31, 39, 49, 62, 83, 124, 171, 212, 316, 629, 1000}};

/* Azure/AzurePublicDataset, AzureLLMInferenceTrace_conv.csv, 2023, its first half, 9,739
 * records. 1237 / 1258, 221 / 219. Gaps there have a CV of 1.07. */
static const length_table azure_conv_prompt = {{2, 40, 181, 298, 390, 407, 968, 1035, 1081,
                                                1140, 1317, 4075, 4086, 4091, 4122, 5380,
                                                14050}};
static const length_table azure_conv_output = {
    {7, 16, 38, 50, 71, 88, 102, 140, 211, 393, 404, 428, 463, 522, 612, 939, 1000}};

/* Azure/AzurePublicDataset, AzureLLMInferenceTrace_code.csv, 2023, 8,819 records. 2048 / 2060,
 * 27.9 / 29.6. Gaps there have a CV of 13.15 (`arrival=gamma,cv=13.15`). */
static const length_table azure_code_prompt = {{3, 17, 75, 147, 385, 770, 1075, 1469, 1909,
                                                2433, 3193, 5194, 7315, 7435, 7436, 7437,
                                                7437}};
static const length_table azure_code_output = {
    {6, 6, 6, 7, 8, 9, 11, 13, 16, 20, 29, 55, 90, 128, 252, 831, 1899}};

/* arXiv summarisation, microsoft/vidur,
 * arxiv_summarization_stats_llama2_tokenizer_filtered_v2.csv, 28,257 records. 2588 / 2574, 291
 * / 294. */
static const length_table longdoc_prompt = {{1, 73, 747, 1242, 1802, 2150, 2453, 2730, 2996,
                                             3249, 3490, 3702, 3813, 3863, 3934, 4012, 4054}};
static const length_table longdoc_output = {
    {5, 36, 60, 78, 104, 125, 145, 167, 192, 222, 268, 372, 737, 2206, 3273, 3845, 4056}};

/* DeepSeek-R1 service, alibaba/ServeGen, data/reason/deepseek-r1: the length distributions of
 * all clients and windows, weighted by their request rates. 1268 / 1304, 1527 / 1559. The share
 * of the output spent on reasoning is in it. Rate-weighted CV of the clients' gaps: 2.28. */
static const length_table reasoning_prompt = {
    {4, 9, 13, 18, 29, 57, 113, 208, 266, 406, 748, 2092, 6714, 12390, 23423, 33783, 57284}};
static const length_table reasoning_output = {{9, 141, 225, 287, 387, 470, 582, 792, 1104, 1367,
                                               1680, 3432, 5701, 7617, 12607, 20833, 32768}};

/* Rates: of the recordings where they have one (azure-conv, azure-code, and reasoning, whose 73
 * clients send 16.0/s together); the others are a choice. */
static const workload_kind kinds[] = {
    {"sharegpt", "chat, single turns", 10, &sharegpt_prompt, &sharegpt_output},
    {"alpaca", "short instructions", 10, &alpaca_prompt, &alpaca_output},
    {"azure-conv", "production chat", 5.562, &azure_conv_prompt, &azure_conv_output},
    {"azure-code", "production code completion", 2.566, &azure_code_prompt, &azure_code_output},
    {"longdoc", "summaries of long documents", 1, &longdoc_prompt, &longdoc_output},
    {"reasoning", "long outputs of a reasoning model", 16, &reasoning_prompt,
     &reasoning_output},
    {"fixed", "all requests alike", 10, NULL, NULL},
};

const workload_kind *workload_kinds(size_t *n) {
    *n = sizeof(kinds) / sizeof(kinds[0]);
    return kinds;
}
