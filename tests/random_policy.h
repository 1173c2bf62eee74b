/* random_policy.h - rows of the adaptive memory policy with settings drawn at random, as text
 * for policy_parse. */
#ifndef RANDOM_POLICY_H
#define RANDOM_POLICY_H

#include <stdint.h>

enum { POLICY_TEXT_SIZE = 256 };

/* draw answers uniformly in [low, high]. One in three texts is a row with its defaults. */
void random_adaptive_policy(char text[POLICY_TEXT_SIZE],
                            uint32_t (*draw)(void *context, uint32_t low, uint32_t high),
                            void *context);

#endif
