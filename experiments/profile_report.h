/* profile_report.h - what `profile` prints of imported samples and of a profile database. */
#ifndef PROFILE_REPORT_H
#define PROFILE_REPORT_H

#include "import.h"
#include "profile_store.h"

/* Per device, model and tp a line, then one per operation and part: samples, shortest and
 * longest time, and the features that vary with their range. */
void profile_report_imported(const imported *all);

/* One line per device, model, tp, operation and part. */
void profile_report_list(const profile_summaries *list);

#endif
