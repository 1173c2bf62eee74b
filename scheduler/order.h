/* order.h - who is more urgent: all order policies, one row each.
 *
 *   fcfs         by arrival
 *   priority     by the request's priority, then by arrival
 *   hrrn         highest response ratio next: (wait + service) / service, service predicted
 *   srpt-oracle  shortest remaining service first, from the true output length; preempts
 *   lpt-oracle   longest output first, from the true length: the shortest makespan
 *   sjf-prompt   shortest prompt first
 *   mlfq         skip-join multi-level feedback queue (FastServe, arXiv 2305.05920); preempts
 *   vtc          the client that was served least first (Sheng et al., OSDI 2024)
 *   gittins      index of the learned distribution of the remaining work; preempts */
#ifndef ORDER_H
#define ORDER_H

#include "policy.h"

/* [N_ORDERS] by ORDER_. */
extern const order_policy order_policies[];

#endif
