/* cublaslt_library.cu - see cublaslt_library.cuh. */
#include "cublaslt_library.cuh"

#ifdef __CUDACC__
#include <dlfcn.h>

static void *open_in(const char *folder, const char *name) {
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
    return n > 0 && (size_t)n < sizeof(path) ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

/* By the linker's rules first, LD_LIBRARY_PATH among them; then where installers put it. */
static void *open_named(const char *name) {
    static const char *const folders[] = {
        "/usr/local/cuda/lib64",     "/usr/local/cuda/lib",
        "/opt/cuda/lib64",           "/usr/lib64",
        "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"};
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; !library && i < sizeof(folders) / sizeof(folders[0]); i++)
        library = open_in(folders[i], name);
    return library;
}

static void *open_any(void) {
    void *library = open_named("libcublasLt.so.13");
    return library ? library : open_named("libcublasLt.so.12");
}

status cublaslt_open(cublaslt_library *out, const char *path, errbuf *err) {
    cublaslt_library l;
    l.library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : open_any();
    if (!l.library && path) return fail(err, ST_NOT_FOUND, "%.200s: %.200s", path, dlerror());
    if (!l.library)
        return fail(err, ST_NOT_FOUND,
                    "neither libcublasLt.so.13 nor .12 is found: set LD_LIBRARY_PATH to the "
                    "folder that has it");
#define X(name)                                                                                \
    l.name = (decltype(l.name))dlsym(l.library, "cublasLt" #name);                             \
    if (!l.name) {                                                                             \
        dlclose(l.library);                                                                    \
        return fail(err, ST_VERSION, "libcublasLt has no cublasLt" #name);                     \
    }
    CUBLASLT_FUNCTIONS(X)
#undef X
    *out = l;
    return ST_OK;
}

void cublaslt_close(cublaslt_library *l) {
    if (l->library) dlclose(l->library);
    l->library = NULL;
}

#else

status cublaslt_open(cublaslt_library *out, const char *, errbuf *) {
    out->library = NULL;
#define X(name) out->name = cublasLt##name;
    CUBLASLT_FUNCTIONS(X)
#undef X
    return ST_OK;
}

void cublaslt_close(cublaslt_library *) {}

#endif
