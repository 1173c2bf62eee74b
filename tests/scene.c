#include "scene.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "adaptive_state.h"

static void must(status st, const errbuf *err) {
    if (st == ST_OK) return;
    fprintf(stderr, "%s\n", err->text);
    abort();
}

void scene_init(scene *c, const char *policy_text, uint32_t n_device, uint32_t n_host) {
    errbuf err = {0};
    *c = (scene){.constants = {.latency = {.token_s = 1e-4, .byte_s = 1e-4, .copy_slowdown = 1},
                               .block_bytes = 1}};
    c->config = scheduler_config_defaults();
    must(policy_parse(&c->config.policy, policy_text, &err), &err);
    c->config.block_tokens = 4;
    c->config.n_device_blocks = n_device;
    c->config.n_host_blocks = n_host;
    c->config.max_model_len = 200;
    c->costs = plain_cost_model(&c->constants);
    c->config.costs = &c->costs;
}

void scene_start(scene *c) {
    step_driver_init(&c->d, &c->config);
    if (c->config.policy.settings.fairness == 1) adaptive_of(c->d.scheduler)->n_by_age = 1;
    c->d.step_ns = STEP_NS;
}

void scene_finish(scene *c) {
    step_driver_finish(&c->d);
}

void scene_add_from(scene *c, uint32_t client, uint32_t n_prompt, uint32_t n_output) {
    request r = {.id = c->n_added++,
                 .arrival_ns = c->step * STEP_NS,
                 .n_prompt = n_prompt,
                 .n_output_max = 150,
                 .client = client};
    step_driver_add(&c->d, &r, n_output);
}

void scene_add(scene *c, uint32_t n_prompt, uint32_t n_output) {
    scene_add_from(c, 0, n_prompt, n_output);
}

void scene_decide(scene *c) {
    errbuf err = {0};
    must(step_driver_schedule(&c->d, c->step, &err), &err);
    must(scheduler_check(c->d.scheduler, &err), &err);
}

void scene_complete(scene *c) {
    errbuf err = {0};
    step_driver_complete(&c->d, c->step++);
    must(scheduler_check(c->d.scheduler, &err), &err);
}

void scene_run_until(scene *c, int64_t step) {
    while (c->step < step) {
        scene_decide(c);
        scene_complete(c);
    }
}

uint32_t scene_slot_of(const scene *c, uint64_t request_id) {
    const sequence_table *t = scheduler_table(c->d.scheduler);
    for (uint32_t id = 0; id < t->n_touched; id++)
        if (t->seqs[id].state != SEQ_UNUSED && t->seqs[id].req.id == request_id) return id;
    fprintf(stderr, "request %u is not there\n", (unsigned)request_id);
    abort();
}

const sequence *scene_seq_of(const scene *c, uint64_t request_id) {
    return &scheduler_table(c->d.scheduler)->seqs[scene_slot_of(c, request_id)];
}

uint32_t sequence_n_on_device(const sequence *q) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->n_slots; i++) n += q->slots[i].device != KV_NO_BLOCK;
    return n;
}

uint32_t sequence_n_on_host(const sequence *q) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < q->n_slots; i++) n += q->slots[i].host != KV_NO_BLOCK;
    return n;
}

plan_chunk scene_chunk_of(const scene *c, uint64_t request_id) {
    uint32_t id = scene_slot_of(c, request_id);
    for (uint32_t i = 0; i < c->d.plan->n_chunks; i++)
        if (c->d.plan->chunks[i].seq == id) return c->d.plan->chunks[i];
    return (plan_chunk){.seq = NO_SEQ};
}

void scene_start_two(scene *c, const char *policy_text, uint32_t n_host) {
    scene_init(c, policy_text, 5, n_host);
    scene_start(c);
    scene_add(c, 8, 8);
    scene_add(c, 10, 10);
    scene_run_until(c, 1);
    assert(scene_seq_of(c, 0)->state == SEQ_RUNNING);
    assert(scene_seq_of(c, 1)->state == SEQ_RUNNING);
    assert(scheduler_n_free_device(c->d.scheduler) == 0);
}
