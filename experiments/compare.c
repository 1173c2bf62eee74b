#include "compare.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { GAP = 2, RATIO_WIDTH = 9 };

static const figure_id chosen[] = {
    FIG_n_requests,
    FIG_n_finished,
    FIG_n_rejected,
    FIG_makespan_s,
    FIG_request_throughput_per_s,
    FIG_output_throughput_tokens_per_s,
    FIG_weighted_turnaround_mean,
    FIG_weighted_turnaround_p50,
    FIG_weighted_turnaround_p99,
    FIG_turnaround_s_mean,
    FIG_turnaround_s_p99,
    FIG_ttft_s_mean,
    FIG_ttft_s_p50,
    FIG_ttft_s_p99,
    FIG_tpot_s_mean,
    FIG_tpot_s_p99,
    FIG_itl_s_p99,
    FIG_queue_s_mean,
    FIG_jain_fairness,
    FIG_slo_attainment,
    FIG_n_preemptions,
    FIG_n_swap_out_blocks,
    FIG_n_swap_in_blocks,
    FIG_recomputed_tokens,
    FIG_stall_swap_s,
    FIG_stall_recompute_s,
    FIG_kv_utilization_mean,
    FIG_compute_busy_fraction,
};

bool compare_ratio(double *ratio, const stored_run *base, const stored_run *run, figure_id id) {
    const run_figures *a = &base->figures, *b = &run->figures;
    if (!a->known[id] || !b->known[id] || a->value[id] == 0) return false;
    *ratio = b->value[id] / a->value[id];
    return true;
}

/* ------------------------------------------------------------ table of figures */

void compare_value_text(char text[COMPARE_TEXT_SIZE], const stored_run *run, figure_id id) {
    double value = run->figures.value[id], size = fabs(value);
    if (!run->figures.known[id])
        strcpy(text, "-");
    else if (figure_is_whole(id))
        snprintf(text, COMPARE_TEXT_SIZE, "%.0f", value);
    else if (size >= 1000 && size < 1e15)
        snprintf(text, COMPARE_TEXT_SIZE, "%.0f", value);
    else if (size >= 1e-3 && size < 1000)
        snprintf(text, COMPARE_TEXT_SIZE, "%.*f", 3 - (int)floor(log10(size)), value);
    else
        snprintf(text, COMPARE_TEXT_SIZE, "%.3g", value);
}

void compare_ratio_text(char text[COMPARE_TEXT_SIZE], const stored_run *base,
                        const stored_run *run, figure_id id, bool is_error) {
    double ratio;
    if (!compare_ratio(&ratio, base, run, id))
        strcpy(text, "-");
    else if (is_error)
        snprintf(text, COMPARE_TEXT_SIZE, "%+.2f%%", 100 * (ratio - 1));
    else
        snprintf(text, COMPARE_TEXT_SIZE, ratio < 99.95 ? "%.3fx" : "%.3gx", ratio);
}

static const char *or_dash(const char *text) {
    return text && *text ? text : "-";
}

static int max_int(int a, int b) {
    return a > b ? a : b;
}

/* Width of a run's values: the longest of them and of its policy. */
static int value_width(const stored_run *run) {
    int width = (int)strlen(or_dash(run->policy));
    for (int i = 0; i < N_FIGURES; i++) {
        char text[COMPARE_TEXT_SIZE];
        compare_value_text(text, run, (figure_id)i);
        width = max_int(width, (int)strlen(text));
    }
    return width;
}

static int text_width(void) {
    int width = 0;
    for (int i = 0; i < N_FIGURES; i++)
        width = max_int(width, (int)strlen(figure_text((figure_id)i)));
    return width;
}

/* One cell of each run: its value, and from the second run on the ratio. */
static void print_cell(FILE *out, const stored_run *run, bool is_first, const char *value,
                       const char *ratio) {
    fprintf(out, "%*s%*s", GAP, "", value_width(run), value);
    if (!is_first) fprintf(out, "%*s", RATIO_WIDTH, ratio);
}

static void print_figure(FILE *out, const stored_run *runs, size_t n, figure_id id,
                         bool errors) {
    fprintf(out, "%-*s", text_width(), figure_text(id));
    for (size_t i = 0; i < n; i++) {
        char value[COMPARE_TEXT_SIZE], ratio[COMPARE_TEXT_SIZE];
        compare_value_text(value, &runs[i], id);
        compare_ratio_text(ratio, &runs[0], &runs[i], id, errors);
        print_cell(out, &runs[i], i == 0, value, ratio);
    }
    fputc('\n', out);
}

bool compare_any_knows(const stored_run *runs, size_t n, figure_id id) {
    for (size_t i = 0; i < n; i++)
        if (runs[i].figures.known[id]) return true;
    return false;
}

static void print_heading(FILE *out, const stored_run *runs, size_t n, bool errors) {
    char id[COMPARE_TEXT_SIZE], to[COMPARE_TEXT_SIZE];
    snprintf(to, sizeof(to), errors ? "of %" PRId64 : "to %" PRId64, runs[0].id);
    fprintf(out, "%-*s", text_width(), "");
    for (size_t i = 0; i < n; i++) {
        snprintf(id, sizeof(id), "run %" PRId64, runs[i].id);
        print_cell(out, &runs[i], i == 0, id, errors ? "error" : "ratio");
    }
    fprintf(out, "\n%-*s", text_width(), "");
    for (size_t i = 0; i < n; i++)
        print_cell(out, &runs[i], i == 0, or_dash(runs[i].policy), to);
    fputc('\n', out);
}

