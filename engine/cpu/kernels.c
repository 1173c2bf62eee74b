/* kernels.c - which of the tables this processor can run. */
#include "kernels.h"

extern const cpu_kernels cpu_kernels_portable;

#ifdef KERNELS_X86
extern const cpu_kernels cpu_kernels_avx2, cpu_kernels_avx512;

static const cpu_kernels *const all[] = {&cpu_kernels_avx512, &cpu_kernels_avx2,
                                         &cpu_kernels_portable};

/* Of `all`, the first that may be used; what follows it may be, too. */
static size_t first_usable(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 2;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
               ? 0
               : 1;
}
#else
static const cpu_kernels *const all[] = {&cpu_kernels_portable};

static size_t first_usable(void) {
    return 0;
}
#endif

const cpu_kernels *const *cpu_kernels_usable(size_t *n) {
    size_t first = first_usable();
    *n = sizeof(all) / sizeof(*all) - first;
    return all + first;
}

const cpu_kernels *cpu_kernels_best(void) {
    size_t n;
    return *cpu_kernels_usable(&n);
}
