#include "trace.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "arrivals.h"
#include "sorted_records.h"
#include "trace_reader.h"
#include "workload.h"

enum { FILE_OUTPUT_MAX = 32768, FORMAT_BYTES = 64 };

/* What the first pass over a file found. */
typedef struct survey {
    uint64_t n;
    int64_t first_ns, last_ns;
    uint32_t first_client;
    bool has_clients; /* more than one */
} survey;

struct trace {
    trace_options options;
    char format[FORMAT_BYTES];

    /* Where the records come from: one of the three. */
    trace_reader *reader;
    sorted_records *sorted;
    workload *workload;
    workload_settings workload_settings;

    bool counted; /* what follows is that of the whole stream */
    bool has_clients;
    uint64_t n_requests, n_bad, n_failed;

    arrivals *arrivals; /* NULL: the records' own times */
    arrival_settings arrival_settings;
    double stretch; /* factor on the records' own times */
    uint32_t n_output_max;

    uint64_t next_id;
    int64_t first_ns; /* time of the first record, on its own clock */
};

trace_options trace_options_defaults(void) {
    return (trace_options){.seed = 1};
}

static status open_reader(trace *t, errbuf *err) {
    trace_reader_options options = trace_reader_options_defaults();
    options.skip_bad = t->options.skip_bad;
    options.any_order = t->options.sort;
    options.n_output_max = t->n_output_max;
    options.priority = t->options.priority;
    options.client = t->options.client;
    return trace_reader_open(&t->reader, t->options.file, &options, err);
}

static void close_reader(trace *t) {
    trace_reader_close(t->reader);
    t->reader = NULL;
}

static status next_record(trace *t, trace_record *out, errbuf *err) {
    if (t->reader) return trace_reader_next(t->reader, out, err);
    if (t->sorted) return sorted_records_next(t->sorted, out);
    workload_next(t->workload, out);
    return ST_OK;
}

/* Reads the records once, as far as they will be used. */
static status count_records(trace *t, survey *s, errbuf *err) {
    *s = (survey){0};
    status st = ST_OK;
    while (t->options.limit == 0 || s->n < t->options.limit) {
        trace_record record;
        st = t->sorted ? sorted_records_next(t->sorted, &record)
                       : trace_reader_next(t->reader, &record, err);
        if (st != ST_OK) break;
        if (s->n++ == 0) {
            s->first_ns = record.time_ns;
            s->first_client = record.client;
        }
        s->last_ns = record.time_ns;
        s->has_clients |= record.client != s->first_client;
    }
    if (st != ST_OK && st != ST_END) return st;
    /* The reader is at its end, or where the limit stopped it. */
    t->n_requests = s->n;
    t->has_clients = s->has_clients;
    t->n_bad = trace_reader_n_bad(t->reader);
    t->n_failed = trace_reader_n_failed(t->reader);
    if (s->n > 0) return ST_OK;
    return fail(err, ST_FORMAT,
                "%s: there is no request in it (%llu bad lines and %llu failed requests were "
                "passed over)",
                t->options.file, (unsigned long long)t->n_bad, (unsigned long long)t->n_failed);
}

