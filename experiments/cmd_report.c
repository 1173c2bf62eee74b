/* cmd_report.c - `adaptivellm report`: a page about stored runs, with the figures that gnuplot
 * draws. */
#include <errno.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "report_html.h"
#include "run_choice.h"

/* What plots/render.sh draws, in the order of the page. */
static const char *const drawings[] = {"cdf_weighted_turnaround", "cdf_ttft", "timeline",
                                       "rate_sweep"};
enum { N_DRAWINGS = sizeof(drawings) / sizeof(drawings[0]) };

typedef struct options {
    run_choice choice;
    const char *out, *plots;
} options;

#define AT(field) offsetof(options, field)
static const option_row rows[] = {
    {"out", OPTION_TEXT, AT(out), OPTION_NO_FLAG},
    {"plots", OPTION_TEXT, AT(plots), OPTION_NO_FLAG},
};

static const char usage_text[] =
    "usage: adaptivellm report --results DB [RUN...] [OPTION...]\n"
    "\n"
    "Writes DIR/index.html: what the runs are, all their figures with ratios to the first,\n"
    "their settings, and drawings of them (SVG and PNG beside it) where gnuplot and sqlite3 "
    "are\n"
    "installed. Without run numbers it takes the latest two runs.\n"
    "\n"
    "%s"
    "  --out DIR      made when missing; report\n"
    "  --plots DIR    where render.sh is; %s\n"
    "  --help         prints this\n";

/* "DIR/NAME.SUFFIX", to be freed. */
static char *file_of(const char *dir, const char *name, const char *suffix) {
    size_t size = strlen(dir) + strlen(name) + strlen(suffix) + 3;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s/%s.%s", dir, name, suffix);
    return path;
}

/* What a report of before has left must not be taken for drawings of these runs. */
static status remove_drawings(const char *dir, errbuf *err) {
    static const char *const suffixes[] = {"svg", "png"};
    for (size_t i = 0; i < 2 * N_DRAWINGS; i++) {
        char *path = file_of(dir, drawings[i / 2], suffixes[i % 2]);
        if (!path) return fail(err, ST_NO_MEMORY, "out of memory");
        int failed = remove(path) != 0 && errno != ENOENT ? errno : 0;
        if (failed) fail(err, ST_IO, "remove %s: %s", path, strerror(failed));
        free(path);
        if (failed) return ST_IO;
    }
    return ST_OK;
}

/* bash PLOTS/render.sh DB DIR RUN...; it says what it draws. 0, or what is wrong is said. */
static int run_render(const options *o, char **arguments) {
    extern char **environ;
    pid_t child;
    int ended = 0;
    fflush(stdout);
    int failed = posix_spawnp(&child, "bash", NULL, NULL, arguments, environ);
    if (failed) fprintf(stderr, "adaptivellm report: bash: %s\n", strerror(failed));
    if (failed || waitpid(child, &ended, 0) != child) return -1;
    if (ended == 0) return 0;
    fprintf(stderr,
            "adaptivellm report: %s/render.sh failed: the page has the figures that "
            "it drew before, or none\n",
            o->plots);
    return -1;
}

static status draw(const options *o, errbuf *err) {
    enum { ID_SIZE = 24, BEFORE = 4 };
    char *render = file_of(o->plots, "render", "sh");
    char **arguments = calloc(BEFORE + o->choice.n + 1, sizeof(*arguments));
    char(*ids)[ID_SIZE] = calloc(o->choice.n, sizeof(*ids));
    status st = render && arguments && ids ? ST_OK : fail(err, ST_NO_MEMORY, "out of memory");
    if (st == ST_OK && access(render, R_OK) != 0) {
        fprintf(stderr,
                "adaptivellm report: %s is not there: the page has no drawings; --plots names "
                "the folder plots of the project\n",
                render);
    } else if (st == ST_OK) {
        arguments[0] = "bash";
        arguments[1] = render;
        arguments[2] = (char *)o->choice.results;
        arguments[3] = (char *)o->out;
        for (size_t i = 0; i < o->choice.n; i++) {
            snprintf(ids[i], ID_SIZE, "%" PRId64, o->choice.ids[i]);
            arguments[BEFORE + i] = ids[i];
        }
        (void)run_render(o, arguments);
    }
    free(render);
    free(arguments);
    free(ids);
    return st;
}

static size_t find_drawings(char names[N_DRAWINGS][64], const char *dir) {
    size_t n = 0;
    for (size_t i = 0; i < N_DRAWINGS; i++) {
        char *path = file_of(dir, drawings[i], "svg");
        if (path && access(path, R_OK) == 0) snprintf(names[n++], 64, "%s.svg", drawings[i]);
        free(path);
    }
    return n;
}

static status write_page(const options *o, errbuf *err) {
    char names[N_DRAWINGS][64];
    const char *images[N_DRAWINGS];
    size_t n = find_drawings(names, o->out);
    for (size_t i = 0; i < n; i++) images[i] = names[i];
    char *path = file_of(o->out, "index", "html");
    if (!path) return fail(err, ST_NO_MEMORY, "out of memory");
    FILE *file = fopen(path, "w");
    bool written =
        file && report_write_html(file, o->choice.runs, o->choice.n, images, n) == ST_OK;
    int cause = errno;
    if (file && fclose(file) != 0) {
        cause = errno;
        written = false;
    }
    status st = ST_OK;
    if (!written) st = fail(err, ST_IO, "write %s: %s", path, strerror(cause));
    if (written) printf("wrote %s\n", path);
    free(path);
    return st;
}

static status report(options *o, errbuf *err) {
    TRY(run_choice_read(&o->choice, err));
    if (mkdir(o->out, 0777) != 0 && errno != EEXIST)
        return fail(err, ST_IO, "make the folder %s: %s", o->out, strerror(errno));
    TRY(remove_drawings(o->out, err));
    TRY(draw(o, err));
    return write_page(o, err);
}

int cmd_report(int argc, char **argv) {
    options o = {.choice.n_min = 1, .out = "report", .plots = ADAPTIVELLM_PLOTS};
    errbuf err = {0};
    bool help;
    int exit_code = EXIT_DONE;
    bool parsed = run_choice_parse(&o.choice, &help, &o, rows, sizeof(rows) / sizeof(rows[0]),
                                   argc, argv, &exit_code);
    if (parsed && help) {
        printf(usage_text, run_choice_help, ADAPTIVELLM_PLOTS);
    } else if (parsed && report(&o, &err) != ST_OK) {
        fprintf(stderr, "adaptivellm report: %s\n", err.text);
        exit_code = EXIT_FAILED;
    }
    run_choice_finish(&o.choice);
    return exit_code;
}
