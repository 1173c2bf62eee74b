#include "measured_attention.h"

#include <stdlib.h>

#include "sample_choice.h"
#include "skew_table.h"

struct measured_attention {
    sample_grid *prefill, *decode, *mixed; /* mixed may be NULL */
    bool by_pairs;                         /* the axes of prefill */
    double n_new_min;                      /* of the mixed samples */
    skew_table *skew;
};

/* ------------------------------------------------------------ from samples to grids */

/* Which kernels: of these heads, or (any) of the model itself, which do not tell. */
typedef struct kernel_choice {
    head_shape heads;
    bool any;
    double fold;   /* sequences of a sample that make one of ours */
    bool by_pairs; /* of prefill */
} kernel_choice;

static bool has_heads(const kernel_choice *c, const sample *s) {
    if (c->any) return s->n_heads == 0;
    return s->n_heads == c->heads.n_heads && s->n_kv_heads == c->heads.n_kv_heads &&
           s->head_dim == c->heads.head_dim;
}

static bool at_decode(const void *context, const sample *s, double x[GRID_AXES_MAX]) {
    const kernel_choice *c = context;
    if (!has_heads(c, s) || s->batch.n_decode == 0) return false;
    x[0] = s->batch.n_decode / c->fold;
    x[1] = (double)s->batch.decode_kv_tokens / s->batch.n_decode;
    return x[1] >
           1; /* a context of one token is a prompt of one: tables of prefill hold them */
}

static double cached_tokens(const batch_shape *b) {
    return (double)(b->prefill_kv_tokens - b->n_prefill_tokens);
}

static bool at_prefill(const void *context, const sample *s, double x[GRID_AXES_MAX]) {
    const kernel_choice *c = context;
    const batch_shape *b = &s->batch;
    if (!has_heads(c, s) || b->n_prefill == 0) return false;
    if (c->by_pairs) {
        x[0] = b->n_prefill / c->fold;
        x[1] = (double)b->prefill_pairs / b->n_prefill;
        return true;
    }
    x[0] = b->n_prefill_tokens;
    x[1] = cached_tokens(b);
    return b->n_prefill == 1;
}

static bool at_mixed(const void *context, const sample *s, double x[GRID_AXES_MAX]) {
    const batch_shape *b = &s->batch;
    if (!has_heads(context, s) || b->n_prefill != 1 || b->n_decode == 0) return false;
    x[0] = b->n_decode;
    x[1] = b->n_prefill_tokens;
    x[2] = cached_tokens(b);
    x[3] = (double)b->decode_kv_tokens / b->n_decode;
    return true;
}

/* The kernel sees key-value heads of sequences: where only samples of fewer heads exist, in the
 * same groups, a batch of `fold` times as many sequences does the same work. */
static status make_kernel(sample_grid **out, sample_choice choice, head_shape heads,
                          bool by_pairs, sample_list list) {
    kernel_choice c = {.any = true, .fold = 1, .by_pairs = by_pairs};
    choice.part = "";
    choice.context = &c;
    TRY(sample_choice_grid(out, &choice, list));
    c.any = false;
    for (uint32_t fold = 1; !*out && fold <= heads.n_kv_heads; fold++) {
        if (heads.n_kv_heads % fold) continue;
        c.heads = (head_shape){heads.n_heads / fold, heads.n_kv_heads / fold, heads.head_dim};
        c.fold = fold;
        TRY(sample_choice_grid(out, &choice, list));
    }
    return ST_OK;
}

/* Was prefill behind cached tokens measured? */
static bool has_cached(sample_list list) {
    for (size_t i = 0; i < list.n; i++)
        if (list.samples[i].op == OP_PREFILL_ATTENTION &&
            list.samples[i].batch.prefill_kv_tokens > list.samples[i].batch.n_prefill_tokens)
            return true;
    return false;
}

static double least_new(sample_list list) {
    double least = 0;
    for (size_t i = 0; i < list.n; i++) {
        const batch_shape *b = &list.samples[i].batch;
        if (list.samples[i].op == OP_MIXED_ATTENTION && b->n_prefill == 1 &&
            (least == 0 || b->n_prefill_tokens < least))
            least = b->n_prefill_tokens;
    }
    return least;
}

