/* cublaslt_library.cuh - libcublasLt, opened while running.
 *
 * Linked, it would keep the program from starting, and from saying why, where it is missing.
 * Against tests/cuda_fake it is the fake there, and no file is opened. */
#ifndef CUBLASLT_LIBRARY_CUH
#define CUBLASLT_LIBRARY_CUH

#include <cublasLt.h>

#include "cuda_call.cuh"

/* member; the function is cublasLt<member> */
#define CUBLASLT_FUNCTIONS(X)                                                                  \
    X(Create)                                                                                  \
    X(Destroy)                                                                                 \
    X(GetVersion)                                                                              \
    X(MatmulDescCreate)                                                                        \
    X(MatmulDescDestroy)                                                                       \
    X(MatmulDescSetAttribute)                                                                  \
    X(MatrixLayoutCreate)                                                                      \
    X(MatrixLayoutDestroy)                                                                     \
    X(MatmulPreferenceCreate)                                                                  \
    X(MatmulPreferenceDestroy)                                                                 \
    X(MatmulPreferenceSetAttribute)                                                            \
    X(MatmulAlgoGetHeuristic)                                                                  \
    X(MatmulAlgoCheck)                                                                         \
    X(MatmulAlgoConfigGetAttribute)                                                            \
    X(Matmul)

typedef struct cublaslt_library {
    void *library;
#define X(name) decltype(&cublasLt##name) name;
    CUBLASLT_FUNCTIONS(X)
#undef X
} cublaslt_library;

/* path: a file, or NULL for the usual names and places. ST_NOT_FOUND; ST_VERSION. */
MUST_USE status cublaslt_open(cublaslt_library *out, const char *path, errbuf *err);

void cublaslt_close(cublaslt_library *l);

/* A call as a status; `what` is what was wanted. */
static inline status cublaslt_status(cublasStatus_t s, const char *what, errbuf *err) {
    if (s == CUBLAS_STATUS_SUCCESS) return ST_OK;
    (void)cudaGetLastError(); /* that it may have met: the next call shall not report it */
    if (s == CUBLAS_STATUS_ALLOC_FAILED) return fail(err, ST_NO_MEMORY, "no memory: %s", what);
    return fail(err, ST_IO, "%s: cuBLASLt status %d", what, (int)s);
}
#define TRY_LT(call, what) TRY(cublaslt_status((call), (what), err))

#endif
