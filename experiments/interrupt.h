/* interrupt.h - SIGINT and SIGTERM as a wish to end with what is done, not at once. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

typedef struct interrupt {
    struct sigaction before_int, before_term;
} interrupt;

/* From begin to end the signals are noted and do nothing else. One at a time. */
void interrupt_begin(interrupt *i);
void interrupt_end(const interrupt *i);

/* Whether one came since the latest begin. */
bool interrupt_came(void);

#endif
