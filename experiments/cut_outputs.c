#include "cut_outputs.h"

static status next(void *context, request *out, uint32_t *n_output, errbuf *err) {
    cut_outputs *c = context;
    TRY(c->from.next(c->from.context, out, n_output, err));
    uint32_t limit = scheduler_output_limit(c->scheduler, out);
    if (limit == 0 || limit >= *n_output) return ST_OK; /* none is rejected, not cut */
    c->n_requests++;
    c->n_tokens += *n_output - limit;
    return ST_OK;
}

request_source cut_outputs_count(cut_outputs *c, request_source from, const scheduler *s) {
    *c = (cut_outputs){.from = from, .scheduler = s};
    return (request_source){next, c};
}
