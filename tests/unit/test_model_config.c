/* test_model_config.c - config.json of each architecture in both spellings, and what is
 * refused.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_config.h"

/* Last: cmocka has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LLAMA_SHAPE                                                                            \
    "\"num_hidden_layers\": 3, \"hidden_size\": 64, \"num_attention_heads\": 8, "              \
    "\"num_key_value_heads\": 2, \"intermediate_size\": 96, \"vocab_size\": 1000, "            \
    "\"max_position_embeddings\": 4096, \"rms_norm_eps\": 1e-05, \"hidden_act\": \"silu\""

static const char llama[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", " LLAMA_SHAPE
    ", \"torch_dtype\": \"bfloat16\", \"rope_theta\": 500000.0, \"eos_token_id\": [7, 9]}";
static const char mistral[] = "{\"architectures\": [\"MistralForCausalLM\"], " LLAMA_SHAPE "}";
static const char qwen2[] = "{\"architectures\": [\"Qwen2ForCausalLM\"], " LLAMA_SHAPE
                            ", \"use_sliding_window\": false, \"sliding_window\": 128, "
                            "\"max_window_layers\": 0, \"tie_word_embeddings\": true}";
static const char qwen2_windowed[] =
    "{\"architectures\": [\"Qwen2ForCausalLM\"], " LLAMA_SHAPE
    ", \"use_sliding_window\": true, \"max_window_layers\": 2}";
static const char qwen2_mixed[] =
    "{\"architectures\": [\"Qwen2ForCausalLM\"], " LLAMA_SHAPE
    ", \"layer_types\": [\"full_attention\", \"sliding_attention\", \"full_attention\"]}";
static const char qwen3[] =
    "{\"architectures\": [\"Qwen3ForCausalLM\"], " LLAMA_SHAPE ", \"head_dim\": 16}";
static const char opt[] =
    "{\"architectures\": [\"OPTForCausalLM\"], \"num_hidden_layers\": 2, \"hidden_size\": 64, "
    "\"num_attention_heads\": 4, \"ffn_dim\": 256, \"vocab_size\": 512, "
    "\"max_position_embeddings\": 100, \"activation_function\": \"relu\"}";

/* The text with field `key` set to a JSON value, or without it where that is NULL. */
static status parse_with(model_config *out, const char *text, const char *key,
                         const char *value, errbuf *err) {
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    if (!value)
        json_object_del(root, key);
    else
        assert_int_equal(
            json_object_set_new(root, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
    char *changed = json_dumps(root, 0);
    assert_non_null(changed);
    status st = model_config_parse(out, changed, strlen(changed), "config.json", err);
    free(changed);
    json_decref(root);
    return st;
}

static model_config read_with(const char *text, const char *key, const char *value) {
    model_config c;
    errbuf err = {0};
    if (parse_with(&c, text, key, value, &err) != ST_OK) fail_msg("%s", err.text);
    return c;
}

static model_config read_text(const char *text) {
    return read_with(text, "-", NULL);
}

/* ------------------------------------------------------------ what is read */

static void llama_has_its_own_sizes_and_ends(void **state) {
    (void)state;
    model_config c = read_text(llama);
    assert_int_equal(c.arch, ARCH_LLAMA);
    assert_int_equal(c.n_layers, 3);
    assert_int_equal(c.hidden, 64);
    assert_int_equal(c.n_heads, 8);
    assert_int_equal(c.n_kv_heads, 2);
    assert_int_equal(c.head_dim, 8);
    assert_int_equal(c.n_ffn, 96);
    assert_int_equal(c.vocab, 1000);
    assert_int_equal(c.max_model_len, 4096);
    assert_true(c.norm_eps == 1e-5 && c.rope_theta == 500000);
    assert_int_equal(c.rope.kind, ROPE_UNSCALED);
    assert_int_equal(c.dtype, TENSOR_BF16);
    assert_int_equal(c.activation, ACTIVATION_SILU);
    assert_true(c.gated_mlp && c.do_layer_norm_before && c.final_norm);
    assert_false(c.layer_norm || c.qk_norm || c.learned_positions || c.tied_embeddings);
    assert_false(c.qkv_bias || c.o_bias || c.mlp_bias);
    assert_int_equal(c.n_eos_tokens, 2);
    assert_int_equal(c.eos_tokens[1], 9);
}

static void llama_alone_has_defaults_for_kv_heads_and_switches_for_biases(void **state) {
    (void)state;
    assert_int_equal(read_with(llama, "num_key_value_heads", NULL).n_kv_heads, 8);
    assert_int_equal(read_with(mistral, "num_key_value_heads", "null").n_kv_heads, 8);
    model_config c = read_with(llama, "attention_bias", "true");
    assert_true(c.qkv_bias && c.o_bias && !c.mlp_bias);
    assert_true(read_with(llama, "mlp_bias", "true").mlp_bias);
}

static void the_kin_of_llama_differ_in_biases_norms_and_ties(void **state) {
    (void)state;
    model_config c = read_text(mistral);
    assert_int_equal(c.arch, ARCH_MISTRAL);
    assert_int_equal(c.dtype, TENSOR_F32);
    assert_true(c.rope_theta == 10000);
    assert_int_equal(c.n_eos_tokens, 0);
    c = read_text(qwen2);
    assert_true(c.arch == ARCH_QWEN2 && c.qkv_bias && !c.o_bias && c.tied_embeddings);
    c = read_text(qwen3);
    assert_true(c.arch == ARCH_QWEN3 && c.qk_norm && !c.qkv_bias);
    assert_int_equal(c.head_dim, 16);
    assert_int_equal(read_with(qwen3, "head_dim", NULL).head_dim, 128);
}

static void opt_has_learned_positions_and_layer_norms(void **state) {
    (void)state;
    model_config c = read_text(opt);
    assert_int_equal(c.arch, ARCH_OPT);
    assert_int_equal(c.n_kv_heads, 4);
    assert_int_equal(c.head_dim, 16);
    assert_int_equal(c.n_ffn, 256);
    assert_int_equal(c.position_offset, 2);
    assert_int_equal(c.activation, ACTIVATION_RELU);
    assert_true(c.norm_eps == 1e-5 && c.learned_positions && c.layer_norm && !c.gated_mlp);
    assert_true(c.qkv_bias && c.o_bias && c.mlp_bias && c.tied_embeddings && c.final_norm);
    c = read_with(opt, "enable_bias", "false");
    assert_false(c.qkv_bias || c.o_bias || c.mlp_bias);
    c = read_with(opt, "do_layer_norm_before", "false");
    assert_false(c.do_layer_norm_before || c.final_norm);
    assert_false(read_with(opt, "_remove_final_layer_norm", "true").final_norm);
}

static void assert_llama3_scaling(const model_config *c) {
    assert_int_equal(c->rope.kind, ROPE_LLAMA3);
    assert_true(c->rope.factor == 8 && c->rope.low_freq_factor == 1);
    assert_true(c->rope.high_freq_factor == 4);
    assert_int_equal(c->rope.original_max_positions, 512);
}

#define LLAMA3                                                                                 \
    "\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, "                   \
    "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 512"

static void rope_is_read_in_both_spellings(void **state) {
    (void)state;
    model_config c = read_with(llama, "rope_scaling", "{" LLAMA3 "}");
    assert_llama3_scaling(&c);
    assert_true(c.rope_theta == 500000);
    c = read_with(mistral, "rope_parameters", "{\"rope_theta\": 250000, " LLAMA3 "}");
    assert_llama3_scaling(&c);
    assert_true(c.rope_theta == 250000);
    c = read_with(llama, "rope_scaling", "{\"type\": \"linear\", \"factor\": 2.5}");
    assert_true(c.rope.kind == ROPE_LINEAR && c.rope.factor == 2.5);
    c = read_with(llama, "rope_parameters", "{\"rope_type\": \"default\"}");
    assert_true(c.rope.kind == ROPE_UNSCALED && c.rope_theta == 500000);
    assert_int_equal(read_with(llama, "rope_scaling", "null").rope.kind, ROPE_UNSCALED);
}

static void dtype_is_read_in_both_spellings(void **state) {
    (void)state;
    assert_int_equal(read_with(mistral, "dtype", "\"float16\"").dtype, TENSOR_F16);
    assert_int_equal(read_with(mistral, "torch_dtype", "\"float16\"").dtype, TENSOR_F16);
    assert_int_equal(read_with(llama, "dtype", "\"bfloat16\"").dtype, TENSOR_BF16);
}

static void windows_that_hide_nothing_are_ignored(void **state) {
    (void)state;
    read_with(mistral, "sliding_window", "4096");
    read_with(mistral, "sliding_window", "null");
    read_with(qwen2_windowed, "sliding_window", "null");
    read_with(qwen2_windowed, "max_window_layers", "3"); /* all layers are before it */
    read_with(qwen2, "layer_types",
              "[\"full_attention\", \"full_attention\", \"full_attention\"]");
}

static void parameters_are_those_that_the_specification_counts(void **state) {
    (void)state;
    const char *const texts[] = {llama, mistral, qwen2, qwen3, opt};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        model_config c = read_text(texts[i]);
        model_spec spec;
        model_config_spec(&spec, &c, "m", 4);
        assert_int_equal(model_config_n_parameters(&c), model_n_parameters(&spec));
        assert_int_equal(model_config_kv_bytes(&c, 4), model_kv_bytes_per_token(&spec, 1));
    }
}

static void architectures_are_found_by_their_names(void **state) {
    (void)state;
    for (int i = 0; i < N_MODEL_ARCHS; i++) {
        model_arch arch;
        assert_true(model_arch_find(&arch, model_arch_name((model_arch)i)));
        assert_int_equal(arch, i);
    }
    model_arch arch;
    assert_false(model_arch_find(&arch, "Llama"));
}

/* ------------------------------------------------------------ what is refused */

/* What the message must hold besides the file: the field, and the value. */
static void assert_refused(const char *text, const char *key, const char *value,
                           const char *wanted) {
    model_config c = {.n_layers = 77};
    errbuf err = {0};
    status st = parse_with(&c, text, key, value, &err);
    if (st != ST_FORMAT) fail_msg("%s: %s gives '%s'", key, value, status_text(st));
    if (!strstr(err.text, "config.json") || !strstr(err.text, key) || !strstr(err.text, wanted))
        fail_msg("'%s' lacks the file, '%s' or '%s'", err.text, key, wanted);
    assert_int_equal(c.n_layers, 77); /* not written */
}

static void every_size_must_be_there_and_in_range(void **state) {
    (void)state;
    static const char *const sizes[] = {"num_hidden_layers",   "hidden_size",
                                        "num_attention_heads", "intermediate_size",
                                        "vocab_size",          "max_position_embeddings"};
    static const char *const values[] = {"0",      "-5",   "1.5",    "99999999",
                                         "\"64\"", "true", "[1, 2]", "9223372036854775807"};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_refused(llama, sizes[i], NULL, "missing");
        assert_refused(llama, sizes[i], "null", "missing");
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++)
            assert_refused(llama, sizes[i], values[j], "not a whole number from 1 to");
    }
    assert_refused(llama, "hidden_size", "-5", "is -5,");
}

