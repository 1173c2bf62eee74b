#include "option_table.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void option_table_longs(struct option *out, const option_row *rows, size_t n, int first_code) {
    for (size_t i = 0; i < n; i++)
        out[i] = (struct option){rows[i].name,
                                 rows[i].kind == OPTION_FLAG ? no_argument : required_argument,
                                 NULL, first_code + (int)i};
}

static status parse_count(uint32_t *out, const option_row *row, const char *text, errbuf *err) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    unsigned min = row->kind == OPTION_POSITIVE;
    if (*text < '0' || *text > '9' || *end || errno || n < min || n >= UINT32_MAX)
        return fail(err, ST_INVALID, "--%s needs a whole number from %u to %u, not '%s'",
                    row->name, min, UINT32_MAX - 1, text);
    *out = (uint32_t)n;
    return ST_OK;
}

static status parse_real(double *out, const option_row *row, const char *text, errbuf *err) {
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || !(x >= 0 && x < 1e12))
        return fail(err, ST_INVALID, "--%s needs a number from 0 to below 1e12, not '%s'",
                    row->name, text);
    *out = x;
    return ST_OK;
}

static status set(char *settings, const option_row *row, const char *value, errbuf *err) {
    char *field = settings + row->offset;
    uint32_t count = 0;
    double real = 0;
    bool yes = true;
    switch (row->kind) {
    case OPTION_FLAG:
        memcpy(field, &yes, sizeof(yes));
        break;
    case OPTION_TEXT:
        memcpy(field, &value, sizeof(value));
        break;
    case OPTION_COUNT:
    case OPTION_POSITIVE:
        TRY(parse_count(&count, row, value, err));
        memcpy(field, &count, sizeof(count));
        break;
    case OPTION_REAL:
        TRY(parse_real(&real, row, value, err));
        memcpy(field, &real, sizeof(real));
        break;
    }
    if (row->given != OPTION_NO_FLAG) memcpy(settings + row->given, &yes, sizeof(yes));
    return ST_OK;
}

bool option_table_set(void *settings, status *st, const option_row *rows, size_t n,
                      int first_code, int code, const char *value, errbuf *err) {
    if (code < first_code || (size_t)(code - first_code) >= n) return false;
    *st = set(settings, &rows[code - first_code], value, err);
    return true;
}
