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

/* Rows of x as codes, and for each block its scale and what its sum begins with: the codes of
 * weights are read with a bias, which that takes off. AGI_BLOCK_ROWS rows lie together, so that a
 * tile finds what it needs of a chunk at fixed places behind one address: code
 * [rows / AGI_BLOCK_ROWS, chunks, AGI_BLOCK_ROWS, AGI_CHUNK], the others without the last. */
enum { AGI_BLOCK_ROWS = 8 };
typedef struct {
    int8_t *code;
    float *scale;
    int32_t *begin;
    int64_t chunks;
} agi_block_rows;

/* Which block is that of row r and chunk c. */
static inline int64_t agi_block_of(const agi_block_rows *x, int64_t r, int64_t c)
{
    return (r / AGI_BLOCK_ROWS * x->chunks + c) * AGI_BLOCK_ROWS + r % AGI_BLOCK_ROWS;
}

typedef struct agi_blocks {
    /* Codes and scales of a row of n, each AGI_BLOCK_ROWS blocks after the one before: scale =
     * largest / 127, code = x / scale to nearest, ties to even; zeros behind the last. A block with
     * NaN or infinities has the scale NaN. */
    void (*quantize)(int8_t *code, float *scale, const float *x, int64_t n);
    /* Outputs [o0, o1) of all rows; o0 is the first of a panel. w is packed. */
    void (*dot)(const agi_linear_args *a, const agi_block_rows *x, int64_t o0, int64_t o1);
    int q8_bias; /* of codes as dot reads them; that of q4 is AGI_Q4_BIAS */
} agi_blocks;

extern const agi_blocks agi_blocks_plain; /* reads weights in rows, too */
#if defined(__x86_64__)
extern const agi_blocks agi_blocks_avx2, agi_blocks_avx2vnni;
extern const agi_blocks agi_blocks_avx512, agi_blocks_avx512vnni;
#elif defined(__aarch64__)
extern const agi_blocks agi_blocks_neon, agi_blocks_neondot;
#endif

#endif
