#include "number.h"

#include <string.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool number_parse_u64(uint64_t *out, const char *text) {
    uint64_t value = 0;
    const char *p = text;
    for (; is_digit(*p); p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    if (p == text || *p) return false;
    *out = value;
    return true;
}

bool number_parse_i32(int32_t *out, const char *text) {
    bool negative = *text == '-';
    uint64_t size;
    if (!number_parse_u64(&size, text + negative)) return false;
    if (size > (uint64_t)INT32_MAX + negative) return false;
    *out = (int32_t)(negative ? -(int64_t)size : (int64_t)size);
    return true;
}

/* digits * 10^exponent, rounded to a whole number, half up. */
static bool scale(int64_t *out, uint64_t digits, int exponent) {
    for (; exponent > 0 && digits > 0; exponent--) {
        if (digits > INT64_MAX / 10) return false;
        digits *= 10;
    }
    uint64_t last = 0; /* the digit cut off last decides how to round */
    for (; exponent < 0 && (digits > 0 || last > 0); exponent++) {
        last = digits % 10;
        digits /= 10;
    }
    digits += last >= 5;
    if (digits > INT64_MAX) return false;
    *out = (int64_t)digits;
    return true;
}

/* Reads "e-05" at *p, if there is one, into *exponent. */
static bool read_exponent(const char **p, int *exponent) {
    *exponent = 0;
    if (**p != 'e' && **p != 'E') return true;
    (*p)++;
    bool negative = **p == '-';
    if (**p == '-' || **p == '+') (*p)++;
    if (!is_digit(**p)) return false;
    for (; is_digit(**p); (*p)++)
        if (*exponent < 1000) *exponent = *exponent * 10 + (**p - '0');
    if (negative) *exponent = -*exponent;
    return true;
}

bool number_parse_seconds(int64_t *ns, const char *text) {
    uint64_t digits = 0;
    int shift = 0; /* power of ten that digits still lacks */
    bool any = false, fraction = false;
    const char *p = text;
    for (;; p++) {
        if (*p == '.' && !fraction) {
            fraction = true;
            continue;
        }
        if (!is_digit(*p)) break;
        any = true;
        /* Digits that no longer fit are far below a nanosecond, or the time is out of range. */
        bool fits = digits < UINT64_MAX / 10;
        if (fits) digits = digits * 10 + (uint64_t)(*p - '0');
        shift += (fits ? 0 : 1) - (fraction ? 1 : 0);
        if (shift > 1000) return false;
    }
    int exponent;
    if (!any || !read_exponent(&p, &exponent) || *p) return false;
    return scale(ns, digits, shift + exponent + 9);
}

/* Two digits at p, at most max; -1 when they are not. Reads nothing behind a NUL. */
static int two_digits(const char *p, int max) {
    if (!is_digit(p[0]) || !is_digit(p[1])) return -1;
    int value = (p[0] - '0') * 10 + (p[1] - '0');
    return value <= max ? value : -1;
}

static int days_of_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* "2023-11-16" as days since 1970-01-01; -1 when it is no such day. */
static int64_t parse_date(const char *p) {
    int century = two_digits(p, 21);
    int in_century = century < 19 ? -1 : two_digits(p + 2, 99);
    if (in_century < 0 || p[4] != '-') return -1;
    int year = century * 100 + in_century;
    int month = two_digits(p + 5, 12);
    if (year < 1970 || month < 1 || p[7] != '-') return -1;
    int day = two_digits(p + 8, days_of_month(year, month));
    if (day < 1) return -1;
    int64_t days = day - 1;
    for (int m = 1; m < month; m++) days += days_of_month(year, m);
    int y = year - 1; /* leap days of the years before this one, less those before 1970 */
    return days + (year - 1970) * 365 + (y / 4 - y / 100 + y / 400) - 477;
}

/* "", "Z" or "+hh:mm": nanoseconds by which the clock is ahead of UTC. */
static bool parse_zone(const char *p, int64_t *ahead_ns) {
    *ahead_ns = 0;
    if (*p == '\0' || strcmp(p, "Z") == 0) return true;
    if (*p != '+' && *p != '-') return false;
    int hours = two_digits(p + 1, 14);
    if (hours < 0 || p[3] != ':') return false;
    int minutes = two_digits(p + 4, 59);
    if (minutes < 0 || p[6]) return false;
    *ahead_ns = (hours * 60 + minutes) * INT64_C(60000000000) * (*p == '-' ? -1 : 1);
    return true;
}

bool number_parse_clock(int64_t *ns, const char *text) {
    int64_t days = parse_date(text);
    if (days < 0 || (text[10] != ' ' && text[10] != 'T')) return false;
    const char *p = text + 11;
    int hours = two_digits(p, 23);
    if (hours < 0 || p[2] != ':') return false;
    int minutes = two_digits(p + 3, 59);
    if (minutes < 0 || p[5] != ':') return false;
    int seconds = two_digits(p + 6, 59);
    if (seconds < 0) return false;
    p += 8;
    int64_t fraction = 0, unit = 100000000;
    if (*p == '.') {
        if (!is_digit(*++p)) return false;
        for (; is_digit(*p); p++, unit /= 10) fraction += (*p - '0') * unit;
    }
    int64_t ahead_ns;
    if (!parse_zone(p, &ahead_ns)) return false;
    int64_t of_day = (hours * 60 + minutes) * 60 + seconds;
    int64_t value = (days * 86400 + of_day) * INT64_C(1000000000) + fraction - ahead_ns;
    if (value < 0) return false;
    *ns = value;
    return true;
}
