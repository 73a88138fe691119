/*
 * device.h: what the kernels of kernels/cuda are written in. nvcc makes GPU kernels of their text;
 * gcc makes plain C of the same text (kernels/emulate, the backend `cuda-emulated`), so that every
 * index, tail, mask, exchange and merge runs in CI without a card.
 *
 * A kernel is one of three forms:
 *   EACH    item(a, i, fault): one thread for each of n items.
 *   WARP    phase(a, i, lane, k, total): what a lane adds to the k-th sum of item i, of the sums
 *           before it (total); after `sums` of them finish(a, i, lane, total). One warp an item.
 *   KERNEL  a body of CUDA.
 * A kernel's sums are made in an order that depends on the width of what is summed alone, so a row
 * gets the same bits whatever is beside it. Every kernel begins with BEGIN(), which waits for the
 * kernels before it: with dependent launches it may have been started while they run. Only weights
 * may be read before.
 */
#ifndef ARGENT_KERNELS_CUDA_DEVICE_H
#define ARGENT_KERNELS_CUDA_DEVICE_H

#include "../../runtime/half.h"
#include "../../runtime/ops.h"
#include "fused.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { AGI_WARP_LANES = 32, AGI_BLOCK_THREADS = 256 };

#ifdef __CUDACC__
#include <cuda_runtime.h>

#define DEVICE static __device__ __forceinline__
#define UNROLL _Pragma("unroll") /* so that small arrays live in registers */
#define FMA(a, b, c) fmaf(a, b, c)
#define LAUNCHER(name) extern "C" int agi_cuda_##name(const void *args, const agi_launch *l)
#define SHARED(type, name, count) __shared__ __align__(16) type name[count]

#if __CUDA_ARCH__ >= 900
/* The kernels after this one may be started now, and wait in their turn. */
#define BEGIN()                                                                                    \
    do {                                                                                           \
        cudaTriggerProgrammaticLaunchCompletion();                                                 \
        cudaGridDependencySynchronize();                                                           \
    } while (0)
#else
#define BEGIN() ((void)0)
#endif

/* A kernel of one argument struct, which its text knows as `a`; so many registers may be used that
 * `blocks` blocks fit a multiprocessor. */
#define KERNEL(name, type, threads, blocks)                                                        \
    DEVICE void name##_text(const type *a);                                                        \
    static __global__ void __launch_bounds__(threads, blocks) name(const __grid_constant__ type a) \
    {                                                                                              \
        name##_text(&a);                                                                           \
    }                                                                                              \
    DEVICE void name##_text(const type *a)

/* 0, or a cudaError_t. */
static inline int agi_start(const agi_launch *l, const void *kernel, int64_t across, int64_t down,
                            int threads, const void *args)
{
    cudaLaunchAttribute dependent;
    cudaLaunchConfig_t config;
    memset(&config, 0, sizeof config);
    config.gridDim = dim3((unsigned)across, (unsigned)down);
    config.blockDim = dim3((unsigned)threads);
    config.stream = (cudaStream_t)l->stream;
    if (l->dependent) {
        dependent.id = cudaLaunchAttributeProgrammaticStreamSerialization;
        dependent.val.programmaticStreamSerializationAllowed = 1;
        config.attrs = &dependent;
        config.numAttrs = 1;
    }
    void *list[1] = {const_cast<void *>(args)};
    *l->started = 1;
    return (int)cudaLaunchKernelExC(&config, kernel, list);
}
#define START(l, kernel, across, down, threads, args)                                              \
    agi_start(l, (const void *)(kernel), across, down, threads, args)

DEVICE float shuffle(float v, int lane) { return __shfl_sync(~0u, v, lane); }
DEVICE int64_t shuffle_int(int64_t v, int lane) { return __shfl_sync(~0u, v, lane); }
DEVICE double shuffle_double(double v, int lane) { return __shfl_sync(~0u, v, lane); }

/* Each of the n numbers becomes its sum over the warp. */
DEVICE void warp_sums(float *v, int n)
{
    for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2)
        UNROLL for (int i = 0; i < n; i++) v[i] += __shfl_xor_sync(~0u, v[i], off);
}

DEVICE void agi_mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Two floats as bf16s, rounded to nearest even, x in the low half. */
DEVICE uint32_t pack_bf16(float x, float y)
{
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(y), "f"(x));
    return pair;
}

