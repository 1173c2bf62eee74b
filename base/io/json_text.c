#include "json_text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* Bytes of the character that s begins with; 0: none of UTF-8 (RFC 3629, section 4). The byte
 * that ends the text is no continuation, so nothing behind it is read. */
static size_t character_bytes(const unsigned char *s) {
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xC2 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (n == 0 || s[0] > 0xF4) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    bool is_overlong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xF0 && s[1] < 0x90);
    bool is_surrogate = s[0] == 0xED && s[1] >= 0xA0;
    bool is_beyond = s[0] == 0xF4 && s[1] >= 0x90;
    return is_overlong || is_surrogate || is_beyond ? 0 : n;
}

json_t *json_text(const char *text) {
    if (!text) return json_null();
    char *valid = malloc(strlen(text) * (sizeof(replacement) - 1) + 1);
    if (!valid) return NULL;
    char *end = valid;
    while (*text) {
        size_t n = character_bytes((const unsigned char *)text);
        const char *from = n ? text : replacement;
        size_t n_from = n ? n : sizeof(replacement) - 1;
        memcpy(end, from, n_from);
        end += n_from;
        text += n ? n : 1;
    }
    *end = '\0';
    json_t *json = json_string(valid);
    free(valid);
    return json;
}
