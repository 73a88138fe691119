/*
 * blocks.h: products of quantised weights, one table for each kind of CPU. Unlike those of floats
 * they give the same bits on all: x is rounded to codes and a scale for each block of AGI_CHUNK
 * columns; the sum of a block is a whole number, which is multiplied by both scales and added to
 * those before it by one fused multiply-add.
 */
#ifndef ARGENT_KERNELS_CPU_BLOCKS_H
#define ARGENT_KERNELS_CPU_BLOCKS_H

#include "../../runtime/ops.h"

/* Blocks whose largest number is smaller are zeros: the inverse of their scale is no float. */
#define AGI_BLOCK_LEAST 1e-30f

/* Rows of x as codes, [rows, chunks, AGI_CHUNK], and for each block its scale and the sum of its
 * codes, [rows, chunks]. */
typedef struct {
    int8_t *code;
    float *scale;
    int32_t *sum;
} agi_block_rows;

typedef struct agi_blocks {
    /* Codes and scales of a row of n: scale = largest / 127, code = x / scale to nearest, ties to
     * even; zeros behind the last. A block with NaN or infinities has the scale NaN. */
    void (*quantize)(int8_t *code, float *scale, const float *x, int64_t n);
    /* Outputs [o0, o1) of all rows; o0 is the first of a panel. w is packed. */
    void (*dot)(const agi_linear_args *a, const agi_block_rows *x, int64_t o0, int64_t o1);
} agi_blocks;

extern const agi_blocks agi_blocks_plain; /* reads weights in rows, too */
#if defined(__x86_64__)
extern const agi_blocks agi_blocks_avx2, agi_blocks_avx2vnni;
extern const agi_blocks agi_blocks_avx512, agi_blocks_avx512vnni;
#endif

#endif