/* Written once, by the first thread that sees a fault (runtime/fault.def). */
DEVICE void agi_report(agi_fault *f, int32_t what, int64_t a, int64_t b, int64_t c, int64_t d)
{
    if (atomicCAS(&f->what, AGI_NO_FAULT, what) == AGI_NO_FAULT) {
        f->a = a;
        f->b = b;
        f->c = c;
        f->d = d;
    }
}

/* What no kernel writes: past the caches that must be kept coherent. */
DEVICE uint4 load_constant(const void *p) { return __ldg((const uint4 *)p); }

#else /* plain C */

#include "../emulate/emulate.h"

#define LAUNCHER(name) int agi_cuda_##name(const void *args, const agi_launch *l)

DEVICE void warp_sums(float *v, int n) { agi_emulated_warp_sums(v, n); }

DEVICE void agi_report(agi_fault *f, int32_t what, int64_t a, int64_t b, int64_t c, int64_t d)
{
    if (f->what != AGI_NO_FAULT) return;
    *f = (agi_fault){what, a, b, c, d};
}

DEVICE uint4 load_constant(const void *p) { return *(const uint4 *)agi_emulated_constant(p); }

#endif

DEVICE float warp_sum(float v)
{
    warp_sums(&v, 1);
    return v;
}

static inline int64_t blocks_of(int64_t n, int64_t per_block)
{
    return (n + per_block - 1) / per_block;
}

/* ---- a thread an item, a warp an item ---- */

#define EACH(name, args_t, item, count)                                                            \
    typedef struct {                                                                               \
        args_t a;                                                                                  \
        agi_fault *fault;                                                                          \
        int64_t n;                                                                                 \
    } name##_each_args;                                                                            \
    KERNEL(name##_each, name##_each_args, AGI_BLOCK_THREADS, 1)                                    \
    {                                                                                              \
        const int64_t i = (int64_t)blockIdx.x * AGI_BLOCK_THREADS + threadIdx.x;                   \
        BEGIN();                                                                                   \
        if (i < a->n) item(&a->a, i, a->fault);                                                    \
    }                                                                                              \
    LAUNCHER(name)                                                                                 \
    {                                                                                              \
        const args_t *a = (const args_t *)args;                                                    \
        const name##_each_args e = {*a, l->fault, count};                                          \
        if (e.n == 0) return 0;                                                                    \
        return START(l, name##_each, blocks_of(e.n, AGI_BLOCK_THREADS), 1, AGI_BLOCK_THREADS, &e); \
    }

#define WARP(name, args_t, sums, phase, finish, count)                                             \
    typedef struct {                                                                               \
        args_t a;                                                                                  \
        agi_fault *fault;                                                                          \
        int64_t n;                                                                                 \
    } name##_warp_args;                                                                            \
    KERNEL(name##_warp, name##_warp_args, AGI_BLOCK_THREADS, 1)                                    \
    {                                                                                              \
        const int64_t i =                                                                          \
            ((int64_t)blockIdx.x * AGI_BLOCK_THREADS + threadIdx.x) / AGI_WARP_LANES;              \
        const int lane = threadIdx.x % AGI_WARP_LANES;                                             \
        float total[sums];                                                                         \
        BEGIN();                                                                                   \
        if (i >= a->n) return; /* a whole warp */                                                  \
        for (int k = 0; k < sums; k++) total[k] = warp_sum(phase(&a->a, i, lane, k, total));       \
        finish(&a->a, i, lane, total, a->fault);                                                   \
    }                                                                                              \
    LAUNCHER(name)                                                                                 \
    {                                                                                              \
        const args_t *a = (const args_t *)args;                                                    \
        const name##_warp_args e = {*a, l->fault, count};                                          \
        if (e.n == 0) return 0;                                                                    \
        return START(l, name##_warp, blocks_of(e.n * AGI_WARP_LANES, AGI_BLOCK_THREADS), 1,        \
                     AGI_BLOCK_THREADS, &e);                                                       \
    }

#ifndef __CUDACC__
DEVICE uint32_t pack_bf16(float x, float y)
{
    return (uint32_t)agi_bf16_from_f32(x) | (uint32_t)agi_bf16_from_f32(y) << 16;
}
#endif

#endif