/* ------------------------------------------------------------ table of runs */

typedef struct run_column {
    const char *heading;
    size_t offset; /* of the text in a stored_run */
} run_column;

static const run_column run_columns[] = {
    {"policy", offsetof(stored_run, policy)},
    {"label", offsetof(stored_run, label)},
    {"trace", offsetof(stored_run, trace)},
    {"model", offsetof(stored_run, model)},
    {"device", offsetof(stored_run, device)},
    {"backend", offsetof(stored_run, backend)},
    {"outcome", offsetof(stored_run, outcome)},
    {"stored (UTC)", offsetof(stored_run, created_utc)},
};
enum { N_RUN_COLUMNS = sizeof(run_columns) / sizeof(run_columns[0]) };

static const char *column_text(const stored_run *run, size_t offset) {
    return *(char *const *)((const char *)run + offset);
}

const char *compare_run_column(size_t i, const stored_run *run) {
    if (i >= N_RUN_COLUMNS) return NULL;
    return run ? or_dash(column_text(run, run_columns[i].offset)) : run_columns[i].heading;
}

static int column_width(const run_column *column, const stored_run *runs, size_t n) {
    int width = (int)strlen(column->heading);
    for (size_t i = 0; i < n; i++)
        width = max_int(width, (int)strlen(or_dash(column_text(&runs[i], column->offset))));
    return width;
}

static void print_runs(FILE *out, const stored_run *runs, size_t n) {
    fprintf(out, "%5s  %12s", "run", "seed");
    for (size_t c = 0; c < N_RUN_COLUMNS; c++)
        fprintf(out, "  %-*s", column_width(&run_columns[c], runs, n), run_columns[c].heading);
    fputc('\n', out);
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "%5" PRId64 "  %12" PRIu64, runs[i].id, runs[i].seed);
        for (size_t c = 0; c < N_RUN_COLUMNS; c++)
            fprintf(out, "  %-*s", column_width(&run_columns[c], runs, n),
                    or_dash(column_text(&runs[i], run_columns[c].offset)));
        fputc('\n', out);
    }
    fputc('\n', out);
}

void compare_print_table(FILE *out, const stored_run *runs, size_t n,
                         const compare_view *view) {
    print_runs(out, runs, n);
    print_heading(out, runs, n, view->errors);
    if (view->all) {
        for (int i = 0; i < N_FIGURES; i++)
            print_figure(out, runs, n, (figure_id)i, view->errors);
        return;
    }
    for (size_t i = 0; i < sizeof(chosen) / sizeof(chosen[0]); i++)
        if (compare_any_knows(runs, n, chosen[i]))
            print_figure(out, runs, n, chosen[i], view->errors);
}

/* ------------------------------------------------------------ warnings */

static void warn_texts(FILE *out, const char *prefix, const char *what, size_t offset,
                       const stored_run *runs, size_t n) {
    const char *first = or_dash(column_text(&runs[0], offset));
    for (size_t i = 1; i < n; i++) {
        const char *other = or_dash(column_text(&runs[i], offset));
        if (strcmp(first, other) == 0) continue;
        fprintf(out,
                "%sthe runs differ in %s: run %" PRId64 " has %s, run %" PRId64 " has %s\n",
                prefix, what, runs[0].id, first, runs[i].id, other);
        return;
    }
}

static void warn_seeds(FILE *out, const char *prefix, const stored_run *runs, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (runs[i].seed == runs[0].seed) continue;
        fprintf(out,
                "%sthe runs differ in seed: run %" PRId64 " has %" PRIu64 ", run %" PRId64
                " has %" PRIu64 "\n",
                prefix, runs[0].id, runs[0].seed, runs[i].id, runs[i].seed);
        return;
    }
}

void compare_print_warnings(FILE *out, const char *prefix, const stored_run *runs, size_t n,
                            const compare_view *view) {
    warn_texts(out, prefix, "trace", offsetof(stored_run, trace), runs, n);
    warn_texts(out, prefix, "model", offsetof(stored_run, model), runs, n);
    if (view->errors) {
        warn_texts(out, prefix, "policy", offsetof(stored_run, policy), runs, n);
    } else {
        warn_texts(out, prefix, "device", offsetof(stored_run, device), runs, n);
        warn_texts(out, prefix, "backend", offsetof(stored_run, backend), runs, n);
    }
    warn_seeds(out, prefix, runs, n);
    compare_warn_settings(out, prefix, runs, n, view);
    for (size_t i = 0; i < n; i++)
        if (strcmp(or_dash(runs[i].outcome), "finished") != 0)
            fprintf(out, "%srun %" PRId64 " did not finish (%s: %s): its figures end there\n",
                    prefix, runs[i].id, or_dash(runs[i].outcome), or_dash(runs[i].message));
}
