/*
 * device.h: what a kernel file of kernels/cuda is written in. nvcc makes GPU kernels of it; gcc
 * makes plain C of the same text, in which blocks, warps and lanes are loops (the backend
 * `cuda-emulated`), so that every index, tail, mask and merge runs in CI without a card.
 *
 * A kernel is one of three forms, and its arithmetic stands in functions that both compile:
 *   EACH   item(a, i): one thread for each of n items.
 *   WARP   phase(a, i, lane, k, total): what a lane adds to the k-th sum of item i, of the sums
 *          before it (total); after `sums` of them finish(a, i, lane, total). One warp an item.
 *   other  written out in its file, once with <<< >>> and once as loops.
 * A sum over a warp is always made in the order of warp_sum's exchange, so that both agree and a row
 * gets the same bits whatever is beside it.
 */
#ifndef ARGENT_KERNELS_CUDA_DEVICE_H
#define ARGENT_KERNELS_CUDA_DEVICE_H

#include "../../runtime/ops.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { AGI_WARP_LANES = 32, AGI_BLOCK_THREADS = 256 };

/* What went wrong with the data; written once, by the first thread that sees it. The host makes
 * the message of it (runtime/device.c). */
typedef struct {
    int32_t code; /* AG_E*, 0: nothing */
    int32_t what; /* enum agi_fault_kind */
    int64_t a, b, c, d;
} agi_fault;

enum agi_fault_kind {
    AGI_FAULT_ID,              /* embedding: id a (row b, group c), table of d */
    AGI_FAULT_NEAREST,         /* nearest: row a */
    AGI_FAULT_NAN,             /* sample: logits of row a hold NaN */
    AGI_FAULT_INF,             /* sample: logits of row a hold +inf */
    AGI_FAULT_NO_LOGIT,        /* sample: row a has no finite logit left */
    AGI_FAULT_SETTING,         /* sample: setting a of row b is the float with the bits c */
    AGI_FAULT_POSITION,        /* attention: position a of row b is negative */
    AGI_FAULT_SLOTS,           /* attention: position a is beyond a cache of b slots */
    AGI_FAULT_COMMIT,          /* attention: position a is beyond the committed capacity */
    AGI_FAULT_APPEND_POSITION, /* rope_append: position a of row b is negative */
    AGI_FAULT_APPEND_COMMIT,   /* rope_append: position a is beyond the committed capacity */
    AGI_FAULT_KEYS             /* attention_probs: position a is beyond the b of out */
};

/* Where a launch goes. */
typedef struct {
    void *stream;     /* cudaStream_t */
    agi_fault *fault; /* memory that host and device both see */
    void *scratch;    /* of the size that the call asked for, times its rows */
} agi_launch;

#ifdef __CUDACC__
#include <cuda_runtime.h>

#define DEVICE static __device__ __forceinline__
#define UNROLL _Pragma("unroll") /* so that small arrays live in registers */
#define AGI_KERNEL(name) extern "C" int agi_cuda_##name(const void *args, const agi_launch *l)

/* 0, or a cudaError_t. */
static inline int agi_launched(void) { return (int)cudaGetLastError(); }

DEVICE void agi_report(agi_fault *f, int32_t code, int32_t what, int64_t a, int64_t b, int64_t c,
                       int64_t d)
{
    if (atomicCAS(&f->code, 0, code) == 0) {
        f->what = what;
        f->a = a;
        f->b = b;
        f->c = c;
        f->d = d;
    }
}

DEVICE float agi_warp_sum(float v)
{
    for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2) v += __shfl_xor_sync(~0u, v, off);
    return v;
}

static inline unsigned agi_blocks(int64_t n, int64_t per_block)
{
    return (unsigned)((n + per_block - 1) / per_block);
}

#define AGI_EACH(name, args_t, item, count)                                                        \
    static __global__ void name##_each(args_t a, agi_fault *fault, int64_t n)                      \
    {                                                                                              \
        int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;                                \
        if (i < n) item(&a, i, fault);                                                             \
    }                                                                                              \
    AGI_KERNEL(name)                                                                               \
    {                                                                                              \
        const args_t *a = (const args_t *)args;                                                    \
        int64_t n = count;                                                                         \
        if (n == 0) return 0;                                                                      \
        name##_each<<<agi_blocks(n, AGI_BLOCK_THREADS), AGI_BLOCK_THREADS, 0,                      \
                      (cudaStream_t)l->stream>>>(*a, l->fault, n);                                 \
        return agi_launched();                                                                     \
    }

