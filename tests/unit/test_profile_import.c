/* test_profile_import.c - each format's tables as samples, its names, and what is refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "sample_set.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const import_options no_options;

static status read_text(imported *out, const char *format, const char *path, const char *text,
                        const import_options *options, errbuf *err) {
    return profile_read_memory(out, format, text, strlen(text), path, options, err);
}

static imported read_or_die(const char *format, const char *path, const char *text) {
    imported all = {0};
    errbuf err = {0};
    if (read_text(&all, format, path, text, &no_options, &err) != ST_OK)
        fail_msg("%s", err.text);
    return all;
}

/* The text must be refused with a message that holds all of what is wanted. */
static void assert_refused(const char *format, const char *path, const char *text,
                           status expected, const char *first, const char *second) {
    imported all = {0};
    errbuf err = {0};
    assert_int_equal(read_text(&all, format, path, text, &no_options, &err), expected);
    if (!strstr(err.text, first) || !strstr(err.text, second))
        fail_msg("'%s' lacks '%s' or '%s'", err.text, first, second);
    assert_int_equal(all.n_groups, 0);
}

static void assert_near(double value, double expected) {
    if (fabs(value - expected) > 1e-12 * fabs(expected))
        fail_msg("%g, not %g", value, expected);
}

/* ------------------------------------------------------------ formats */

static void test_vidur_attention_has_heads_of_one_device_and_seconds(void **state) {
    (void)state;
    imported all = read_or_die(
        "vidur", "profiles/vidur/a100/llama-2-70b_tp2_attention.csv",
        "n_embd,n_q_head,n_kv_head,num_tensor_parallel_workers,batch_size,prefill_chunk_size,"
        "kv_cache_size,is_prefill,time_stats.attn_prefill.mean,time_stats.attn_decode.mean,"
        "time_stats.attn_decode.std,time_stats.attn_output_reshape.mean\n"
        "8192,64,8,2,4,0,32,False,,0.015,0.001,0.0\n"
        "8192,64,8,2,1,64,32,True,0.5,,,0.002\n");
    assert_int_equal(all.n_groups, 1);
    const import_group *g = &all.groups[0];
    assert_string_equal(g->device, "a100-80g");
    assert_string_equal(g->model, "llama-2-70b");
    assert_int_equal(g->tp, 2);
    assert_int_equal(g->n, 3);
    assert_int_equal(all.n_left_out, 1); /* 0 ms */
    const sample *s = &g->samples[0];
    assert_int_equal(s->op, OP_DECODE_ATTENTION);
    assert_int_equal(s->n_heads, 32);
    assert_int_equal(s->n_kv_heads, 4);
    assert_int_equal(s->head_dim, 128);
    assert_int_equal(s->batch.n_decode, 4);
    assert_int_equal(s->batch.decode_kv_tokens, 4 * 33);
    assert_near(s->seconds, 15e-6);
    assert_near(s->deviation_s, 1e-6);
    s = &g->samples[1];
    assert_int_equal(s->op, OP_PREFILL_ATTENTION);
    assert_int_equal(s->batch.prefill_pairs, 64 * 32 + 64 * 65 / 2);
    assert_int_equal(s->batch.prefill_kv_tokens, 96);
    assert_string_equal(g->samples[2].part, "attn_output_reshape");
    imported_finish(&all);
}

static void test_vidur_host_rows_go_to_their_own_models(void **state) {
    (void)state;
    imported all = read_or_die(
        "vidur", "a40/cpu_overheads.csv",
        "model_name,batch_size,tensor_parallel_degree,schedule_mean,sampler_e2e_mean,"
        "prepare_inputs_e2e_mean,process_model_outputs_mean,ray_comm_time_mean\n"
        "meta-llama/Llama-2-7b-hf,8,1,0.1,0.2,0.3,0.4,0.5\n"
        "Qwen/Qwen-72B,8,4,1,2,3,4,5\n"
        "meta-llama/Llama-2-7b-hf,16,1,0.1,0.2,0.3,0.4,0.5\n");
    assert_int_equal(all.n_groups, 2);
    assert_string_equal(all.groups[0].model, "llama-2-7b");
    assert_int_equal(all.groups[0].n, 10);
    assert_string_equal(all.groups[1].model, "qwen-72b");
    assert_int_equal(all.groups[1].tp, 4);
    assert_int_equal(all.groups[1].samples[0].batch.n_decode, 8);
    assert_near(all.groups[1].samples[4].seconds, 5e-3);
    imported_finish(&all);
}