static void other_fields_must_be_there_and_of_their_kind(void **state) {
    (void)state;
    assert_refused(llama, "architectures", NULL, "missing");
    assert_refused(llama, "architectures", "[]", "not a list of one name");
    assert_refused(llama, "architectures", "[\"GPT2LMHeadModel\"]", "GPT2LMHeadModel");
    assert_refused(llama, "rms_norm_eps", NULL, "missing");
    assert_refused(llama, "rms_norm_eps", "0", "is 0,");
    assert_refused(llama, "rms_norm_eps", "-1e-5", "not a number above 0");
    assert_refused(llama, "rope_theta", "\"x\"", "not a number above 0");
    assert_refused(llama, "hidden_act", "\"gelu\"", "gelu");
    assert_refused(llama, "hidden_act", NULL, "missing");
    assert_refused(llama, "torch_dtype", "\"int8\"", "int8");
    assert_refused(llama, "tie_word_embeddings", "1", "neither true nor false");
    assert_refused(qwen2, "num_key_value_heads", NULL, "missing");
    assert_refused(llama, "eos_token_id", "-1", "is -1,");
    assert_refused(llama, "eos_token_id", "[1, 1000]", "not a token");
    assert_refused(opt, "ffn_dim", NULL, "missing");
    assert_refused(opt, "activation_function", "\"gelu\"", "gelu");
}

