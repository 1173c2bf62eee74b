/* device_options.h - the options that say on what to run, for every command that builds a
 * device. They set fields of run_settings. */
#ifndef DEVICE_OPTIONS_H
#define DEVICE_OPTIONS_H

#include "option_table.h"

enum { N_DEVICE_OPTIONS = 20 };

extern const option_row device_options[N_DEVICE_OPTIONS];

/* Lines for --help, each ending in a line feed. */
extern const char device_options_help[];

#endif
