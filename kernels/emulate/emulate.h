/*
 * emulate.h: CUDA's C as gcc reads it, so that the text of a kernel runs on the CPU, for tests.
 * Each thread of a block is a fibre (emulate.c); they run one at a time and change at barriers and
 * shuffles, so nothing races and everything repeats. Threads and blocks go forwards in some
 * launches and backwards in others, which shows a missing barrier or an order that is taken for
 * granted; shared memory begins as NaN, which shows a read before its write; vector loads must be
 * aligned and device memory is exact to the byte, which the sanitizers see.
 */
#ifndef ARGENT_KERNELS_EMULATE_H
#define ARGENT_KERNELS_EMULATE_H

#include "run.h"

#define DEVICE static inline
#define UNROLL
#define BEGIN() agi_emulated_begin()
#define FMA(a, b, c) ((a) * (b) + (c))

/* A kernel of one argument struct, which its text knows as `a`. */
#define KERNEL(name, type, threads, blocks)                                                        \
    DEVICE void name##_text(const type *a);                                                        \
    static void name(const void *a) { name##_text((const type *)a); }                              \
    DEVICE void name##_text(const type *a)

void agi_emulated_begin(void);
/* 16 bytes that no kernel writes. */
const void *agi_emulated_constant(const void *p);
#define START(l, kernel, across, down, threads, args)                                              \
    (*(l)->started = 1, agi_emulated_launch(&(agi_emulated_call){                                  \
                            kernel, across, down, threads, args, sizeof *(args), (l)->dependent}))

typedef struct {
    int x, y;
} agi_dim2;
extern struct agi_emulated_at {
    agi_dim2 thread, block, threads, grid;
} agi_emulated;
#define threadIdx (agi_emulated.thread)
#define blockIdx (agi_emulated.block)
#define blockDim (agi_emulated.threads)
#define gridDim (agi_emulated.grid)

/* The same place for the same declaration of all threads of a block. */
void *agi_emulated_shared(size_t bytes);
#define SHARED(type, name, count) type *const name = agi_emulated_shared(sizeof(type) * (count))

void agi_emulated_barrier(void);
#define __syncthreads() agi_emulated_barrier()

/* Every lane of the warp gives `bytes` bytes; returned are those of all 32, lane after lane. */
const void *agi_emulated_exchange(const void *mine, size_t bytes);

typedef struct __attribute__((aligned(16))) {
    float x, y, z, w;
} float4;
typedef struct __attribute__((aligned(16))) {
    uint32_t x, y, z, w;
} uint4;

/* The value of another lane. */
DEVICE int agi_emulated_lane(void) { return agi_emulated.thread.x & 31; }
DEVICE float shuffle(float v, int lane)
{
    return ((const float *)agi_emulated_exchange(&v, sizeof v))[lane & 31];
}
DEVICE int64_t shuffle_int(int64_t v, int lane)
{
    return ((const int64_t *)agi_emulated_exchange(&v, sizeof v))[lane & 31];
}
DEVICE double shuffle_double(double v, int lane)
{
    return ((const double *)agi_emulated_exchange(&v, sizeof v))[lane & 31];
}

/* As warp_sums of device.h, in one exchange; n <= 8. */
void agi_emulated_warp_sums(float *v, int n);

/* One thread runs at a time. */
DEVICE int atomicAdd(int *p, int v)
{
    int old = *p;
    *p += v;
    return old;
}
DEVICE void __threadfence(void) {}

/* d (16 x 8) += a (16 x 16) b (16 x 8): mma.m16n8k16 of bf16 pairs with f32 sums, by the fragment
 * layout of the PTX manual. */
void agi_mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2]);

#endif
