/* json_text.h - texts from outside as JSON strings.
 *
 * Names of files and labels may hold any bytes, JSON holds Unicode only: jansson makes no
 * string of a text that is not UTF-8. */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H

#include <jansson.h>

/* The text as a JSON string, each byte that is no part of valid UTF-8 replaced by U+FFFD; null
 * for NULL. NULL without memory. */
json_t *json_text(const char *text);

#endif
