#include "measured_tables.h"

#include <stdlib.h>

#include "sample_choice.h"

enum { PARTS_MAX = 3 };

/* Names of the operators that make a role; the first row of a role all of whose parts have
 * samples is taken. LLMServingSim, Vidur, and LLMServingSim's tables of before vLLM 0.19. */
static const struct role_row {
    measured_role role;
    double times; /* in a layer or an iteration */
    const char *parts[PARTS_MAX];
} role_rows[] = {
    {ROLE_NORM, 2, {"layernorm"}},
    {ROLE_NORM, 1, {"input_layernorm"}},
    {ROLE_POST_NORM, 1, {"post_attention_layernorm"}},
    {ROLE_POST_NORM, 1, {"post_layernorm"}},
    {ROLE_QKV, 1, {"qkv_proj"}},
    {ROLE_QKV, 1, {"attn_pre_proj"}},
    {ROLE_QKV, 1, {"q_proj", "k_proj", "v_proj"}},
    {ROLE_ROTARY, 1, {"rotary_emb"}},
    {ROLE_ROTARY, 1, {"attn_rope"}},
    {ROLE_ROTARY, 1, {"rope"}},
    {ROLE_QK_NORM, 1, {"qk_norm"}},
    {ROLE_OUT, 1, {"o_proj"}},
    {ROLE_OUT, 1, {"attn_post_proj"}},
    {ROLE_UP, 1, {"gate_up_proj"}},
    {ROLE_UP, 1, {"mlp_up_proj"}},
    {ROLE_UP, 1, {"gate_proj", "up_proj"}},
    {ROLE_ACTIVATION, 1, {"act_fn"}},
    {ROLE_ACTIVATION, 1, {"mlp_act"}},
    {ROLE_DOWN, 1, {"down_proj"}},
    {ROLE_DOWN, 1, {"mlp_down_proj"}},
    {ROLE_ADD, 1, {"add"}},
    {ROLE_EMBEDDING, 1, {"embedding"}},
    {ROLE_EMBEDDING, 1, {"emb"}},
    {ROLE_FINAL_NORM, 1, {"final_layernorm"}},
};
enum { N_ROLE_ROWS = sizeof(role_rows) / sizeof(role_rows[0]) };

typedef struct role_table {
    double times;
    sample_grid *parts[PARTS_MAX]; /* over tokens */
    sample_grid *gemm;             /* instead: over k, n, tokens */
    double gemm_n, gemm_k;
} role_table;

struct measured_tables {
    const model_spec *model;
    uint32_t tp;
    head_shape heads;
    role_table roles[N_ROLES], head;
    sample_grid *sampler, *host; /* over sequences, or NULL */
    measured_attention *attention;
};

/* ------------------------------------------------------------ roles */

static status make_parts(role_table *r, const struct role_row *row, sample_list list) {
    r->times = row->times;
    for (size_t i = 0; i < PARTS_MAX && row->parts[i]; i++) {
        const sample_choice c = {
            .op = OP_LAYER, .part = row->parts[i], .n_axes = 1, .at = sample_at_tokens};
        TRY(sample_choice_grid(&r->parts[i], &c, list));
        if (!r->parts[i]) r->times = 0;
    }
    return ST_OK;
}

static void finish_role(role_table *r) {
    for (size_t i = 0; i < PARTS_MAX; i++) sample_grid_destroy(r->parts[i]);
    sample_grid_destroy(r->gemm);
    *r = (role_table){0};
}

static status make_role(role_table *out, measured_role role, sample_list list) {
    for (size_t i = 0; i < N_ROLE_ROWS; i++) {
        if (role_rows[i].role != role) continue;
        status st = make_parts(out, &role_rows[i], list);
        if (st != ST_OK || out->times > 0) return st;
        finish_role(out);
    }
    return ST_OK;
}

/* A matrix product that is in no table of layers: from those of other shapes. */
static status make_gemm(role_table *r, const char *name, double n, double k, sample_list list,
                        errbuf *err) {
    const sample_choice c = {.op = OP_GEMM, .part = "", .n_axes = 3, .at = sample_at_gemm};
    TRY(sample_choice_grid(&r->gemm, &c, list));
    if (!r->gemm)
        return fail(err, ST_NOT_FOUND,
                    "there are no samples of the %s, nor of matrix products by shape", name);
    r->times = 1;
    r->gemm_n = n;
    r->gemm_k = k;
    return ST_OK;
}

