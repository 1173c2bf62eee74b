/* step_text.h - what the scheduler decided in one step, as text for comparison.
 *
 * The writers give the parts of a line: lists of request ids, each in the order in which the
 * upstream schedulers keep it. Who writes a line chooses its separators and brackets. */
#ifndef STEP_TEXT_H
#define STEP_TEXT_H

#include "step_driver.h"

typedef struct step_text {
    char text[8192];
    size_t n;
    const char *between; /* the entries of a list */
    bool list_is_empty;  /* no entry since the latest step_text_put */
} step_text;

/* An empty line. */
void step_text_init(step_text *l, const char *between);

/* Appends text; a list may start after it. */
void step_text_put(step_text *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Each appends a list of requests of the plan at hand, separated by l->between. */
typedef void step_text_list(step_text *l, const step_driver *d);

step_text_list step_text_prefills;  /* ID:TOKENS, in plan order */
step_text_list step_text_decodes;   /* in running order, those swapped in now last */
step_text_list step_text_scheduled; /* ID:TOKENS of prefills and decodes, in running order */
step_text_list step_text_preempted; /* sorted as text */
step_text_list step_text_ignored;
step_text_list step_text_waiting;
step_text_list step_text_running;
step_text_list step_text_swapped;

/* Blocks that the plan copies in one direction. */
uint32_t step_text_n_copied(const step_driver *d, link_direction direction);

/* Free device blocks, those counted that were taken ahead for later iterations. */
uint32_t step_text_n_free_device(const step_driver *d);

#endif
