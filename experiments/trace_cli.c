#include "trace_cli.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "number.h"
#include "workload.h"

const char trace_cli_source_help[] =
    "  --trace FILE         requests of a file, the format told from its content: Azure,\n"
    "                       BurstGPT, Vidur and native CSV, length tables, Mooncake and\n"
    "                       native JSONL, plain or gzip; - is standard input\n"
    "  --workload NAME[,KEY=VALUE...]\n"
    "                       generated requests, see `adaptivellm trace generate --help`\n";

const char trace_cli_help[] =
    "  --arrival NAME[,KEY=VALUE...]\n"
    "                       makes the times anew: poisson, gamma, weibull (both cv=3),\n"
    "                       bursty (on=10, off=30: mean seconds), all-at-once; all but the\n"
    "                       last also take rate (default: that of the trace or workload,\n"
    "                       1 where it has none)\n"
    "  --rate R             mean rate, requests/s; the times of a trace are stretched to it\n"
    "  --limit N            the first N requests of a file, exactly N of a workload\n"
    "  --seed N             of lengths and times that are generated (default 1)\n"
    "  --skip-bad           counts bad lines and goes on, instead of stopping at the first\n"
    "  --sort               sorts the file by time, in memory\n"
    "  --output-limit N     declared output limit of every request, tokens (default: the\n"
    "                       longest output of the workload, 32768 for a file)\n";

bool trace_cli_knows(int option) {
    return option >= TRACE_CLI_TRACE && option < TRACE_CLI_END;
}

static status set_rate(double *out, const char *value, errbuf *err) {
    int64_t billionths;
    if (!number_parse_seconds(&billionths, value) || billionths == 0 ||
        billionths > INT64_C(1000000000000000000))
        return fail(err, ST_INVALID,
                    "--rate: '%.100s' is not a number of requests/s from 1e-9 to 1e9", value);
    *out = (double)billionths / 1e9;
    return ST_OK;
}

static status set_whole(uint64_t *out, const char *name, const char *value, uint64_t min,
                        uint64_t max, errbuf *err) {
    uint64_t number;
    if (!number_parse_u64(&number, value) || number < min || number > max)
        return fail(err, ST_INVALID, "--%s: '%.100s' is not a whole number from %llu to %llu",
                    name, value, (unsigned long long)min, (unsigned long long)max);
    *out = number;
    return ST_OK;
}

status trace_cli_set(trace_options *o, int option, const char *value, errbuf *err) {
    uint64_t limit = 0;
    status st = ST_OK;
    switch (option) {
    case TRACE_CLI_TRACE:
        o->file = value;
        break;
    case TRACE_CLI_WORKLOAD:
        o->workload = value;
        break;
    case TRACE_CLI_ARRIVAL:
        o->arrival = value;
        break;
    case TRACE_CLI_RATE:
        return set_rate(&o->rate_per_s, value, err);
    case TRACE_CLI_LIMIT:
        return set_whole(&o->limit, "limit", value, 1, UINT64_MAX, err);
    case TRACE_CLI_SEED:
        return set_whole(&o->seed, "seed", value, 0, UINT64_MAX, err);
    case TRACE_CLI_SKIP_BAD:
        o->skip_bad = true;
        break;
    case TRACE_CLI_SORT:
        o->sort = true;
        break;
    case TRACE_CLI_OUTPUT_LIMIT:
        st = set_whole(&limit, "output-limit", value, 1, TRACE_MAX_TOKENS, err);
        if (st == ST_OK) o->n_output_max = (uint32_t)limit;
        break;
    default:
        break;
    }
    return st;
}

void trace_cli_print_workloads(void) {
    size_t n;
    const workload_kind *kinds = workload_kinds(&n);
    for (size_t i = 0; i < n; i++)
        printf("  %-12s %-36s %6.3f requests/s\n", kinds[i].name, kinds[i].text,
               kinds[i].rate_per_s);
}
