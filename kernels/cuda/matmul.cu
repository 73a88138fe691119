/*
 * matmul.cu: the op matmul, where there is no cuBLAS: a block for each tile of 32 x 32 of out, both
 * operands through shared memory, a sum from the first to the last in f32. Any strides, f32 or
 * bf16.
 */
#include "device.h"
#include "../lines.h"

enum { SIDE = 32, EACH_SUMS = SIDE * SIDE / AGI_BLOCK_THREADS };

KERNEL(matmul, agi_matmul_args, AGI_BLOCK_THREADS, 1)
{
    SHARED(float, x, SIDE *SIDE);
    SHARED(float, y, SIDE *SIDE);
    const int64_t across = (a->n + SIDE - 1) / SIDE, down = (a->m + SIDE - 1) / SIDE;
    const int64_t batch = blockIdx.x / across / down;
    const int64_t r0 = blockIdx.x / across % down * SIDE, c0 = blockIdx.x % across * SIDE;
    const int64_t xs = agi_matrix_at(a, &a->a, batch), ys = agi_matrix_at(a, &a->b, batch);
    const int column = threadIdx.x % SIDE, row = threadIdx.x / SIDE;
    const int64_t depth = a->alpha == 0 ? 0 : a->k;
    float sum[EACH_SUMS] = {0};
    BEGIN();
    for (int64_t k0 = 0; k0 < depth; k0 += SIDE) {
        for (int i = 0; i < EACH_SUMS; i++) {
            const int r = row + i * (SIDE / EACH_SUMS), c = column;
            const bool in_x = r0 + r < a->m && k0 + c < depth;
            const bool in_y = k0 + r < depth && c0 + c < a->n;
            x[r * SIDE + c] =
                in_x ? agi_matrix_value(&a->a, xs + (r0 + r) * a->a.row + (k0 + c) * a->a.col) : 0;
            y[r * SIDE + c] =
                in_y ? agi_matrix_value(&a->b, ys + (k0 + r) * a->b.row + (c0 + c) * a->b.col) : 0;
        }
        __syncthreads();
        for (int k = 0; k < SIDE && k0 + k < depth; k++)
            UNROLL for (int i = 0; i < EACH_SUMS; i++) sum[i] =
                FMA(x[(row + i * (SIDE / EACH_SUMS)) * SIDE + k], y[k * SIDE + column], sum[i]);
        __syncthreads();
    }
    float *out = (float *)(void *)a->out.p + agi_matrix_at(a, &a->out, batch);
    for (int i = 0; i < EACH_SUMS; i++) {
        const int64_t r = r0 + row + i * (SIDE / EACH_SUMS), c = c0 + column;
        if (r >= a->m || c >= a->n) continue;
        float *o = out + r * a->out.row + c;
        const float kept = a->beta == 0 ? 0 : a->beta * *o;
        *o = depth == 0 ? kept : FMA(a->alpha, sum[i], kept);
    }
}

LAUNCHER(matmul)
{
    const agi_matmul_args *a = (const agi_matmul_args *)args;
    if (a->batches * a->m * a->n == 0) return 0;
    return START(l, matmul, a->batches * blocks_of(a->m, SIDE) * blocks_of(a->n, SIDE), 1,
                 AGI_BLOCK_THREADS, a);
}
