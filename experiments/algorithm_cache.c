#include "algorithm_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

status algorithm_cache_read(algorithm_cache *out, const char *path, bool quiet, errbuf *err) {
    *out = (algorithm_cache){.path = path, .quiet = quiet};
    if (!path) return ST_OK;
    profile_store *s;
    status st = profile_store_open(&s, path, DATABASE_READ, err);
    if (st == ST_NOT_FOUND) return ST_OK;
    TRY(st);
    st = profile_store_read_algorithms(s, &out->known, err);
    profile_store_close(s);
    return st;
}

void algorithm_cache_finish(algorithm_cache *c) {
    if (c->searches) progress_end(&c->bar);
    stored_algorithms_finish(&c->known);
    stored_algorithms_finish(&c->used);
}

static void note_used(void *context, const char *line) {
    algorithm_cache *c = context;
    char **grown = realloc(c->used.lines, (c->used.n + 1) * sizeof(*grown));
    if (grown) c->used.lines = grown;
    char *copy = grown ? strdup(line) : NULL;
    c->out_of_memory |= !copy;
    if (copy) c->used.lines[c->used.n++] = copy;
}

static void show_progress(void *context, uint32_t n, uint32_t all) {
    algorithm_cache *c = context;
    if (!c->searches) c->bar = progress_start(all, "shapes of products", c->quiet);
    c->searches = true;
    progress_update(&c->bar, n);
}

void algorithm_cache_attach(algorithm_cache *c, cuda_executor_config *config) {
    config->algorithms = (const char *const *)c->known.lines;
    config->n_algorithms = (uint32_t)c->known.n;
    config->use = note_used;
    config->progress = show_progress;
    config->context = c;
}

static status store(algorithm_cache *c, errbuf *err) {
    profile_store *s;
    TRY(profile_store_open(&s, c->path, DATABASE_CREATE, err));
    status st =
        profile_store_save_algorithms(s, (const char *const *)c->used.lines, c->used.n, err);
    profile_store_close(s);
    return st;
}

static bool is_known(const algorithm_cache *c, const char *line) {
    for (size_t i = 0; i < c->known.n; i++)
        if (strcmp(c->known.lines[i], line) == 0) return true;
    return false;
}

void algorithm_cache_keep(algorithm_cache *c) {
    bool is_new = false;
    for (size_t i = 0; i < c->used.n; i++) is_new |= !is_known(c, c->used.lines[i]);
    if (!c->path || (!is_new && !c->out_of_memory)) return;
    errbuf err = {0};
    status st = c->out_of_memory ? fail(&err, ST_NO_MEMORY, "out of memory") : store(c, &err);
    if (st != ST_OK)
        fprintf(stderr, "adaptivellm: the algorithms of products are not kept: %s\n", err.text);
}
