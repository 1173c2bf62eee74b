/* number.h - numbers of trace files: strict, exact, the same under every locale.
 *
 * A field is a number from its first byte to its last: no spaces, no sign that the kind does
 * not allow, nothing behind it. Times are kept in whole nanoseconds; digits beyond are rounded.
 * All return false, with nothing written, when the text is not what they parse. */
#ifndef NUMBER_H
#define NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits, at most UINT64_MAX. */
bool number_parse_u64(uint64_t *out, const char *text);

/* As above, with an optional minus sign, within int32_t. */
bool number_parse_i32(int32_t *out, const char *text);

/* A decimal number of seconds, with or without fraction and exponent ("12", "0.25", "1e-05"),
 * not negative, below 2^63 ns. */
bool number_parse_seconds(int64_t *ns, const char *text);

/* A wall clock, "2023-11-16 18:17:03.9799600" (or with a T), with an optional Z or +hh:mm, as
 * ns since 1970-01-01 00:00 UTC; years 1970 to 2199. */
bool number_parse_clock(int64_t *ns, const char *text);

#endif
