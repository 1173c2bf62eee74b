#include "trace_place.h"

#include <stdarg.h>
#include <stdio.h>

status trace_bad_value(const trace_place *place, const char *column, const char *value,
                       const char *wanted, errbuf *err) {
    return fail(err, ST_FORMAT, "%s:%llu:%s: '%.60s' is not %s", place->file,
                (unsigned long long)place->line, column, value, wanted);
}

status trace_bad_line(const trace_place *place, const char *column, errbuf *err,
                      const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return fail(err, ST_FORMAT, "%s:%llu:%s%s %s", place->file, (unsigned long long)place->line,
                column ? column : "", column ? ":" : "", text);
}
