#include "client_accounts.h"

#include <stdbool.h>
#include <stdlib.h>

void client_accounts_finish(client_accounts *c) {
    free(c->accounts);
    *c = (client_accounts){0};
}

/* Finds a client's account or opens one at its end. */
static status find(client_accounts *c, uint32_t *out, uint32_t client) {
    uint32_t i = 0;
    while (i < c->n && c->accounts[i].client != client) i++;
    *out = i;
    if (i < c->n) return ST_OK;
    if (c->n == c->capacity) {
        uint32_t capacity = 2 * c->capacity + 16;
        client_account *accounts = realloc(c->accounts, capacity * sizeof(*accounts));
        if (!accounts) return ST_NO_MEMORY;
        c->accounts = accounts;
        c->capacity = capacity;
    }
    c->accounts[c->n++] = (client_account){.client = client};
    return ST_OK;
}

/* The least that any of the clients who are here was charged; when nobody is, what the last one
 * was who left. */
static double charged_least(const client_accounts *c) {
    bool found = false;
    double least = c->charged_of_last;
    for (uint32_t i = 0; i < c->n; i++) {
        const client_account *a = &c->accounts[i];
        if (a->n_requests == 0 || (found && a->charged >= least)) continue;
        least = a->charged;
        found = true;
    }
    return least;
}

status client_accounts_enter(client_accounts *c, uint32_t *account, uint32_t client) {
    TRY(find(c, account, client));
    client_account *own = &c->accounts[*account];
    if (own->n_requests == 0) {
        double least = charged_least(c);
        if (own->charged < least) own->charged = least;
    }
    own->n_requests++;
    return ST_OK;
}

void client_accounts_leave(client_accounts *c, uint32_t account) {
    client_account *own = &c->accounts[account];
    if (--own->n_requests == 0) c->charged_of_last = own->charged;
}