static status fill(measured_attention *a, head_shape heads, sample_list list, sample_list skew,
                   errbuf *err) {
    const sample_choice decode = {.op = OP_DECODE_ATTENTION, .n_axes = 2, .at = at_decode};
    const sample_choice prefill = {.op = OP_PREFILL_ATTENTION, .n_axes = 2, .at = at_prefill};
    const sample_choice mixed = {.op = OP_MIXED_ATTENTION, .n_axes = 4, .at = at_mixed};
    a->by_pairs = !has_cached(list);
    a->n_new_min = least_new(list);
    TRY(make_kernel(&a->decode, decode, heads, false, list));
    TRY(make_kernel(&a->prefill, prefill, heads, a->by_pairs, list));
    TRY(make_kernel(&a->mixed, mixed, heads, false, list));
    if (!a->decode || !a->prefill)
        return fail(err, ST_NOT_FOUND,
                    "there are no samples of the %s attention of %u heads, %u of them "
                    "key-value heads, of %u values",
                    a->decode ? "prefill" : "decode", heads.n_heads, heads.n_kv_heads,
                    heads.head_dim);
    return skew_table_create(&a->skew, list, skew);
}

status measured_attention_create(measured_attention **out, head_shape heads, sample_list list,
                                 sample_list skew, errbuf *err) {
    measured_attention *a = calloc(1, sizeof(*a));
    if (!a) return ST_NO_MEMORY;
    status st = fill(a, heads, list, skew, err);
    if (st == ST_OK)
        *out = a;
    else
        measured_attention_destroy(a);
    return st;
}

void measured_attention_destroy(measured_attention *a) {
    if (!a) return;
    sample_grid_destroy(a->prefill);
    sample_grid_destroy(a->decode);
    sample_grid_destroy(a->mixed);
    skew_table_destroy(a->skew);
    free(a);
}

/* ------------------------------------------------------------ looking up */

/* Prefill alone: all chunks as one of n_new tokens behind `cached`, or chunk by chunk. */
static double prefill_s(const measured_attention *a, const batch_shape *b, double n_new,
                        double cached) {
    const double by_tokens[] = {n_new, cached};
    const double by_pairs[] = {b->n_prefill, (double)b->prefill_pairs / b->n_prefill};
    return sample_grid_at(a->prefill, a->by_pairs ? by_pairs : by_tokens);
}

/* With equal contexts of this length. */
static double kernel_s(const measured_attention *a, const batch_shape *b, double context) {
    double n_decode = b->n_decode, n_new = b->n_prefill_tokens;
    const double decode_x[] = {n_decode, context};
    if (b->n_prefill == 0) return sample_grid_at(a->decode, decode_x);
    /* Cached tokens of one chunk with these pairs; negative for several chunks, where the grid
     * goes on: time is near linear in pairs. */
    double cached = ((double)b->prefill_pairs - n_new * (n_new + 1) / 2) / n_new;
    if (b->n_decode == 0) return prefill_s(a, b, n_new, cached);
    if (!a->mixed) return prefill_s(a, b, n_new, cached) + sample_grid_at(a->decode, decode_x);
    if (n_new < a->n_new_min) n_new = a->n_new_min;
    const double x[] = {n_decode, n_new, cached, context};
    return sample_grid_at(a->mixed, x);
}

double measured_attention_s(const measured_attention *a, const batch_shape *b) {
    if (b->n_prefill == 0 && b->n_decode == 0) return 0;
    if (b->n_decode == 0) return kernel_s(a, b, 0);
    double mean = (double)b->decode_kv_tokens / b->n_decode, longest = (double)b->decode_kv_max;
    double mean_s = kernel_s(a, b, mean);
    double alpha = longest > mean ? skew_table_alpha(a->skew, b) : 0;
    if (alpha == 0) return mean_s;
    double longest_s = kernel_s(a, b, longest);
    return longest_s > mean_s ? mean_s + alpha * (longest_s - mean_s) : mean_s;
}
