#include "profile_report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sample_set.h"

static bool is_same_work(const sample *a, const sample *b) {
    return a->op == b->op && strcmp(a->part, b->part) == 0;
}

/* True if no sample before i is of the same operation and part. */
static bool is_first(const import_group *g, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (is_same_work(&g->samples[j], &g->samples[i])) return false;
    return true;
}

/* Bounds of one operation and part of a group. */
typedef struct ranges {
    sample low, high; /* feature by feature */
    size_t n;
} ranges;

static ranges ranges_of(const import_group *g, const sample *work) {
    ranges r = {.low = *work, .high = *work};
    for (size_t i = 0; i < g->n; i++) {
        const sample *s = &g->samples[i];
        if (!is_same_work(s, work)) continue;
        r.n++;
#define X(column, member, type)                                                                \
    if (s->member < r.low.member) r.low.member = s->member;                                    \
    if (s->member > r.high.member) r.high.member = s->member;
        SAMPLE_FEATURES(X)
#undef X
        r.low.bytes = fmin(r.low.bytes, s->bytes);
        r.high.bytes = fmax(r.high.bytes, s->bytes);
        r.low.seconds = fmin(r.low.seconds, s->seconds);
        r.high.seconds = fmax(r.high.seconds, s->seconds);
    }
    return r;
}

static void print_work(const import_group *g, const sample *work) {
    ranges r = ranges_of(g, work);
    printf("  %-17s %-24s %8zu %12.6g %12.6g ", operation_name(work->op), work->part, r.n,
           r.low.seconds * 1e3, r.high.seconds * 1e3);
#define X(column, member, type)                                                                \
    if (r.low.member != r.high.member)                                                         \
        printf(" " #column " %llu-%llu", (unsigned long long)r.low.member,                     \
               (unsigned long long)r.high.member);
    SAMPLE_FEATURES(X)
#undef X
    if (r.low.bytes < r.high.bytes) printf(" bytes %.0f-%.0f", r.low.bytes, r.high.bytes);
    printf("\n");
}

void profile_report_imported(const imported *all) {
    printf("  %-17s %-24s %8s %12s %12s  %s\n", "operation", "part", "samples", "shortest, ms",
           "longest", "features that vary");
    for (size_t i = 0; i < all->n_groups; i++) {
        const import_group *g = &all->groups[i];
        printf("%s, %s, tp %u: %s\n", g->device, g->model[0] ? g->model : "no model",
               (unsigned)g->tp, g->source);
        for (size_t j = 0; j < g->n; j++)
            if (is_first(g, j)) print_work(g, &g->samples[j]);
    }
    printf("\n%llu rows; left out: %llu values, bad: %llu rows\n",
           (unsigned long long)all->n_rows, (unsigned long long)all->n_left_out,
           (unsigned long long)all->n_bad);
    if (all->n_bad) printf("the first bad row: %s\n", all->first_bad.text);
}

static void print_share(double value) {
    if (isnan(value))
        printf(" %10s", "-");
    else
        printf(" %10.2f", 100 * value);
}

void profile_report_list(const profile_summaries *list) {
    printf("%-20s %-16s %3s %-17s %-24s %8s %8s %-8s %10s %10s\n", "device", "model", "tp",
           "operation", "part", "profiles", "samples", "fit", "error, %", "held out");
    for (size_t i = 0; i < list->n; i++) {
        const profile_summary *r = &list->rows[i];
        printf("%-20s %-16s %3u %-17s %-24s %8llu %8llu %-8s", r->device,
               r->model ? r->model : "-", (unsigned)r->tp, operation_name(r->op),
               r->part[0] ? r->part : "-", (unsigned long long)r->n_profiles,
               (unsigned long long)r->n_samples, r->fit_kind ? r->fit_kind : "-");
        print_share(r->mape);
        print_share(r->held_out_mape);
        printf("\n");
    }
}
