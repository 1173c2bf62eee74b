/* scene.h - a scheduler under an adaptive policy, an iteration a step, for tests that know what
 * is to come. Blocks of 4 tokens; requests are numbered as they come. What goes wrong fails the
 * test. */
#ifndef SCENE_H
#define SCENE_H

#include "plain_costs.h"
#include "step_driver.h"

enum { STEP_NS = 100000 };

typedef struct scene {
    plain_costs constants;
    cost_model costs;
    scheduler_config config;
    step_driver d;
    int64_t step; /* the next */
    uint64_t n_added;
} scene;

/* A policy that believes in 0.1 ms per token and per block copied, and is certain of it;
 * constants and limits may be changed before the start. With fairness=1 the oldest has had its
 * turn then, so that nobody in a scene is a senior. */
void scene_init(scene *c, const char *policy_text, uint32_t n_device, uint32_t n_host);
void scene_start(scene *c);
void scene_finish(scene *c);

/* Two requests of 2 and 3 blocks in a pool of 5, both running, before step 1, in which the
 * first needs its third block. */
void scene_start_two(scene *c, const char *policy_text, uint32_t n_host);

/* A request that arrives now; n_output is for it to know. */
void scene_add(scene *c, uint32_t n_prompt, uint32_t n_output);
void scene_add_from(scene *c, uint32_t client, uint32_t n_prompt, uint32_t n_output);

/* The two halves of a step; all steps before `step`. Invariants are checked behind each half.
 */
void scene_decide(scene *c);
void scene_complete(scene *c);
void scene_run_until(scene *c, int64_t step);

/* Of a request that is there. */
uint32_t scene_slot_of(const scene *c, uint64_t request_id);
const sequence *scene_seq_of(const scene *c, uint64_t request_id);

/* Its chunk in the plan at hand; seq is NO_SEQ if it has none. */
plan_chunk scene_chunk_of(const scene *c, uint64_t request_id);

/* Blocks of a sequence that lie on either side. */
uint32_t sequence_n_on_device(const sequence *q);
uint32_t sequence_n_on_host(const sequence *q);

#endif
