/* memory_check.h - is there memory for what is about to be allocated? Asked before loading. */
#ifndef MEMORY_CHECK_H
#define MEMORY_CHECK_H

#include <stdint.h>

#include "status.h"

/* Bytes that this process can still get: what the system says is available, and not more than
 * the limit of the control group (version 2, as a container sees it) leaves. UINT64_MAX: the
 * system does not say. */
uint64_t memory_available_bytes(void);

/* ST_NO_MEMORY, with both figures, when `needed` bytes are more than there are; `what` says
 * what needs them. */
MUST_USE status memory_check(uint64_t needed, const char *what, errbuf *err);

#endif
