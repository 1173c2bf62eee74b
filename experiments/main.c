/* main.c - the command line: finds the sub-command and reports how it ended. */
#include <errno.h>
#include <fcntl.h>
#include <gsl/gsl_errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "nearest.h"

static const struct {
    const char *name, *text;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"replay", "run a trace under a policy on a backend", cmd_replay},
    {"compare", "compare stored runs", cmd_compare},
    {"report", "write a page about stored runs, with figures", cmd_report},
    {"trace", "describe, generate or convert request traces", cmd_trace},
    {"profile", "measure a device, or import and list measured tables", cmd_profile},
    {"fit", "fit what was measured, or judge the fits on other samples", cmd_fit},
    {"predict", "print one prediction with its interval", cmd_predict},
    {"policies", "list the policies", cmd_policies},
    {"devices", "list the devices", cmd_devices},
    {"models", "list the models", cmd_models},
};
enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_usage(FILE *out) {
    fprintf(out,
            "usage: adaptivellm COMMAND [OPTION...]\n\n"
            "Serves LLM requests under KV-cache memory pressure: simulated, or computed on\n"
            "the CPU or a GPU, under the same policies.\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].text);
    fprintf(out, "\n`adaptivellm COMMAND --help` explains one command.\n");
}

static int unknown_command(const char *word) {
    const char *names[N_COMMANDS];
    for (size_t i = 0; i < N_COMMANDS; i++) names[i] = commands[i].name;
    char hint[NEAREST_HINT_SIZE];
    fprintf(stderr,
            "adaptivellm: there is no command '%s'; %s`adaptivellm --help` lists them\n", word,
            nearest_hint(hint, word, names, N_COMMANDS));
    return EXIT_MISUSE;
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_MISUSE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_usage(stdout);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("adaptivellm %s\n", ADAPTIVELLM_VERSION);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    return unknown_command(argv[1]);
}

/* Without this a file that a command opens would take the number of a closed standard stream
 * and get what is printed there. Open the wrong way: to use the stream fails as before. */
static void fill_closed_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return; /* no /dev/null: nothing can be done about it */
}

/* Who reads the first lines only, as head does, knows that the others are missing. */
static bool is_closed_pipe(int fd) {
    struct pollfd stream = {.fd = fd};
    return poll(&stream, 1, 0) == 1 && (stream.revents & POLLERR);
}

int main(int argc, char **argv) {
    fill_closed_streams();
    /* A run whose table nobody reads any more is still stored. */
    signal(SIGPIPE, SIG_IGN);
    gsl_set_error_handler_off(); /* GSL's default handler aborts */
    int exit_code = run(argc, argv);
    if (exit_code != EXIT_DONE || (fflush(stdout) == 0 && !ferror(stdout))) return exit_code;
    if (is_closed_pipe(STDOUT_FILENO)) return EXIT_FAILED;
    fprintf(stderr, "adaptivellm: standard output could not be written to its end\n");
    return EXIT_FAILED;
}