static status make_products(measured_tables *t, sample_list list, errbuf *err) {
    const model_spec *m = t->model;
    double q = (double)t->heads.n_heads * m->head_dim;
    double kv = (double)t->heads.n_kv_heads * m->head_dim;
    double ffn = (double)m->ffn / t->tp, hidden = m->hidden;
    const struct {
        measured_role role;
        const char *name;
        double n, k;
    } products[] = {{ROLE_QKV, "QKV projection", q + 2 * kv, hidden},
                    {ROLE_OUT, "output projection of attention", hidden, q},
                    {ROLE_UP, "first MLP matrix", (m->gated_mlp ? 2 : 1) * ffn, hidden},
                    {ROLE_DOWN, "second MLP matrix", hidden, ffn}};
    for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); i++) {
        role_table *r = &t->roles[products[i].role];
        if (r->times > 0) continue;
        TRY(make_gemm(r, products[i].name, products[i].n, products[i].k, list, err));
    }
    return ST_OK;
}

static status make_head(measured_tables *t, sample_list list, errbuf *err) {
    const model_spec *m = t->model;
    sample_choice c = {
        .op = OP_PER_SEQUENCE, .part = "lm_head", .n_axes = 1, .at = sample_at_sampled};
    TRY(sample_choice_grid(&t->head.parts[0], &c, list));
    t->head.times = 1;
    if (!t->head.parts[0])
        TRY(make_gemm(&t->head, "output head", (double)m->vocab / t->tp, m->hidden, list, err));
    c.part = "sampler";
    TRY(sample_choice_grid(&t->sampler, &c, list));
    c = (sample_choice){.op = OP_HOST, .part = "", .n_axes = 1, .at = sample_at_decodes};
    return sample_choice_grid(&t->host, &c, list);
}

static double role_s(const role_table *r, double n_tokens) {
    if (r->times == 0 || n_tokens == 0) return 0;
    if (r->gemm) {
        const double x[] = {r->gemm_k, r->gemm_n, n_tokens};
        return r->times * sample_grid_at(r->gemm, x);
    }
    double s = 0;
    for (size_t i = 0; i < PARTS_MAX && r->parts[i]; i++)
        s += sample_grid_at(r->parts[i], &n_tokens);
    return r->times * s;
}

/* ------------------------------------------------------------ all of it */

static status fill(measured_tables *t, sample_list list, sample_list skew, errbuf *err) {
    for (int role = 0; role < N_ROLES; role++)
        TRY(make_role(&t->roles[role], (measured_role)role, list));
    TRY(make_products(t, list, err));
    TRY(make_head(t, list, err));
    return measured_attention_create(&t->attention, t->heads, list, skew, err);
}

status measured_tables_create(measured_tables **out, const model_spec *model, uint32_t tp,
                              sample_list list, sample_list skew, errbuf *err) {
    measured_tables *t = calloc(1, sizeof(*t));
    if (!t) return fail(err, ST_NO_MEMORY, "out of memory for measured tables");
    t->model = model;
    t->tp = tp;
    t->heads =
        (head_shape){model->n_heads / tp, model->n_kv_heads > tp ? model->n_kv_heads / tp : 1,
                     model->head_dim};
    status st = fill(t, list, skew, err);
    if (st != ST_OK) {
        measured_tables_destroy(t);
        return st == ST_NO_MEMORY ? fail(err, st, "out of memory for measured tables") : st;
    }
    *out = t;
    return ST_OK;
}

void measured_tables_destroy(measured_tables *t) {
    if (!t) return;
    for (int role = 0; role < N_ROLES; role++) finish_role(&t->roles[role]);
    finish_role(&t->head);
    sample_grid_destroy(t->sampler);
    sample_grid_destroy(t->host);
    measured_attention_destroy(t->attention);
    free(t);
}

const measured_attention *measured_tables_attention(const measured_tables *t) {
    return t->attention;
}

double measured_role_s(const measured_tables *t, measured_role role, uint32_t n_tokens) {
    return role_s(&t->roles[role], n_tokens);
}

double measured_head_s(const measured_tables *t, uint32_t n_sampled) {
    return role_s(&t->head, n_sampled);
}

double measured_sampler_s(const measured_tables *t, uint32_t n_sampled) {
    double x = n_sampled;
    return t->sampler && n_sampled ? sample_grid_at(t->sampler, &x) : 0;
}

double measured_host_s(const measured_tables *t, uint32_t n_seqs) {
    double x = n_seqs;
    return t->host ? sample_grid_at(t->host, &x) : 0;
}
