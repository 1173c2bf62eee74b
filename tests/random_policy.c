#include "random_policy.h"

#include <stdio.h>
#include <string.h>

typedef struct dice {
    uint32_t (*draw)(void *context, uint32_t low, uint32_t high);
    void *context;
    char *text;
} dice;

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *const names[] = {
    "adaptive",       "cost-aware",           "always-swap", "always-recompute",
    "fcfs-watermark", "least-computed-first", "min-waste",   "fastserve",
    "srpt-oracle",    "oracle-bound"};
static const char *const orders[] = {"fcfs",        "priority",   "hrrn",
                                     "srpt-oracle", "lpt-oracle", "sjf-prompt",
                                     "mlfq",        "vtc",        "gittins"};
static const char *const mechanisms[] = {"recompute", "swap",      "cheaper",
                                         "marginal",  "min-waste", "free"};
static const char *const victims[] = {"least-urgent", "least-computed", "cheapest"};
static const char *const fairnesses[] = {"0", "0.5", "0.9", "1"};
static const char *const hystereses[] = {"0", "0.2", "2"};
static const char *const watermarks[] = {"0", "0", "0.1", "0.3"};
static const char *const counts[] = {"0", "0", "1", "3", "8", "50"};
static const char *const switches[] = {"on", "off"};

/* Appends one of values under a key. */
static void put(dice *d, const char *key, const char *const *values, size_t n) {
    const char *value = values[d->draw(d->context, 0, (uint32_t)n - 1)];
    size_t at = strlen(d->text);
    snprintf(d->text + at, POLICY_TEXT_SIZE - at, ",%s=%s", key, value);
}

void random_adaptive_policy(char text[POLICY_TEXT_SIZE],
                            uint32_t (*draw)(void *context, uint32_t low, uint32_t high),
                            void *context) {
    dice d = {draw, context, text};
    const char *name = names[draw(context, 0, N_OF(names) - 1)];
    snprintf(text, POLICY_TEXT_SIZE, "%s", name);
    if (draw(context, 0, 2) == 0) return;
    put(&d, "order", orders, N_OF(orders));
    put(&d, "mechanism", mechanisms, N_OF(mechanisms));
    put(&d, "victim", victims, N_OF(victims));
    put(&d, "fairness", fairnesses, N_OF(fairnesses));
    put(&d, "hysteresis", hystereses, N_OF(hystereses));
    put(&d, "min_service", counts, N_OF(counts));
    put(&d, "chunk", counts, N_OF(counts));
    put(&d, "watermark", watermarks, N_OF(watermarks));
    static const char *const keys[] = {"mixed", "beside",  "partial",     "write_back",
                                       "split", "reserve", "prefix_cache"};
    for (size_t i = 0; i < N_OF(keys); i++) put(&d, keys[i], switches, N_OF(switches));
}
