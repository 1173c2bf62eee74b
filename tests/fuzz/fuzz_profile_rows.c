/* fuzz_profile_rows.c - any bytes as the rows of each table that can be imported.
 *
 * The first byte picks a table, whose header is put in front, so that the fuzzer need not find
 * it. What is handed out must be fit to be stored. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"
#include "sample_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct {
    const char *format, *header;
} tables[] = {
    {"vidur", "num_tokens,num_tensor_parallel_workers,time_stats.emb.mean,time_stats.emb.std,"
              "time_stats.input_layernorm.mean,time_stats.attn_pre_proj.mean,"
              "time_stats.attn_rope.mean,time_stats.attn_post_proj.mean,"
              "time_stats.post_attention_layernorm.mean,time_stats.mlp_up_proj.mean,"
              "time_stats.mlp_act.mean,time_stats.mlp_down_proj.mean,time_stats.add.mean\n"},
    {"vidur",
     "n_embd,n_q_head,n_kv_head,num_tensor_parallel_workers,batch_size,prefill_chunk_size,"
     "kv_cache_size,is_prefill,time_stats.attn_prefill.mean,time_stats.attn_decode.mean,"
     "time_stats.attn_decode.std,time_stats.attn_kv_cache_save.mean\n"},
    {"vidur", "model_name,batch_size,tensor_parallel_degree,schedule_mean,sampler_e2e_mean,"
              "prepare_inputs_e2e_mean,process_model_outputs_mean,ray_comm_time_mean\n"},
    {"vidur", "time_stats.all_reduce.mean,time_stats.all_reduce.std,size,num_workers,"
              "devices_per_node\n"},
    {"aiconfigurator", "device,kernel_source,gemm_dtype,m,n,k,latency\n"},
    {"aiconfigurator",
     "op_name,device,batch_size,isl,step,num_heads,num_key_value_heads,head_dim,beam_width,"
     "attn_dtype,kv_cache_dtype,window_size,latency\n"},
    {"llmservingsim", "layer,tokens,time_us\n"},
    {"llmservingsim", "layer,sequences,time_us\n"},
    {"llmservingsim", "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n"},
    {"llmservingsim", "n,pc,kp,kv_big,kv_mean,t_mean_us,t_max_us,t_skew_us\n"},
    {"llmservingsim", "layer_name,input,kv_cache,tp_size,latency(ns)\n"},
    {"infersim", "m,k,n,latency_us\n"},
    {"infersim",
     "n_q_head,n_kv_head,head_dim,tp,dtype,latency_us,kv_dtype,batch_size,kv_len\n"},
    {"infersim", "n_q_head,n_kv_head,head_dim,tp,dtype,latency_us,seq_len\n"},
    {"splitwise",
     "model,hardware,tensor_parallel,batch_size,prompt_size,token_size,prompt_time,"
     "token_time\n"},
    {"pcie", "bytes,h2d_pinned_gbps,d2h_pinned_gbps\n"},
    {"cuda-probe",
     "device,model,op,method,bytes,n_segments,n_blocks,other_direction_busy,compute_busy,"
     "n_tokens,gemm_n,gemm_k,median_us,deviation_us,n_repeats\n"},
};
enum { N_TABLES = sizeof(tables) / sizeof(tables[0]) };

static void require(int condition) {
    if (!condition) abort();
}

static void check(const imported *all) {
    require(all->n_groups > 0 && all->n_bad <= all->n_rows);
    for (size_t i = 0; i < all->n_groups; i++) {
        const import_group *g = &all->groups[i];
        require(g->n > 0 && g->tp > 0 && g->device[0]);
        for (size_t j = 0; j < g->n; j++) {
            require(sample_check(&g->samples[j], NULL) == ST_OK);
            require(g->samples[j].tp == g->tp);
        }
        samples_hash(g->samples, g->n);
    }
}

static void read_text(const char *format, const char *text, size_t n, bool skip_bad) {
    const import_options options = {
        .device = "h200", .model = "opt-13b", .tp = 2, .skip_bad = skip_bad};
    imported all = {0};
    errbuf err = {0};
    status st = profile_read_memory(&all, format, text, n, "fuzz", &options, &err);
    require(st == ST_OK || st == ST_FORMAT || st == ST_INVALID);
    if (st == ST_OK)
        check(&all);
    else
        require(err.text[0] != '\0');
    imported_finish(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    if (n == 0) return 0;
    const char *format = tables[data[0] % N_TABLES].format;
    const char *header = tables[data[0] % N_TABLES].header;
    size_t n_header = strlen(header), total = n_header + n - 1;
    char *text = malloc(total);
    if (!text) return 0;
    memcpy(text, header, n_header);
    if (n > 1) memcpy(text + n_header, data + 1, n - 1);
    read_text(format, text, total, false);
    read_text(format, text, total, true);
    free(text);
    return 0;
}
