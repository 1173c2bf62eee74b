#include "sampling_options.h"

#include <math.h>

sampling_options sampling_options_defaults(void) {
    return (sampling_options){.temperature = 0, .top_k = 0, .top_p = 1, .seed = 0};
}

status sampling_options_check(const sampling_options *o, errbuf *err) {
    if (!(o->temperature >= 0 && isfinite(o->temperature)))
        return fail(err, ST_INVALID, "temperature is %g, must be 0 or more", o->temperature);
    if (!(o->top_p > 0 && o->top_p <= 1))
        return fail(err, ST_INVALID, "top_p is %g, must be above 0 and at most 1", o->top_p);
    return ST_OK;
}