static void test_all_reduce_across_nodes_is_left_out(void **state) {
    (void)state;
    imported all = read_or_die("vidur", "network/h100_dgx_all_reduce.csv",
                               "time_stats.all_reduce.mean,size,num_workers,devices_per_node\n"
                               "0.05,2048,2,1\n"
                               "0.03,2048,8,8\n");
    assert_int_equal(all.n_left_out, 1);
    assert_string_equal(all.groups[0].device, "h100-80g");
    assert_int_equal(all.groups[0].tp, 8);
    assert_near(all.groups[0].samples[0].bytes, 2048);
    imported_finish(&all);
}

static void test_aiconfigurator_takes_bf16_kernels_of_the_device_column(void **state) {
    (void)state;
    imported all = read_or_die("aiconfigurator", "gemm_perf.csv",
                               "device,kernel_source,gemm_dtype,m,n,k,latency\n"
                               "NVIDIA H200,linear,bfloat16,64,4096,8192,0.5\n"
                               "NVIDIA H200,CutlassFP8Kernel,bfloat16,64,4096,8192,0.25\n"
                               "NVIDIA H200,linear,fp8,64,4096,8192,0.25\n");
    assert_int_equal(all.n_left_out, 2);
    const import_group *g = &all.groups[0];
    assert_string_equal(g->device, "h200");
    assert_string_equal(g->model, "");
    assert_int_equal(g->tp, 1);
    assert_int_equal(g->samples[0].gemm_n, 4096);
    assert_int_equal(g->samples[0].gemm_k, 8192);
    imported_finish(&all);

    const char head[] = "op_name,device,batch_size,isl,step,num_heads,num_key_value_heads,"
                        "head_dim,beam_width,attn_dtype,kv_cache_dtype,window_size,latency\n";
    char text[1024];
    snprintf(text, sizeof(text),
             "%scontext_attention,NVIDIA H200,2,1024,0,32,8,128,1,bfloat16,bfloat16,0,1\n"
             "context_attention,NVIDIA H200,2,1024,0,32,8,128,1,bfloat16,bfloat16,128,1\n"
             "context_attention,NVIDIA H200,2,1024,0,32,8,128,1,bfloat16,fp8,0,1\n"
             "generation_attention,NVIDIA H200,8,1,255,32,8,128,1,bfloat16,bfloat16,0,1\n",
             head);
    all = read_or_die("aiconfigurator", "x.csv", text);
    assert_int_equal(all.n_left_out, 2);
    assert_int_equal(all.groups[0].n, 2);
    assert_int_equal(all.groups[0].samples[0].batch.prefill_pairs, 2 * (1024 * 1025 / 2));
    assert_int_equal(all.groups[0].samples[1].op, OP_DECODE_ATTENTION);
    assert_int_equal(all.groups[0].samples[1].batch.decode_kv_tokens, 8 * 256);
    imported_finish(&all);
}

static void test_llmservingsim_attention_is_split_by_its_columns(void **state) {
    (void)state;
    imported all = read_or_die("llmservingsim", "RTXPRO6000/llama-3.1-8b_tp2_attention.csv",
                               "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n"
                               "0,0,4,16,8\n"
                               "16,32,0,0,8\n"
                               "16,32,4,16,8\n");
    const import_group *g = &all.groups[0];
    assert_string_equal(g->device, "rtx-pro-6000");
    assert_string_equal(g->model, "llama-3-8b");
    assert_int_equal(g->tp, 2);
    assert_int_equal(g->samples[0].op, OP_DECODE_ATTENTION);
    assert_int_equal(g->samples[1].op, OP_PREFILL_ATTENTION);
    assert_int_equal(g->samples[2].op, OP_MIXED_ATTENTION);
    assert_int_equal(g->samples[2].n_heads, 16); /* of the model */
    assert_int_equal(g->samples[2].batch.n_tokens, 20);
    assert_int_equal(g->samples[2].batch.decode_kv_tokens, 64);
    assert_near(g->samples[2].seconds, 8e-6);
    imported_finish(&all);
}

