/*
 * fake_cublas.c: the functions of cuBLAS that runtime/device/cublas.c calls, which compute: column
 * by column, on the queue of fake_cudart.c, so no sooner than somebody waits. They hold to its
 * rules: leading dimensions as long as columns, dtypes that go together, a workspace of the
 * caller's before a capture, which setting the stream takes away again. ARGENT_CUBLAS names the
 * library that this is in.
 */
#include "../../kernels/emulate/run.h"
#include "../../runtime/device/cublas.h"
#include "../../runtime/half.h"

#include <cuda_runtime_api.h>
#include <library_types.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

bool fake_cuda_capturing(void); /* fake_cudart.c */

#define EXPORT __attribute__((visibility("default")))

/* How many products were asked for; a script reads it. */
EXPORT int64_t fake_cublas_products;

/* NVIDIA's statuses. */
enum {
    SUCCESS = 0,
    NOT_INITIALIZED = 1,
    ALLOC_FAILED = 3,
    INVALID_VALUE = 7,
    EXECUTION_FAILED = 13,
    NOT_SUPPORTED = 15
};

typedef struct {
    cudaStream_t stream;
    char *workspace; /* the caller's; NULL: its own */
    size_t bytes;
} handle;

EXPORT int cublasCreate_v2(handle **out)
{
    if (fake_cuda_capturing()) return NOT_INITIALIZED;
    *out = calloc(1, sizeof **out);
    return *out ? SUCCESS : ALLOC_FAILED;
}

EXPORT int cublasDestroy_v2(handle *h)
{
    free(h);
    return SUCCESS;
}

EXPORT int cublasSetStream_v2(handle *h, cudaStream_t s)
{
    h->stream = s;
    h->workspace = NULL;
    return SUCCESS;
}

EXPORT int cublasSetWorkspace_v2(handle *h, void *p, size_t bytes)
{
    if ((uintptr_t)p % 256) return INVALID_VALUE;
    h->workspace = p;
    h->bytes = bytes;
    return SUCCESS;
}

typedef struct {
    bool ta, tb;
    int m, n, k, lda, ldb, ldc, count;
    long long sa, sb, sc;
    float alpha, beta;
    const char *a, *b;
    float *c;
    int type;
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
    p->workspace[0] = p->workspace[p->bytes - 1] = 0x55; /* it is ours to use */
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

EXPORT int cublasGemmStridedBatchedEx(handle *h, int ta, int tb, int m, int n, int k,
                                      const void *alpha, const void *a, int at, int lda,
                                      long long sa, const void *b, int bt, int ldb, long long sb,
                                      const void *beta, void *c, int ct, int ldc, long long sc,
                                      int count, int compute_type, int algo)
{
    const product p = {ta == AGI_CUBLAS_T,
                       tb == AGI_CUBLAS_T,
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
        return INVALID_VALUE;
    if (at != bt || (at != CUDA_R_32F && at != CUDA_R_16BF) || ct != CUDA_R_32F ||
        compute_type != AGI_CUBLAS_F32 || algo != AGI_CUBLAS_DEFAULT)
        return NOT_SUPPORTED;
    if (!h->workspace) return ALLOC_FAILED; /* its own would be allocated here */
    fake_cublas_products++;
    return agi_emulated_launch(&(agi_emulated_call){compute, 1, 1, THREADS, &p, sizeof p, 0})
               ? EXECUTION_FAILED
               : SUCCESS;
}
