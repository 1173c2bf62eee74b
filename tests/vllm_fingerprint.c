/* vllm_fingerprint.c - prints what the scheduler decided on the small random workload of
 * fingerprint.h: hashes after 10, 40, 100 steps and all, or the lines that are hashed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fingerprint.h"

static int usage(void) {
    fprintf(stderr, "usage: vllm_fingerprint CASE SEED [--lines]\n"
                    "       vllm_fingerprint CASE@v0.5.3.post1 SEED [--lines]\ncases:\n");
    size_t n;
    const fingerprint_case *cases = fingerprint_cases(&n);
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, "  %-5s %s, budget %" PRIu32 "\n", cases[i].name, cases[i].policy,
                cases[i].budget);
    return 2;
}

/* CASE@v0.5.3.post1 is the case CASE053. */
static const fingerprint_case *find_case(const char *text) {
    char name[32];
    snprintf(name, sizeof(name), "%s", text);
    char *version = strpbrk(name, "@-");
    if (version && strncmp(version + 1, "v0.5.3", 6) == 0) memcpy(version, "053", 4);
    return fingerprint_find(name);
}

static void print_line(const char *line) {
    puts(line);
}

int main(int argc, char **argv) {
    bool lines = argc == 4 && strcmp(argv[3], "--lines") == 0;
    if (argc != 3 && !lines) return usage();
    const fingerprint_case *c = find_case(argv[1]);
    if (!c) {
        fprintf(stderr, "vllm_fingerprint: there is no case '%s'\n", argv[1]);
        return usage();
    }
    char *end;
    uint64_t seed = strtoull(argv[2], &end, 10);
    if (argv[2][0] < '0' || argv[2][0] > '9' || *end) {
        fprintf(stderr, "vllm_fingerprint: the seed is a whole number, not '%s'\n", argv[2]);
        return usage();
    }
    errbuf err = {0};
    fingerprint f;
    if (fingerprint_run(&f, c, seed, &err, lines ? print_line : NULL) != ST_OK) {
        fprintf(stderr, "vllm_fingerprint: %s\n", err.text);
        return 1;
    }
    if (!lines)
        printf("%016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64 "\n", f.hashes[0],
               f.hashes[1], f.hashes[2], f.hashes[3]);
    return 0;
}