static void test_a_skew_row_is_three_batches_in_order(void **state) {
    (void)state;
    imported all = read_or_die("llmservingsim", "rtx4090/llama-3.1-8b_tp1_skew.csv",
                               "n,nb,pc,kp,kvs,kv_big,kv_mean,t_mean_us,t_max_us,t_skew_us\n"
                               "4,1,0,0,100,500,200,40,60,50\n");
    const sample *s = all.groups[0].samples;
    assert_int_equal(all.groups[0].n, 3);
    assert_string_equal(s[0].part, "skew_mean");
    assert_string_equal(s[1].part, "skew_longest");
    assert_string_equal(s[2].part, "skew");
    assert_int_equal(s[2].batch.decode_kv_tokens, 800);
    assert_int_equal(s[2].batch.decode_kv_max, 500);
    assert_int_equal(s[0].batch.decode_kv_max, 200);
    imported_finish(&all);
}

static void test_infersim_products_are_kept_apart_from_bf16(void **state) {
    (void)state;
    imported all =
        read_or_die("infersim", "h800/gemm.csv", "m,k,n,latency_us,mfu\n8,2,6,9,0\n");
    assert_string_equal(all.groups[0].samples[0].part, "fp8");
    assert_string_equal(all.groups[0].device, "h800");
    assert_int_equal(all.groups[0].samples[0].gemm_k, 2);
    imported_finish(&all);
}

static void test_splitwise_decodes_are_at_their_mean_context(void **state) {
    (void)state;
    imported all =
        read_or_die("splitwise", "perf_model.csv",
                    "model,hardware,prompt_size,batch_size,token_size,prompt_time,token_time,"
                    "tensor_parallel\n"
                    "llama2-70b,h100-80gb,512,2,128,100,50,8\n");
    const sample *s = all.groups[0].samples;
    assert_string_equal(all.groups[0].model, "llama-2-70b");
    assert_int_equal(s[0].op, OP_ITERATION);
    assert_int_equal(s[0].batch.n_tokens, 1024);
    assert_int_equal(s[0].batch.n_sampled, 2);
    assert_int_equal(s[1].batch.decode_kv_tokens, 2 * (512 + 64));
    assert_int_equal(s[1].n_repeats, 127);
    assert_near(s[1].seconds, 0.05);
    imported_finish(&all);
}

static void test_copies_take_bytes_over_rate(void **state) {
    (void)state;
    imported all = read_or_die("pcie", "pcie/rtx6000_turing_copy.csv",
                               "bytes,h2d_pageable_gbps,h2d_pinned_gbps,d2h_pinned_gbps\n"
                               "1000000,1,10,5\n");
    assert_string_equal(all.groups[0].device, "rtx6000_turing");
    assert_int_equal(all.groups[0].samples[0].op, OP_SWAP_IN);
    assert_near(all.groups[0].samples[0].seconds, 1e-4);
    assert_near(all.groups[0].samples[1].seconds, 2e-4);
    imported_finish(&all);
}

/* ------------------------------------------------------------ names */

static void test_names_come_from_the_layouts_of_the_sources_too(void **state) {
    (void)state;
    const char text[] = "layer,tokens,time_us\nact_fn,1,2.5\n";
    imported all = read_or_die(
        "llmservingsim", "perf/RTXPRO6000/meta-llama/Llama-3.1-8B/bf16/tp4/dense.csv", text);
    assert_string_equal(all.groups[0].device, "rtx-pro-6000");
    assert_string_equal(all.groups[0].model, "llama-3-8b");
    assert_int_equal(all.groups[0].tp, 4);
    imported_finish(&all);
}

static void test_names_that_nobody_says_are_asked_for(void **state) {
    (void)state;
    const char text[] = "layer,tokens,time_us\nact_fn,1,2.5\n";
    assert_refused("llmservingsim", "x/llama-3.1-8b_tp1_dense.csv", text, ST_INVALID, "device",
                   "--device");
    assert_refused("llmservingsim", "h100/my.csv", text, ST_INVALID, "model", "--model");
    assert_refused("llmservingsim", "h100/llama-3.1-8b_dense.csv", text, ST_INVALID, "tp",
                   "--tp");
    const import_options options = {.device = "h100", .model = "opt-13b", .tp = 2};
    imported all;
    assert_int_equal(read_text(&all, "llmservingsim", "my.csv", text, &options, NULL), ST_OK);
    assert_string_equal(all.groups[0].device, "h100-80g");
    assert_string_equal(all.groups[0].model, "opt-13b");
    assert_int_equal(all.groups[0].tp, 2);
    imported_finish(&all);
}

