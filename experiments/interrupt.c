#include "interrupt.h"

#include <stddef.h>

/* A handler cannot be given an argument. */
static volatile sig_atomic_t came;

static void note(int signal_number) {
    (void)signal_number;
    came = 1;
}

void interrupt_begin(interrupt *i) {
    struct sigaction action = {.sa_handler = note};
    sigemptyset(&action.sa_mask);
    came = 0;
    sigaction(SIGINT, &action, &i->before_int);
    sigaction(SIGTERM, &action, &i->before_term);
}

void interrupt_end(const interrupt *i) {
    sigaction(SIGINT, &i->before_int, NULL);
    sigaction(SIGTERM, &i->before_term, NULL);
}

bool interrupt_came(void) {
    return came;
}
