/* figures.h - the figures of a run: one list of names for JSON, results.db and tables.
 *
 * A scalar is one figure; a distribution is five (_mean _p50 _p90 _p99 _max). A figure that is
 * not known (no copies to time, hardware without the truth) is NULL in JSON and SQL, not 0. */
#ifndef FIGURES_H
#define FIGURES_H

#include <stdbool.h>
#include <stddef.h>

/* name, is it a whole number, text for tables (with its unit) */
#define FIGURE_SCALARS(X)                                                                      \
    X(n_requests, true, "requests")                                                            \
    X(n_finished, true, "finished")                                                            \
    X(n_rejected, true, "rejected")                                                            \
    X(makespan_s, false, "makespan, s")                                                        \
    X(request_throughput_per_s, false, "requests/s")                                           \
    X(output_throughput_tokens_per_s, false, "output tokens/s")                                \
    X(total_throughput_tokens_per_s, false, "total tokens/s")                                  \
    X(slo_attainment, false, "SLO attainment")                                                 \
    X(jain_fairness, false, "Jain's index")                                                    \
    X(n_preemptions, true, "preemptions")                                                      \
    X(n_swap_out_blocks, true, "blocks swapped out")                                           \
    X(n_swap_in_blocks, true, "blocks swapped in")                                             \
    X(n_written_back_blocks, true, "blocks written back")                                      \
    X(recomputed_tokens, true, "tokens recomputed")                                            \
    X(prefix_hit_tokens, true, "prefix cache hits, tokens")                                    \
    X(stall_swap_s, false, "stalled by swaps, s")                                              \
    X(stall_recompute_s, false, "stalled by recompute, s")                                     \
    X(kv_utilization_mean, false, "KV use, mean")                                              \
    X(compute_busy_fraction, false, "compute busy")                                            \
    X(copy_busy_fraction, false, "link busy")                                                  \
    X(n_iterations, true, "iterations")                                                        \
    X(predictor_mape_iteration, false, "predictor MAPE, iteration")                            \
    X(predictor_mape_swap, false, "predictor MAPE, swap")                                      \
    X(predictor_mape_recompute, false, "predictor MAPE, recompute")                            \
    X(decision_regret_s, false, "decision regret, s")                                          \
    X(sim_wall_s, false, "wall time, s")

/* name, text for tables (with its unit) */
#define FIGURE_DISTRIBUTIONS(X)                                                                \
    X(turnaround_s, "turnaround, s")                                                           \
    X(weighted_turnaround, "weighted turnaround")                                              \
    X(weighted_turnaround_in_batch, "weighted turnaround in batch")                            \
    X(ttft_s, "TTFT, s")                                                                       \
    X(tpot_s, "TPOT, s")                                                                       \
    X(itl_s, "ITL, s")                                                                         \
    X(queue_s, "queueing, s")

/* FIG_n_requests ..., then FIG_turnaround_s_mean, FIG_turnaround_s_p50 ... */
typedef enum figure_id {
#define X(name, whole, text) FIG_##name,
    FIGURE_SCALARS(X)
#undef X
#define X(name, text)                                                                          \
    FIG_##name##_mean, FIG_##name##_p50, FIG_##name##_p90, FIG_##name##_p99, FIG_##name##_max,
        FIGURE_DISTRIBUTIONS(X)
#undef X
            N_FIGURES
} figure_id;

typedef struct run_figures {
    double value[N_FIGURES];
    bool known[N_FIGURES];
} run_figures;

/* As in JSON and results.db: "ttft_s_p99". */
const char *figure_name(figure_id id);

/* For people, with the unit: "TTFT, s, p99". */
const char *figure_text(figure_id id);

bool figure_is_whole(figure_id id);

#endif
