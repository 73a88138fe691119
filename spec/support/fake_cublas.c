/*
 * fake_cublas.c: the functions of cuBLAS that runtime/device/cublas.c calls, which compute: column
 * by column, on the queue of fake_cudart.c, so no sooner than somebody waits. They hold to its
 * rules: leading dimensions as long as columns, dtypes that go together, a workspace of the
 * caller's before a capture, which setting the stream takes away again. ARGENT_CUBLAS names the
 * library that this is in.
 */
#include "../../kernels/emulate/run.h"
#include "../../runtime/half.h"

#include <cublas_v2.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

bool fake_cuda_capturing(void); /* fake_cudart.c */

#define EXPORT __attribute__((visibility("default")))

/* How many products were asked for; a script reads it. */
EXPORT int64_t fake_cublas_products;

struct cublasContext {
    cudaStream_t stream;
    char *workspace; /* the caller's; NULL: its own */
    size_t bytes;
};

EXPORT cublasStatus_t cublasCreate_v2(cublasHandle_t *out)
{
    if (fake_cuda_capturing()) return CUBLAS_STATUS_NOT_INITIALIZED;
    *out = calloc(1, sizeof **out);
    return *out ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

EXPORT cublasStatus_t cublasDestroy_v2(cublasHandle_t h)
{
    free(h);
    return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasSetStream_v2(cublasHandle_t h, cudaStream_t s)
{
    h->stream = s;
    h->workspace = NULL;
    return CUBLAS_STATUS_SUCCESS;
}

EXPORT cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t h, void *p, size_t bytes)
{
    if ((uintptr_t)p % 256) return CUBLAS_STATUS_INVALID_VALUE;
    h->workspace = p;
    h->bytes = bytes;
    return CUBLAS_STATUS_SUCCESS;
}

typedef struct {
    bool ta, tb;
    int m, n, k, lda, ldb, ldc, count;
    long long sa, sb, sc;
    float alpha, beta;
    const char *a, *b;
    float *c;
    cudaDataType type;
    char *workspace;
    size_t bytes;
} product;

static float element(const product *p, const char *x, long long i)
{
    if (p->type == CUDA_R_32F) return ((const float *)(const void *)x)[i];
    return agi_f32_from_bf16(((const uint16_t *)(const void *)x)[i]);
}

enum { THREADS = 32 };

/* The first of a launch's threads to run does it all. */
static void compute(const void *args)
{
    static int64_t threads;
    const product *p = args;
    if (threads++ % THREADS) return;
    memset(p->workspace, 0x55, p->bytes);
    for (int batch = 0; batch < p->count; batch++)
        for (int j = 0; j < p->n; j++)
            for (int i = 0; i < p->m; i++) {
                float sum = 0, *c = p->c + batch * p->sc + (long long)j * p->ldc + i;
                for (int l = 0; l < p->k; l++) {
                    const long long x =
                        p->ta ? (long long)i * p->lda + l : (long long)l * p->lda + i;
                    const long long y =
                        p->tb ? (long long)l * p->ldb + j : (long long)j * p->ldb + l;
                    sum +=
                        element(p, p->a, batch * p->sa + x) * element(p, p->b, batch * p->sb + y);
                }
                *c = p->alpha * sum + (p->beta == 0 ? 0 : p->beta * *c);
            }
}

EXPORT cublasStatus_t cublasGemmStridedBatchedEx(
    cublasHandle_t h, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
    const void *alpha, const void *a, cudaDataType at, int lda, long long sa, const void *b,
    cudaDataType bt, int ldb, long long sb, const void *beta, void *c, cudaDataType ct, int ldc,
    long long sc, int count, cublasComputeType_t compute_type, cublasGemmAlgo_t algo)
{
    const product p = {ta == CUBLAS_OP_T,
                       tb == CUBLAS_OP_T,
                       m,
                       n,
                       k,
                       lda,
                       ldb,
                       ldc,
                       count,
                       sa,
                       sb,
                       sc,
                       *(const float *)alpha,
                       *(const float *)beta,
                       a,
                       b,
                       c,
                       at,
                       h->workspace,
                       h->bytes};
    if (m < 0 || n < 0 || k < 0 || count < 0 || lda < (p.ta ? k : m) || ldb < (p.tb ? n : k) ||
        ldc < m || lda < 1 || ldb < 1 || ldc < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (at != bt || (at != CUDA_R_32F && at != CUDA_R_16BF) || ct != CUDA_R_32F ||
        compute_type != CUBLAS_COMPUTE_32F || algo != CUBLAS_GEMM_DEFAULT)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!h->workspace) return CUBLAS_STATUS_ALLOC_FAILED; /* its own would be allocated here */
    fake_cublas_products++;
    return agi_emulated_launch(&(agi_emulated_call){compute, 1, 1, THREADS, &p, sizeof p, 0})
               ? CUBLAS_STATUS_EXECUTION_FAILED
               : CUBLAS_STATUS_SUCCESS;
}
