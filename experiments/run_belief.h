/* run_belief.h - the predictor of a run: fits that are stored, or made before it starts.
 *
 * Fits are made by the microbenchmarks of the run's own backend and of its times (--latency,
 * --noise, --block-size), as `adaptivellm profile` and `fit` make them: from their seed, over
 * the pools that the device has and at least their limits, without --drift. So fits do not
 * depend on the run's seed, policy, pools and drift, and runs that differ in these alone have
 * the same predictor whichever of them made it. A run reads what was made from the database as
 * any later run does, and what is there is taken as it is: runs of other times or of larger
 * limits want a database of their own. */
#ifndef RUN_BELIEF_H
#define RUN_BELIEF_H

#include "belief.h"
#include "run_setup.h"

/* *out is NULL when no fits are asked for, or when they are not needed and a database of
 * samples for measured latency has none. *still is the same, to be told nothing of the run: for
 * solo times, which must not follow a drift; NULL: it is not wanted. ST_INVALID or
 * ST_NOT_FOUND: the policy needs fits, or a database that was named has none, and settings do
 * not let them be made; the message has the commands that do. Others as from measuring, fitting
 * and the database. */
MUST_USE status run_belief_open(belief **out, belief **still, const run_setup *setup,
                                const run_settings *settings, errbuf *err);

/* A latency source that answers as the belief does, which is borrowed: for a device whose own
 * times cannot be known. */
latency_source run_belief_latency(const belief *b);

#endif