static void fields_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    assert_refused(llama, "model_type", "\"qwen2\"", "qwen2");
    assert_refused(llama, "num_attention_heads", "7", "hidden_size is 64, no multiple");
    assert_refused(llama, "num_key_value_heads", "3", "is 3, no divisor");
    assert_refused(llama, "num_key_value_heads", "16", "is 16,");
    assert_refused(llama, "head_dim", "9", "odd");
    assert_refused(llama, "head_dim", "1000000", "more than");
    assert_refused(llama, "dtype", "\"float16\"", "torch_dtype is \"bfloat16\"");
    assert_refused(qwen2, "layer_types", "[\"full_attention\"]", "num_hidden_layers");
    assert_refused(llama, "rope_parameters", "{\"rope_theta\": 2.0}", "is 500000.0, another");
}

static void rope_fields_are_checked(void **state) {
    (void)state;
    assert_refused(llama, "rope_scaling", "3", "not an object");
    assert_refused(llama, "rope_scaling", "{\"type\": \"yarn\", \"factor\": 2}", "yarn");
    assert_refused(llama, "rope_scaling", "{\"type\": \"linear\"}", "factor is missing");
    assert_refused(llama, "rope_scaling", "{\"type\": \"linear\", \"factor\": 0.5}", "0.5");
    assert_refused(llama, "rope_scaling", "{\"type\": \"linear\", \"rope_type\": \"llama3\"}",
                   "linear");
    assert_refused(llama, "rope_scaling",
                   "{\"type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, "
                   "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 8}",
                   "high_freq_factor is 4");
    assert_refused(llama, "rope_parameters", "{\"full_attention\": {\"rope_theta\": 1}}",
                   "full_attention");
    assert_refused(llama, "rope_parameters", "{\"partial_rotary_factor\": 0.5}", "0.5");
    assert_refused(llama, "partial_rotary_factor", "0.5", "0.5");
}

