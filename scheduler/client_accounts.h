/* client_accounts.h - what each client was served: virtual token counters.
 *
 * Source: Sheng et al., Fairness in Serving Large Language Models, OSDI 2024, algorithm 2.
 * Threads: one owner, no locking. */
#ifndef CLIENT_ACCOUNTS_H
#define CLIENT_ACCOUNTS_H

#include <stdint.h>

#include "status.h"

typedef struct client_account {
    double charged; /* service, in tokens of the prompt */
    uint32_t client, n_requests;
} client_account;

typedef struct client_accounts {
    client_account *accounts; /* [n] in the order in which clients first came */
    uint32_t n, capacity;
    double charged_of_last; /* of the client whose last request ended last */
} client_accounts;

/* Releases the array; all zero is an empty one. */
void client_accounts_finish(client_accounts *c);

/* A request of a client came; the account's place goes to *account. A client that comes back
 * starts level with the least served of those who are here: it cannot save up service.
 * ST_NO_MEMORY: nothing changed. */
MUST_USE status client_accounts_enter(client_accounts *c, uint32_t *account, uint32_t client);

/* It ended. */
void client_accounts_leave(client_accounts *c, uint32_t account);

#endif