#define AGI_WARP(name, args_t, sums, phase, finish, count)                                         \
    static __global__ void name##_warp(args_t a, agi_fault *fault, int64_t n)                      \
    {                                                                                              \
        int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / AGI_WARP_LANES;             \
        int lane = threadIdx.x % AGI_WARP_LANES;                                                   \
        if (i >= n) return; /* a whole warp */                                                     \
        float total[sums];                                                                         \
        for (int k = 0; k < sums; k++) total[k] = agi_warp_sum(phase(&a, i, lane, k, total));      \
        finish(&a, i, lane, total, fault);                                                         \
    }                                                                                              \
    AGI_KERNEL(name)                                                                               \
    {                                                                                              \
        const args_t *a = (const args_t *)args;                                                    \
        int64_t n = count;                                                                         \
        if (n == 0) return 0;                                                                      \
        name##_warp<<<agi_blocks(n *AGI_WARP_LANES, AGI_BLOCK_THREADS), AGI_BLOCK_THREADS, 0,      \
                      (cudaStream_t)l->stream>>>(*a, l->fault, n);                                 \
        return agi_launched();                                                                     \
    }

#else /* plain C: the same blocks and threads, one after the other */

#define DEVICE static inline
#define UNROLL
#define AGI_KERNEL(name) int agi_cuda_##name(const void *args, const agi_launch *l)

DEVICE void agi_report(agi_fault *f, int32_t code, int32_t what, int64_t a, int64_t b, int64_t c,
                       int64_t d)
{
    if (f->code) return;
    *f = (agi_fault){code, what, a, b, c, d};
}

/* Every lane's value becomes the sum, by the exchanges of the GPU's shuffles. */
DEVICE void agi_warp_exchange(float v[AGI_WARP_LANES])
{
    for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2) {
        float w[AGI_WARP_LANES];
        for (int i = 0; i < AGI_WARP_LANES; i++) w[i] = v[i] + v[i ^ off];
        memcpy(v, w, sizeof w);
    }
}

static inline int64_t agi_blocks(int64_t n, int64_t per_block)
{
    return (n + per_block - 1) / per_block;
}

#define AGI_EACH(name, args_t, item, count)                                                        \
    AGI_KERNEL(name)                                                                               \
    {                                                                                              \
        const args_t *a = (const args_t *)args;                                                    \
        int64_t n = count;                                                                         \
        for (int64_t block = 0; block < agi_blocks(n, AGI_BLOCK_THREADS); block++)                 \
            for (int64_t thread = 0; thread < AGI_BLOCK_THREADS; thread++) {                       \
                int64_t i = block * AGI_BLOCK_THREADS + thread;                                    \
                if (i < n) item(a, i, l->fault);                                                   \
            }                                                                                      \
        return 0;                                                                                  \
    }

#define AGI_WARP(name, args_t, sums, phase, finish, count)                                         \
    AGI_KERNEL(name)                                                                               \
    {                                                                                              \
        const args_t *a = (const args_t *)args;                                                    \
        int64_t n = count;                                                                         \
        const int64_t warps = AGI_BLOCK_THREADS / AGI_WARP_LANES;                                  \
        for (int64_t block = 0; block < agi_blocks(n * AGI_WARP_LANES, AGI_BLOCK_THREADS);         \
             block++)                                                                              \
            for (int64_t warp = 0; warp < warps; warp++) {                                         \
                int64_t i = block * warps + warp;                                                  \
                if (i >= n) continue;                                                              \
                float total[sums];                                                                 \
                for (int k = 0; k < sums; k++) {                                                   \
                    float v[AGI_WARP_LANES];                                                       \
                    for (int lane = 0; lane < AGI_WARP_LANES; lane++)                              \
                        v[lane] = phase(a, i, lane, k, total);                                     \
                    agi_warp_exchange(v);                                                          \
                    total[k] = v[0];                                                               \
                }                                                                                  \
                for (int lane = 0; lane < AGI_WARP_LANES; lane++)                                  \
                    finish(a, i, lane, total, l->fault);                                           \
            }                                                                                      \
        return 0;                                                                                  \
    }
#endif

/* ---- element types ---- */

DEVICE float agi_dev_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

DEVICE uint32_t agi_dev_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

DEVICE float agi_dev_from_bf16(uint16_t h) { return agi_dev_from_bits((uint32_t)h << 16); }

#endif