static bool can_read_twice(const char *path) {
    struct stat info;
    return strcmp(path, "-") != 0 && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* Requests per second of a surveyed trace, 0 when it has no rate. */
static double own_rate(const survey *s) {
    int64_t duration_ns = s->last_ns - s->first_ns;
    return s->n < 2 || duration_ns == 0 ? 0 : (double)(s->n - 1) / ((double)duration_ns / 1e9);
}

/* Decides where the times come from, for a file. */
static status choose_times(trace *t, bool has_arrivals, const survey *s, errbuf *err) {
    const trace_options *o = &t->options;
    double own = has_arrivals ? own_rate(s) : 0;
    t->stretch = 1;
    if (has_arrivals && !o->arrival) {
        if (o->rate_per_s == 0 || s->n == 1) return ST_OK;
        if (!t->counted)
            return fail(err, ST_INVALID,
                        "%s: --rate needs a file that can be read twice, or --arrival",
                        o->file);
        if (own == 0)
            return fail(err, ST_INVALID,
                        "%s: all requests arrive at once, which no --rate can spread; use "
                        "--arrival",
                        o->file);
        t->stretch = own / o->rate_per_s;
        return ST_OK;
    }
    arrival_settings settings = arrival_settings_defaults();
    if (own > 0) settings.rate_per_s = own;
    if (o->arrival) {
        status st = arrival_settings_parse(&settings, o->arrival, err);
        if (st != ST_OK) return st;
    }
    if (o->rate_per_s > 0) settings.rate_per_s = o->rate_per_s;
    t->arrival_settings = settings;
    return arrivals_create(&t->arrivals, &settings, o->seed, err);
}

/* Back to the first record, of a file. */
static status start_over(trace *t, errbuf *err) {
    close_reader(t);
    if (!t->sorted) return open_reader(t, err);
    sorted_records_rewind(t->sorted);
    return ST_OK;
}

static status open_file(trace *t, errbuf *err) {
    t->n_output_max = t->options.n_output_max ? t->options.n_output_max : FILE_OUTPUT_MAX;
    status st = open_reader(t, err);
    if (st != ST_OK) return st;
    bool has_arrivals = trace_reader_has_arrivals(t->reader);
    snprintf(t->format, sizeof(t->format), "%s", trace_reader_format(t->reader));
    survey s = {0};
    if (t->options.sort) st = sorted_records_read(&t->sorted, t->reader, err);
    t->counted = t->sorted || can_read_twice(t->options.file);
    if (st == ST_OK && t->counted) st = count_records(t, &s, err);
    if (st == ST_OK) st = choose_times(t, has_arrivals, &s, err);
    return st == ST_OK && t->counted ? start_over(t, err) : st;
}

static status open_workload(trace *t, errbuf *err) {
    const trace_options *o = &t->options;
    workload_settings *s = &t->workload_settings;
    status st = workload_parse(s, o->workload, err);
    if (st == ST_OK && o->arrival) st = arrival_settings_parse(&s->arrivals, o->arrival, err);
    if (st != ST_OK) return st;
    if (o->limit) s->n = o->limit;
    if (o->rate_per_s > 0) s->arrivals.rate_per_s = o->rate_per_s;
    st = workload_create(&t->workload, s, o->seed, err);
    if (st == ST_OK) st = arrivals_create(&t->arrivals, &s->arrivals, o->seed, err);
    if (st != ST_OK) return st;
    t->arrival_settings = s->arrivals;
    t->n_requests = s->n;
    t->has_clients = s->clients > 1;
    t->counted = true;
    snprintf(t->format, sizeof(t->format), "workload %s", s->kind->name);
    uint32_t longest = workload_output_max(t->workload);
    t->n_output_max = o->n_output_max ? o->n_output_max : longest;
    if (t->n_output_max < longest)
        return fail(
            err, ST_INVALID,
            "workload '%s' has outputs of up to %u tokens, over the declared limit of %u; "
            "raise it with --output-limit",
            s->kind->name, longest, t->n_output_max);
    return ST_OK;
}

status trace_open(trace **out, const trace_options *options, errbuf *err) {
    if (!options->file == !options->workload)
        return fail(err, ST_INVALID, "give one of a trace file and a workload");
    if (!(options->rate_per_s >= 0) || options->rate_per_s > 1e9)
        return fail(err, ST_INVALID, "a rate of %g requests/s is not within 0 and 1e9",
                    options->rate_per_s);
    trace *t = calloc(1, sizeof(*t));
    if (!t) return fail(err, ST_NO_MEMORY, "trace: out of memory");
    t->options = *options;
    status st = options->file ? open_file(t, err) : open_workload(t, err);
    if (st != ST_OK) {
        trace_close(t);
        return st;
    }
    *out = t;
    return ST_OK;
}

void trace_close(trace *t) {
    if (!t) return;
    close_reader(t);
    sorted_records_destroy(t->sorted);
    workload_destroy(t->workload);
    arrivals_destroy(t->arrivals);
    free(t);
}

static status set_time(trace *t, request *out, const trace_record *record, errbuf *err) {
    if (t->arrivals) return arrivals_next(t->arrivals, &out->arrival_ns, err);
    if (t->next_id == 0) t->first_ns = record->time_ns;
    out->arrival_ns = record->time_ns - t->first_ns;
    if (t->stretch == 1) return ST_OK;
    double ns = nearbyint((double)out->arrival_ns * t->stretch);
    if (ns >= 0x1p63)
        return fail(err, ST_INVALID, "%s: at this rate times go beyond 292 years; raise it",
                    t->options.file);
    out->arrival_ns = (int64_t)ns;
    return ST_OK;
}

static status next_request(void *context, request *out, uint32_t *n_output, errbuf *err) {
    trace *t = context;
    uint64_t limit = t->counted ? t->n_requests : t->options.limit;
    if (limit && t->next_id == limit) return ST_END;
    trace_record record;
    status st = next_record(t, &record, err);
    if (st != ST_OK) return st;
    request made = {.id = t->next_id,
                    .n_prompt = record.n_prompt,
                    .n_output_max = t->n_output_max,
                    .priority = record.priority,
                    .client = record.client,
                    .prefix_ids = record.prefix_ids,
                    .n_prefix_ids = record.n_prefix_ids,
                    .prefix_tokens = record.prefix_tokens};
    st = set_time(t, &made, &record, err);
    if (st != ST_OK) return st;
    t->next_id++;
    *out = made;
    *n_output = record.n_output;
    return ST_OK;
}

request_source trace_requests(trace *t) {
    return (request_source){next_request, t};
}

status trace_rewind(trace *t, errbuf *err) {
    if (!t->counted) return fail(err, ST_INVALID, "%s can be read only once", t->options.file);
    t->next_id = 0;
    status st = ST_OK;
    if (t->workload) {
        workload_destroy(t->workload);
        t->workload = NULL;
        st = workload_create(&t->workload, &t->workload_settings, t->options.seed, err);
    } else if (t->sorted)
        sorted_records_rewind(t->sorted);
    else {
        close_reader(t);
        st = open_reader(t, err);
    }
    if (st != ST_OK || !t->arrivals) return st;
    arrivals_destroy(t->arrivals);
    t->arrivals = NULL;
    return arrivals_create(&t->arrivals, &t->arrival_settings, t->options.seed, err);
}

uint64_t trace_n_requests(const trace *t) {
    return t->counted ? t->n_requests : 0;
}

uint64_t trace_n_bad(const trace *t) {
    return t->counted ? t->n_bad : trace_reader_n_bad(t->reader);
}

uint64_t trace_n_failed(const trace *t) {
    return t->counted ? t->n_failed : trace_reader_n_failed(t->reader);
}

bool trace_has_clients(const trace *t) {
    return !t->counted || t->has_clients;
}

const char *trace_format(const trace *t) {
    return t->format;
}

bool trace_arrivals_are_generated(const trace *t) {
    return t->arrivals != NULL;
}
