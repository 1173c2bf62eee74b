/* report_html.h - a page about stored runs: what they are, their figures side by side,
 * drawings. */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

#include <stdio.h>

#include "compare.h"

/* Writes the page, one HTML file without scripts. images [n_images] are names of SVG files
 * beside it. ST_IO, without a message: the stream failed, errno says why. */
MUST_USE status report_write_html(FILE *out, const stored_run *runs, size_t n,
                                  const char *const *images, size_t n_images);

#endif
