/* cublaslt_library.cuh - libcublasLt, opened while running.
 *
 * Linked, it would keep the program from starting, and from saying why, where it is missing. */
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

#endif