static void test_an_option_picks_rows_where_columns_have_names(void **state) {
    (void)state;
    const char text[] = "device,kernel_source,gemm_dtype,m,n,k,latency\n"
                        "NVIDIA H200,linear,bfloat16,64,4096,8192,0.5\n"
                        "NVIDIA H100 80GB HBM3,linear,bfloat16,64,4096,8192,0.5\n";
    const import_options options = {.device = "h200"};
    imported all;
    assert_int_equal(read_text(&all, "aiconfigurator", "x", text, &options, NULL), ST_OK);
    assert_int_equal(all.n_groups, 1);
    assert_int_equal(all.n_left_out, 1);
    imported_finish(&all);
    const import_options other = {.device = "l40s"};
    errbuf err = {0};
    assert_int_equal(read_text(&all, "aiconfigurator", "x", text, &other, &err), ST_FORMAT);
    assert_non_null(strstr(err.text, "l40s"));
}

/* ------------------------------------------------------------ bad input */

static void test_bad_rows_are_named_by_line_column_and_value(void **state) {
    (void)state;
    const char path[] = "h100/llama-3.1-8b_tp1_dense.csv";
    const char *const rows[][2] = {
        {"act_fn,1,0", "'0'"},
        {"act_fn,1,nan", "'nan'"},
        {"act_fn,1,-2", "'-2'"},
        {"act_fn,1,inf", "'inf'"},
        {"act_fn,0,2", "'tokens'"},
        {"act_fn,1.5,2", "'1.5'"},
        {"act_fn,1", "fields: 2"},
        {",1,2", "'layer'"},
        {"act_fn,1,0x1p3", "'0x1p3'"},
        {"act_fn,1, 2", "' 2'"},
        {"act_fn,1,1e999", "1e999"},
        {"act_fn,1,1e-400", "1e-400"},
        {"act_fn,99999999999,2", "99999999999"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "layer,tokens,time_us\nact_fn,1,2\n%s\n", rows[i][0]);
        assert_refused("llmservingsim", path, text, ST_FORMAT, "_dense.csv:3:", rows[i][1]);
    }
}

static void test_bad_rows_can_be_counted_instead(void **state) {
    (void)state;
    const import_options options = {.skip_bad = true};
    imported all;
    assert_int_equal(read_text(&all, "llmservingsim", "h100/llama-3.1-8b_tp1_dense.csv",
                               "layer,tokens,time_us\na,1,2\na,2,0\na,x,1\na,3,4\n", &options,
                               NULL),
                     ST_OK);
    assert_int_equal(all.n_rows, 4);
    assert_int_equal(all.n_bad, 2);
    assert_int_equal(all.groups[0].n, 2);
    assert_non_null(strstr(all.first_bad.text, ":3:"));
    imported_finish(&all);
}

static void test_a_row_is_taken_whole_or_not_at_all(void **state) {
    (void)state;
    const import_options options = {.skip_bad = true};
    imported all;
    assert_int_equal(read_text(&all, "pcie", "x_copy.csv",
                               "bytes,h2d_pinned_gbps,d2h_pinned_gbps\n1,1,0\n2,1,1\n",
                               &options, NULL),
                     ST_OK);
    assert_int_equal(all.groups[0].n, 2);
    assert_near(all.groups[0].samples[0].bytes, 2);
    imported_finish(&all);
}

static void test_headers_that_do_not_fit_are_explained(void **state) {
    (void)state;
    assert_refused("pcie", "x", "a,b\n1,2\n", ST_FORMAT, "x:1:", "table of copies");
    assert_refused("pcie", "x", "bytes,h2d_pinned_gbps\n1,2\n", ST_FORMAT, "d2h_pinned_gbps",
                   "missing");
    assert_refused("pcie", "x_copy.csv", "bytes,bytes,h2d_pinned_gbps,d2h_pinned_gbps\n",
                   ST_FORMAT, "'bytes'", "twice");
    assert_refused("pcie", "x", "", ST_FORMAT, "x:", "empty");
    assert_refused("pcie", "x_copy.csv", "bytes,h2d_pinned_gbps,d2h_pinned_gbps\n", ST_FORMAT,
                   "x_copy.csv", "no row");
    assert_refused("pci", "x", "", ST_INVALID, "'pci'", "splitwise");
}

