/* interrupt.h - SIGINT as a wish to end with what is done, not at once. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

typedef struct interrupt {
    struct sigaction before;
} interrupt;

/* From begin to end SIGINT is noted and does nothing else. One at a time. */
void interrupt_begin(interrupt *i);
void interrupt_end(const interrupt *i);

/* Whether SIGINT came since the latest begin. */
bool interrupt_came(void);

#endif
