#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "commands.h"
#include "policy.h"

static void print_usage(FILE *out) {
    fprintf(out,
            "usage: adaptivellm policies\n\n"
            "Lists the policies with the settings that each takes and their defaults, as\n"
            "for `replay --policy NAME,key=value,...`, then the words that settings take,\n"
            "and which policies share the prefixes that a trace names.\n");
}

static void print_setting(void *context, const char *key, const char *value) {
    bool *first = context;
    printf("%s%s=%s", *first ? "" : ",", key, value);
    *first = false;
}

static void print_policies(const policy_row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        policy p = {&rows[i], rows[i].defaults};
        bool first = true;
        printf("%-22s %s\n%-22s   ", rows[i].name, rows[i].text, "");
        policy_each_setting(&p, print_setting, &first);
        puts(first ? "no settings" : "");
    }
}

static void print_choice(void *context, const char *key, const char *const *values) {
    (void)context;
    printf("  %-12s", key);
    for (; *values; values++) printf(" %s", *values);
    puts("");
}

static void print_sharing(const policy_row *rows, size_t n) {
    printf("\nWith a prefix cache, which shares the prefixes that a trace names:");
    for (size_t i = 0; i < n; i++)
        if (rows[i].defaults.prefix_cache) printf(" %s", rows[i].name);
    puts(
        ".\nThe others share no blocks between requests, but where they take prefix_cache=on.");
}

int cmd_policies(int argc, char **argv) {
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        print_usage(c == 'h' ? stdout : stderr);
        return c == 'h' ? EXIT_DONE : EXIT_MISUSE;
    }
    if (optind < argc) {
        fprintf(stderr, "adaptivellm policies: takes no argument, so '%s' is too many\n",
                argv[optind]);
        return EXIT_MISUSE;
    }
    size_t n;
    const policy_row *rows = policy_rows(&n);
    print_policies(rows, n);
    puts("\nWords that settings take (order of vLLM's policies: fcfs or priority):");
    policy_each_choice(print_choice, NULL);
    print_sharing(rows, n);
    return EXIT_DONE;
}
