#include "restore_prediction.h"

#include <assert.h>
#include <math.h>

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

/* Those who decode in the middle of the segment stand for all of it. */
static void count_members(load_segment *s, const decoding *others, uint32_t n) {
    uint32_t middle = s->first + (s->end - s->first) / 2;
    for (uint32_t i = n; i > 0 && others[i - 1].n_left > middle; i--) {
        s->n_seqs++;
        s->contexts += others[i - 1].context;
        if (s->longest < others[i - 1].context) s->longest = others[i - 1].context;
    }
}

void load_forecast_init(load_forecast *out, const decoding *others, uint32_t n) {
    assert(n <= RESTORE_OTHERS_MAX);
    *out = (load_forecast){0};
    uint32_t group = (n + LOAD_SEGMENTS_MAX - 1) / LOAD_SEGMENTS_MAX, first = 0;
    for (uint32_t i = 0; i < n; i += group) {
        load_segment s = {.first = first, .end = others[least(i + group, n) - 1].n_left};
        if (s.end == first) continue; /* they end together with those before */
        count_members(&s, others, n);
        out->segments[out->n++] = s;
        first = s.end;
    }
}

/* Of the segments, or the emptiness behind them. */
static load_segment segment_at(const load_forecast *f, uint32_t iteration) {
    for (uint32_t i = 0; i < f->n; i++)
        if (iteration < f->segments[i].end) return f->segments[i];
    return (load_segment){.end = UINT32_MAX};
}

static batch_shape others_at(const load_segment *s, uint32_t iteration) {
    batch_shape b = {0};
    uint64_t grown = (uint64_t)iteration + 1; /* the new token included */
    if (s->n_seqs > 0)
        batch_shape_add_decodes(&b, s->n_seqs, s->contexts + s->n_seqs * grown,
                                s->longest + grown);
    return b;
}

static double seconds(const cost_model *m, const batch_shape *b) {
    return b->n_tokens ? m->iteration(m->context, b).s : 0;
}

/* n decodes of the victim from iteration `first` on. Times are linear in the contexts, so the
 * middle of a span stands for it. */
static double decode_s(const load_forecast *f, const cost_model *m, uint32_t n_kv,
                       uint32_t first, uint32_t n) {
    double sum = 0;
    for (uint32_t i = first; i < first + n;) {
        load_segment s = segment_at(f, i);
        uint32_t end = least(s.end, first + n), middle = i + (end - i - 1) / 2;
        batch_shape b = others_at(&s, middle);
        double without = seconds(m, &b);
        uint64_t kv = (uint64_t)n_kv + (middle - first) + 1;
        batch_shape_add_decodes(&b, 1, kv, kv);
        sum += (end - i) * (without + (1 + s.n_seqs) * (seconds(m, &b) - without));
        i = end;
    }
    return sum;
}

static double recompute_s(const load_forecast *f, const cost_model *m, const restore_case *c,
                          double error, uint32_t *n_iterations) {
    double sum = 0;
    uint32_t n_before = 0;
    for (*n_iterations = 0; n_before <= c->n_kv; ++*n_iterations) {
        load_segment s = segment_at(f, *n_iterations);
        batch_shape b = others_at(&s, *n_iterations);
        uint32_t n = least(c->budget - s.n_seqs, c->n_kv + 1 - n_before);
        cost added = s.n_seqs ? cost_of_added_prefill(m, &b, n_before, n)
                              : cost_of_lone_prefill(m, n_before, n);
        sum += seconds(m, &b) + (1 + s.n_seqs) * error * added.s;
        n_before += n;
    }
    return sum;
}

/* When the victim's copy ends: those ahead of it, each in one piece, and its own. */
static double copied_s(const cost_model *m, const restore_case *c) {
    const copy_load busy = {.other_direction = c->other_direction_busy, .compute = true};
    uint32_t n_whole = c->n_queued_blocks / RESTORE_QUEUED_COPY;
    uint32_t rest = c->n_queued_blocks % RESTORE_QUEUED_COPY;
    double s =
        m->copy(m->context, LINK_TO_DEVICE, c->n_blocks, restore_case_segments(c), busy).s;
    if (n_whole > 0)
        s += n_whole * m->copy(m->context, LINK_TO_DEVICE, RESTORE_QUEUED_COPY, 1, busy).s;
    if (rest > 0) s += m->copy(m->context, LINK_TO_DEVICE, rest, 1, busy).s;
    return s;
}

/* The first n iterations of a segment, the victim not among them. */
static double first_s(const cost_model *m, const load_segment *s, uint32_t n) {
    batch_shape b = others_at(s, s->first + (n - 1) / 2);
    return n * seconds(m, &b);
}

/* Start of the first iteration at or after `wanted_s`, and how many there are before. When no
 * other is left the device is idle, and it starts at once. */
static double start_after(const load_forecast *f, const cost_model *m, double wanted_s,
                          uint32_t *n_iterations) {
    double passed_s = 0;
    *n_iterations = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        const load_segment *s = &f->segments[i];
        uint32_t n = s->end - s->first;
        double all_s = first_s(m, s, n), left_s = wanted_s - passed_s;
        if (all_s >= left_s) {
            /* Contexts grow: the middle of those needed is nearer than that of all. */
            n = least(n, (uint32_t)ceil(left_s / all_s * n));
            n = least(s->end - s->first, (uint32_t)ceil(left_s / first_s(m, s, n) * n));
            *n_iterations = s->first + n;
            return passed_s + first_s(m, s, n);
        }
        passed_s += all_s;
        *n_iterations = s->end;
    }
    return wanted_s;
}

double predict_total(const load_forecast *f, const cost_model *m, const restore_case *c,
                     restore_kind kind, restore_errors errors) {
    assert(kind == RESTORE_SWAP || kind == RESTORE_RECOMPUTE);
    uint32_t n;
    double s;
    if (kind == RESTORE_SWAP) {
        s = start_after(f, m, errors.copy * copied_s(m, c), &n);
        return s + decode_s(f, m, c->n_kv, n, c->n_left);
    }
    s = recompute_s(f, m, c, errors.recompute, &n);
    return s + decode_s(f, m, c->n_kv + 1, n, c->n_left - 1);
}
