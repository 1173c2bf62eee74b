#include "status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

const char *status_text(status st) {
    static const char *const texts[] = {
#define X(code, text) text,
        STATUS_LIST(X)
#undef X
    };
    size_t i = (size_t)st;
    return i < sizeof(texts) / sizeof(texts[0]) ? texts[i] : "unknown status";
}

status fail(errbuf *err, status st, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof(err->text), format, args);
        va_end(args);
    }
    return st;
}
