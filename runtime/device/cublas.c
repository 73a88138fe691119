/*
 * cublas.c: see cublas.h. cuBLAS counts a matrix column by column, so what lies row by row is its
 * own transpose there: out^T = b^T a^T is asked for, with b first.
 */
#include "cublas.h"

#include <dlfcn.h>
#include <library_types.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<cublas_v2.h>)
#include <cublas_v2.h>
_Static_assert((int)AGI_CUBLAS_N == (int)CUBLAS_OP_N && (int)AGI_CUBLAS_T == (int)CUBLAS_OP_T &&
                   (int)AGI_CUBLAS_F32 == (int)CUBLAS_COMPUTE_32F &&
                   (int)AGI_CUBLAS_DEFAULT == (int)CUBLAS_GEMM_DEFAULT,
               "not NVIDIA's numbers");
#endif

/* Its enums are ints here, and its handle is a pointer. */
struct agi_cublas {
    void *library, *handle;
    int (*create)(void **);
    int (*destroy)(void *);
    int (*set_stream)(void *, cudaStream_t);
    int (*set_workspace)(void *, void *, size_t);
    int (*gemm)(void *, int, int, int, int, int, const void *, const void *, int, int, long long,
                const void *, int, int, long long, const void *, void *, int, int, long long, int,
                int, int);
};

static bool find(const agi_cublas *b, const char *name, void *function)
{
    void *p = dlsym(b->library, name);
    memcpy(function, &p, sizeof p);
    return p != NULL;
}

agi_cublas *agi_cublas_open(cudaStream_t stream, void *workspace, size_t bytes)
{
    char usual[32];
    const char *path = getenv("ARGENT_CUBLAS");
    snprintf(usual, sizeof usual, "libcublas.so.%d", CUDART_VERSION / 1000);
    if (path && !strcmp(path, "off")) return NULL;
    agi_cublas *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->library = dlopen(path && *path ? path : usual, RTLD_NOW | RTLD_LOCAL);
    /* The stream before the workspace: setting it puts the handle's own in place again. */
    if (b->library && find(b, "cublasCreate_v2", &b->create) &&
        find(b, "cublasDestroy_v2", &b->destroy) && find(b, "cublasSetStream_v2", &b->set_stream) &&
        find(b, "cublasSetWorkspace_v2", &b->set_workspace) &&
        find(b, "cublasGemmStridedBatchedEx", &b->gemm) && b->create(&b->handle) == 0 &&
        b->set_stream(b->handle, stream) == 0 && b->set_workspace(b->handle, workspace, bytes) == 0)
        return b;
    agi_cublas_close(b);
    return NULL;
}

void agi_cublas_close(agi_cublas *b)
{
    if (!b) return;
    if (b->handle) b->destroy(b->handle);
    if (b->library) dlclose(b->library);
    free(b);
}

/* An operand as cuBLAS sees it: by columns, `lead` elements from one to the next. */
typedef struct {
    int op, lead;
    bool ok;
} operand;

/* x of rows x cols. Of a single column the distance to the next does not matter. */
static operand operand_of(const agi_matrix *x, int64_t rows, int64_t cols)
{
    const bool by_rows = x->col == 1 || cols == 1;
    const int64_t length = by_rows ? cols : rows, lines = by_rows ? rows : cols;
    int64_t lead = by_rows ? x->row : x->col;
    if (lines == 1) lead = length;
    return (operand){by_rows ? AGI_CUBLAS_N : AGI_CUBLAS_T, (int)lead,
                     (by_rows || x->row == 1 || rows == 1) && lead >= length && lead <= INT_MAX};
}

bool agi_cublas_takes(const agi_matmul_args *a)
{
    return a->a.dtype == a->b.dtype && a->m <= INT_MAX && a->n <= INT_MAX && a->k <= INT_MAX &&
           a->k > 0 && a->alpha != 0 && a->batches <= INT_MAX && operand_of(&a->a, a->m, a->k).ok &&
           operand_of(&a->b, a->k, a->n).ok && operand_of(&a->out, a->m, a->n).ok;
}

/* The address of a matrix of a batch. */
static void *at(const agi_matmul_args *a, const agi_matrix *x, int64_t batch)
{
    int64_t elements = 0;
    for (int d = a->ndim - 1; d >= 0; batch /= a->shape[d], d--)
        elements += batch % a->shape[d] * x->batch[d];
    return x->p + elements * agi_dtype_size(x->dtype);
}

int agi_cublas_matmul(agi_cublas *b, const agi_matmul_args *a)
{
    const operand x = operand_of(&a->a, a->m, a->k), y = operand_of(&a->b, a->k, a->n),
                  out = operand_of(&a->out, a->m, a->n);
    const int dtype = a->a.dtype == AG_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    /* The batches of the last dimension are one call. */
    const int last = a->ndim - 1;
    const int64_t together = a->ndim ? a->shape[last] : 1;
    if (a->batches * a->m * a->n == 0) return 0;
    for (int64_t i = 0; i < a->batches; i += together) {
        const int s = b->gemm(
            b->handle, y.op, x.op, (int)a->n, (int)a->m, (int)a->k, &a->alpha, at(a, &a->b, i),
            dtype, y.lead, a->ndim ? a->b.batch[last] : 0, at(a, &a->a, i), dtype, x.lead,
            a->ndim ? a->a.batch[last] : 0, &a->beta, at(a, &a->out, i), CUDA_R_32F, out.lead,
            a->ndim ? a->out.batch[last] : 0, (int)together, AGI_CUBLAS_F32, AGI_CUBLAS_DEFAULT);
        if (s) return s;
    }
    return 0;
}