/* ------------------------------------------------------------ the real tables */

static void count_file(const char *folder, const char *format, const char *file,
                       size_t expected) {
    char path[512];
    char *files[] = {path};
    snprintf(path, sizeof(path), "%s/profiles/%s", folder, file);
    imported all = {0};
    errbuf err = {0};
    if (profile_read_format(&all, format, files, 1, &no_options, &err) != ST_OK)
        fail_msg("%s", err.text);
    size_t n = 0;
    for (size_t i = 0; i < all.n_groups; i++) {
        n += all.groups[i].n;
        for (size_t j = 0; j < all.groups[i].n; j++)
            assert_int_equal(sample_check(&all.groups[i].samples[j], NULL), ST_OK);
    }
    if (n != expected) fail_msg("%s: %zu samples, not %zu", path, n, expected);
    imported_finish(&all);
}

static void test_the_real_tables_give_all_their_rows(void **state) {
    (void)state;
    const char *folder = getenv("ADAPTIVELLM_SHARED_DATA");
    char probe[512];
    snprintf(probe, sizeof(probe), "%s/profiles/pcie/rtx6000_turing_copy.csv",
             folder ? folder : "");
    FILE *file = folder ? fopen(probe, "r") : NULL;
    if (!file) {
        print_message("no measured tables in $ADAPTIVELLM_SHARED_DATA: skipped\n");
        skip();
        return;
    }
    fclose(file);
    count_file(folder, "vidur", "vidur/h100/llama-2-7b_mlp.csv", 7310);
    count_file(folder, "vidur", "vidur/a40/cpu_overheads.csv", 1105);
    count_file(folder, "vidur", "vidur/network/a100_dgx_all_reduce.csv", 2982);
    count_file(folder, "aiconfigurator", "aiconfigurator/h200_sxm/gemm_perf.csv.gz", 35742);
    count_file(folder, "aiconfigurator", "aiconfigurator/a100_sxm/context_attention_perf.csv",
               5040);
    count_file(folder, "llmservingsim",
               "llmservingsim/rtxpro6000/llama-3.1-8b_tp1_attention.csv", 19364);
    count_file(folder, "llmservingsim", "llmservingsim/rtxpro6000/llama-3.1-8b_tp1_skew.csv",
               39027);
    count_file(folder, "llmservingsim", "llmservingsim/h100/llama-3.1-8b_tp1_layers.csv",
               30719);
    count_file(folder, "infersim", "infersim/h20/mha_decode.csv", 372);
    count_file(folder, "splitwise", "splitwise/perf_model.csv", 2520);
    count_file(folder, "pcie", "pcie/rtx6000_turing_copy.csv", 42);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vidur_attention_has_heads_of_one_device_and_seconds),
        cmocka_unit_test(test_vidur_host_rows_go_to_their_own_models),
        cmocka_unit_test(test_all_reduce_across_nodes_is_left_out),
        cmocka_unit_test(test_aiconfigurator_takes_bf16_kernels_of_the_device_column),
        cmocka_unit_test(test_llmservingsim_attention_is_split_by_its_columns),
        cmocka_unit_test(test_a_skew_row_is_three_batches_in_order),
        cmocka_unit_test(test_infersim_products_are_kept_apart_from_bf16),
        cmocka_unit_test(test_splitwise_decodes_are_at_their_mean_context),
        cmocka_unit_test(test_copies_take_bytes_over_rate),
        cmocka_unit_test(test_names_come_from_the_layouts_of_the_sources_too),
        cmocka_unit_test(test_names_that_nobody_says_are_asked_for),
        cmocka_unit_test(test_an_option_picks_rows_where_columns_have_names),
        cmocka_unit_test(test_bad_rows_are_named_by_line_column_and_value),
        cmocka_unit_test(test_bad_rows_can_be_counted_instead),
        cmocka_unit_test(test_a_row_is_taken_whole_or_not_at_all),
        cmocka_unit_test(test_headers_that_do_not_fit_are_explained),
        cmocka_unit_test(test_the_real_tables_give_all_their_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