static void what_cannot_be_computed_is_refused(void **state) {
    (void)state;
    assert_refused(llama, "quantization_config", "{\"bits\": 4}", "bits");
    assert_refused(mistral, "sliding_window", "4095", "4095");
    assert_refused(qwen2_windowed, "sliding_window", "127", "127");
    assert_refused(qwen2_mixed, "sliding_window", "127", "127");
    assert_refused(qwen2, "layer_types", "[\"full_attention\", \"linear\", 3]", "neither");
    assert_refused(opt, "word_embed_proj_dim", "32", "not hidden_size");
    assert_refused(opt, "layer_norm_elementwise_affine", "false", "cannot be computed");
}

static void only_a_whole_json_object_without_doubles_is_read(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "3",
                                        "{} {}",
                                        "{\"a\": 1, \"a\": 2}",
                                        "{\"hidden_size\": 99999999999999999999}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        model_config c;
        errbuf err = {0};
        status st = model_config_parse(&c, texts[i], strlen(texts[i]), "config.json", &err);
        assert_int_equal(st, ST_FORMAT);
        assert_non_null(strstr(err.text, "config.json: "));
    }
    /* Every start of a config is none. */
    for (size_t n = 0; n + 1 < sizeof(llama); n++) {
        model_config c;
        assert_int_equal(model_config_parse(&c, llama, n, "config.json", NULL), ST_FORMAT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama_has_its_own_sizes_and_ends),
        cmocka_unit_test(llama_alone_has_defaults_for_kv_heads_and_switches_for_biases),
        cmocka_unit_test(the_kin_of_llama_differ_in_biases_norms_and_ties),
        cmocka_unit_test(opt_has_learned_positions_and_layer_norms),
        cmocka_unit_test(rope_is_read_in_both_spellings),
        cmocka_unit_test(dtype_is_read_in_both_spellings),
        cmocka_unit_test(windows_that_hide_nothing_are_ignored),
        cmocka_unit_test(parameters_are_those_that_the_specification_counts),
        cmocka_unit_test(architectures_are_found_by_their_names),
        cmocka_unit_test(every_size_must_be_there_and_in_range),
        cmocka_unit_test(other_fields_must_be_there_and_of_their_kind),
        cmocka_unit_test(fields_that_contradict_each_other_are_refused),
        cmocka_unit_test(rope_fields_are_checked),
        cmocka_unit_test(what_cannot_be_computed_is_refused),
        cmocka_unit_test(only_a_whole_json_object_without_doubles_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
