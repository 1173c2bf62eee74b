/* event_board.h - what the threads of an engine report, in one order of time.
 *
 * The board owns the clock. An event gets its time when it is posted, so that the order of
 * posting, of times and of reading is one, and no two events have the same time. It also keeps
 * how long the host link was busy.
 * Clock:   monotonic, 0 at the first event_board_now_ns(); does not run before.
 * Threads: any may post and report copies; one reads. */
#ifndef EVENT_BOARD_H
#define EVENT_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

typedef enum board_event_kind { BOARD_COPY, BOARD_COMPUTE } board_event_kind;

typedef struct board_event {
    board_event_kind kind;
    int64_t at_ns;    /* set by the board */
    uint64_t copy_id; /* of a copy */
    double copy_s;    /* of a copy: on its stream, waiting excluded */
} board_event;

typedef struct event_board event_board;

/* ST_NO_MEMORY; ST_IO: the system has no lock or clock for it. */
MUST_USE status event_board_create(event_board **out, errbuf *err);

/* No thread may use it any more. b may be NULL. */
void event_board_destroy(event_board *b);

int64_t event_board_now_ns(event_board *b);

/* Makes room for one more event; call it once before each that will be posted. ST_NO_MEMORY. */
MUST_USE status event_board_reserve(event_board *b);

void event_board_post(event_board *b, board_event event);

/* Waits for the first event that has not been read and writes it to *out. False: there is none
 * with a time of at most until_ns, and the clock has come to until_ns. */
bool event_board_wait(event_board *b, board_event *out, int64_t until_ns);

/* A copy of either kind starts or ends now. */
void event_board_copy_starts(event_board *b);
void event_board_copy_ends(event_board *b);

/* Seconds with at least one copy under way. */
double event_board_copying_s(event_board *b);

#endif
