/* gpu_checks.cc - runs the checks of device code: gpu_checks [GROUP], one of those below;
 * gpu_checks models --dump DIR only writes the logits of the models, for gpu_logits.py;
 * gpu_checks times measures and checks nothing.
 *
 * Exit status: 0 all passed, 1 some failed, 2 misuse, 77 no device (a skip). On the CPU each
 * group of kernels runs twice, with the threads of a block in rising and in falling order. */
#include "check.h"

struct check_group {
    const char *name;
    int (*run)(void);
    bool of_kernels;
};

static const check_group groups[] = {
    {"rows", check_rows, true},        {"attention", check_attention, true},
    {"gemm", check_gemm, true},        {"sampling", check_sampling, true},
    {"streams", check_streams, false}, {"batches", check_batches, false},
    {"models", check_models, false},
};

static bool have_device(void) {
    int n = 0;
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e == cudaSuccess && n > 0) return true;
    printf("skipped: %s\n", e == cudaSuccess ? "no device" : cudaGetErrorString(e));
    return false;
}

static int run_group(const check_group *group) {
    int n_failed = 0;
#ifndef __CUDACC__
    if (group->of_kernels) {
        printf("-- %s, threads from the last to the first\n", group->name);
        fake_reverse_threads(true);
        n_failed += group->run();
        fake_reverse_threads(false);
    }
#endif
    printf("-- %s\n", group->name);
    return n_failed + group->run();
}

static int misuse(void) {
    fprintf(stderr, "usage: gpu_checks [GROUP], one of:");
    for (const check_group &group : groups) fprintf(stderr, " %s", group.name);
    fprintf(stderr, "\n       gpu_checks models --dump DIR\n       gpu_checks times\n");
    return 2;
}

int main(int argc, char **argv) {
    const bool dumps =
        argc == 4 && strcmp(argv[1], "models") == 0 && strcmp(argv[2], "--dump") == 0;
    int n_failed = 0, n_run = 0;
    if (argc > 2 && !dumps) return misuse();
    if (!have_device()) return 77;
    if (argc == 2 && strcmp(argv[1], "times") == 0) {
        n_failed = time_kernels();
        n_run = 1;
    }
    for (const check_group &group : groups) {
        if (argc > 1 && strcmp(argv[1], group.name) != 0) continue;
        n_failed += dumps ? dump_models(argv[3]) : run_group(&group);
        n_run++;
    }
    if (n_run == 0) return misuse();
#ifndef __CUDACC__
    if (fake_live_objects() > 0) {
        printf("FAILED  %zu allocations or handles were not given back\n", fake_live_objects());
        n_failed++;
    }
#endif
    if (n_failed > 0) printf("%d cases failed\n", n_failed);
    return n_failed > 0;
}
