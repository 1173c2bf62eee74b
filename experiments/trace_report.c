#include "trace_report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json_text.h"

enum { BAR_WIDTH = 24 };

static void print_times(const trace_report *report, const trace_summary *sum) {
    if (!report->has_arrivals) {
        printf("  arrivals                    none\n");
        return;
    }
    printf("  duration, s       %14.1f\n", sum->duration_s);
    if (sum->rate_known) {
        printf("  rate, requests/s  %14.3f\n", sum->rate_per_s);
        printf("  CV of gaps        %14.2f\n", sum->gap_cv);
    } else
        printf("  rate, CV of gaps             not known\n");
    if (sum->n_backwards)
        printf("  %llu times are before the one above: `replay` needs --sort\n",
               (unsigned long long)sum->n_backwards);
}

/* round(): a half is rounded up, not to even. */
static void print_lengths(const char *name, const length_summary *l) {
    printf("  %-8s %9.0f %9.0f %9.0f %9.0f %9u %9u\n", name, round(l->mean), round(l->p50),
           round(l->p90), round(l->p99), l->min, l->max);
}

static void print_rest(const trace_report *report, const trace_summary *sum) {
    if (sum->n_prefix_ids)
        printf("\n  prefix ids: %llu, distinct %llu, reused with an unbounded cache %.1f %%\n",
               (unsigned long long)sum->n_prefix_ids,
               (unsigned long long)sum->n_distinct_prefix_ids,
               100 - 100 * (double)sum->n_distinct_prefix_ids / (double)sum->n_prefix_ids);
    if (sum->n_empty)
        printf("\n  %llu requests have no prompt or no output: `replay` needs --skip-bad\n",
               (unsigned long long)sum->n_empty);
    if (report->n_bad)
        printf("\n  bad lines passed over: %llu\n", (unsigned long long)report->n_bad);
    if (report->n_failed)
        printf("\n  failed requests passed over: %llu\n", (unsigned long long)report->n_failed);
}

static uint64_t greatest(const uint64_t bins[TRACE_STAT_N_BINS]) {
    uint64_t max = 0;
    for (int i = 0; i < TRACE_STAT_N_BINS; i++)
        if (bins[i] > max) max = bins[i];
    return max;
}

/* A bar of up to BAR_WIDTH, padded to width; what is there at all shows. */
static void print_bar(uint64_t count, uint64_t max, int width) {
    char bar[BAR_WIDTH + 1] = "";
    size_t n = max ? (size_t)((double)count / (double)max * BAR_WIDTH + 0.5) : 0;
    if (n == 0 && count > 0) n = 1;
    memset(bar, '#', n);
    printf(" %9llu %-*s", (unsigned long long)count, width, bar);
}

static void print_histogram(const trace_stat *stat) {
    uint64_t prompt[TRACE_STAT_N_BINS], output[TRACE_STAT_N_BINS];
    trace_stat_bins(stat, prompt, output);
    int first = 0, last = TRACE_STAT_N_BINS - 1;
    while (first < last && !prompt[first] && !output[first]) first++;
    while (last > first && !prompt[last] && !output[last]) last--;
    printf("\n  %17s %9s %-*s %9s\n", "tokens", "prompts", BAR_WIDTH, "", "outputs");
    for (int i = first; i <= last; i++) {
        printf("  %8lu-%8lu", i == 0 ? 0 : 1UL << i, (2UL << i) - 1);
        print_bar(prompt[i], greatest(prompt), BAR_WIDTH);
        print_bar(output[i], greatest(output), 0);
        printf("\n");
    }
}

void trace_report_print(const trace_report *report, const trace_stat *stat) {
    trace_summary sum = trace_stat_summary(stat);
    printf("%s: %s\n", report->name, report->format);
    if (sum.n == 0) {
        printf("  there are no requests\n");
        print_rest(report, &sum);
        return;
    }
    printf("  requests          %14llu\n", (unsigned long long)sum.n);
    printf("  clients           %14llu\n", (unsigned long long)sum.n_clients);
    print_times(report, &sum);
    printf("\n  %-8s %9s %9s %9s %9s %9s %9s\n", "tokens", "mean", "p50", "p90", "p99", "min",
           "max");
    print_lengths("prompt", &sum.prompt);
    print_lengths("output", &sum.output);
    print_rest(report, &sum);
    print_histogram(stat);
}

static json_t *real_or_null(bool known, double value) {
    return known ? json_real(value) : json_null();
}

static json_t *lengths_json(const length_summary *l) {
    return json_pack("{s:f, s:f, s:f, s:f, s:I, s:I}", "mean", l->mean, "p50", l->p50, "p90",
                     l->p90, "p99", l->p99, "min", (json_int_t)l->min, "max",
                     (json_int_t)l->max);
}

json_t *trace_report_json(const trace_report *report, const trace_stat *stat) {
    trace_summary sum = trace_stat_summary(stat);
    bool rate_known = report->has_arrivals && sum.rate_known;
    return json_pack(
        "{s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
        json_text(report->name), "format", json_text(report->format), "n_requests",
        (json_int_t)sum.n, "n_clients", (json_int_t)sum.n_clients, "duration_s",
        real_or_null(report->has_arrivals, sum.duration_s), "rate_per_s",
        real_or_null(rate_known, sum.rate_per_s), "gap_cv",
        real_or_null(rate_known, sum.gap_cv), "prompt_tokens", lengths_json(&sum.prompt),
        "output_tokens", lengths_json(&sum.output), "n_prefix_ids",
        (json_int_t)sum.n_prefix_ids, "n_distinct_prefix_ids",
        (json_int_t)sum.n_distinct_prefix_ids, "n_backwards", (json_int_t)sum.n_backwards,
        "n_empty", (json_int_t)sum.n_empty, "n_bad_lines", (json_int_t)report->n_bad,
        "n_failed", (json_int_t)report->n_failed);
}
