/* fit_json.h - a fit as text for profiles.db, and back. */
#ifndef FIT_JSON_H
#define FIT_JSON_H

#include "fit.h"

/* Name of this way of fitting; texts of another kind are refused. */
#define FIT_KIND "terms x table, 1"

/* Writes f as JSON into *text, to be freed. Numbers keep all digits that matter: what is read
 * back predicts the same to within 1e-9. ST_NO_MEMORY. */
MUST_USE status fit_to_json(char **text, const fit *f, errbuf *err);

/* Reads a fit. On error *out is not written. ST_FORMAT: not what fit_to_json wrote, with what
 * is wrong; ST_NO_MEMORY. */
MUST_USE status fit_from_json(fit *out, const char *text, errbuf *err);

#endif
