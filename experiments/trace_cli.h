/* trace_cli.h - the command-line options that say which requests: shared by `replay` and
 * `trace`.
 *
 * A command puts TRACE_CLI_LONGS into its table for getopt_long(), hands every option for which
 * trace_cli_knows() to trace_cli_set(), and prints trace_cli_help in its --help. */
#ifndef TRACE_CLI_H
#define TRACE_CLI_H

#include <getopt.h>
#include <stdbool.h>

#include "status.h"
#include "trace.h"

/* Above all characters, so that they collide with no short option. */
enum {
    TRACE_CLI_TRACE = 0x500,
    TRACE_CLI_WORKLOAD,
    TRACE_CLI_ARRIVAL,
    TRACE_CLI_RATE,
    TRACE_CLI_LIMIT,
    TRACE_CLI_SEED,
    TRACE_CLI_SKIP_BAD,
    TRACE_CLI_SORT,
    TRACE_CLI_OUTPUT_LIMIT,
    TRACE_CLI_END,
};

/* Where the requests come from, for commands that take them so. */
#define TRACE_CLI_SOURCE_LONGS                                                                 \
    {"trace", required_argument, NULL, TRACE_CLI_TRACE}, {                                     \
        "workload", required_argument, NULL, TRACE_CLI_WORKLOAD                                \
    }

#define TRACE_CLI_LONGS                                                                        \
    {"arrival", required_argument, NULL, TRACE_CLI_ARRIVAL},                                   \
        {"rate", required_argument, NULL, TRACE_CLI_RATE},                                     \
        {"limit", required_argument, NULL, TRACE_CLI_LIMIT},                                   \
        {"seed", required_argument, NULL, TRACE_CLI_SEED},                                     \
        {"skip-bad", no_argument, NULL, TRACE_CLI_SKIP_BAD},                                   \
        {"sort", no_argument, NULL, TRACE_CLI_SORT}, {                                         \
        "output-limit", required_argument, NULL, TRACE_CLI_OUTPUT_LIMIT                        \
    }

/* Lines for --help, each ending in a line feed. */
extern const char trace_cli_source_help[], trace_cli_help[];

bool trace_cli_knows(int option);

/* Takes one option over; value is optarg, which o then borrows. ST_INVALID: the value is none.
 */
MUST_USE status trace_cli_set(trace_options *o, int option, const char *value, errbuf *err);

/* The workloads with their texts, for --help, to standard output. */
void trace_cli_print_workloads(void);

#endif
