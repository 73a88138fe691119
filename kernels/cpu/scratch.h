/*
 * scratch.h: the bytes of scratch that an op's kernel finds on each worker (w->scratch), 64-byte
 * aligned, with undefined contents.
 */
#ifndef ARGENT_KERNELS_CPU_SCRATCH_H
#define ARGENT_KERNELS_CPU_SCRATCH_H

#include "blocks.h"
#include "../../runtime/backend.h"
#include "../../runtime/ops.h"
#include "isa.h"

/* How many query heads of those that share a key head one worker takes at once: all, but not more
 * than AGI_ATTENTION_HEADS, so that scores of a long past stay in the nearer caches. */
enum { AGI_ATTENTION_HEADS = 4 };
static inline int64_t agi_attention_heads(const agi_attention_args *a)
{
    const int64_t group = a->q_heads / a->kv_heads;
    return group < AGI_ATTENTION_HEADS ? group : AGI_ATTENTION_HEADS;
}

/* The scores (f32) of those heads with every key they can see: the window, or the capacity where
 * there is none. */
static inline int64_t agi_attention_scratch(const agi_attention_args *a)
{
    const int64_t keys = a->window > 0 && a->window < a->capacity ? a->window : a->capacity;
    return agi_attention_heads(a) * keys * 4;
}

/* A key after its rotation (f32), before it is kept in another dtype. */
static inline int64_t agi_rope_append_scratch(const agi_rope_append_args *a) { return a->d * 4; }

/* One row of logits as they are changed (f32), and the ids that top-p sorts (i32). */
static inline int64_t agi_sample_scratch(const agi_sample_args *a) { return a->vocab * 8; }

/* Rows of x whose codes are made at a time for a product of quantised weights. */
enum { AGI_BLOCKED_ROWS = 256 };

/* For each block of 32 of a row its codes, a scale and a sum. */
static inline int64_t agi_linear_scratch(const agi_linear_args *a)
{
    int64_t rows = a->rows < AGI_BLOCKED_ROWS ? a->rows : AGI_BLOCKED_ROWS;
    rows = (rows + AGI_BLOCK_ROWS - 1) / AGI_BLOCK_ROWS * AGI_BLOCK_ROWS;
    return a->w.scale ? rows * ((a->k + AGI_CHUNK - 1) / AGI_CHUNK) * (AGI_CHUNK + 8) : 0;
}

/* What the instruction set needs of it; nothing for no rows, however far apart the taps are. */
static inline int64_t agi_packed_conv1d_scratch(const agi_isa *isa, const agi_packed_conv1d_args *a)
{
    return a->rows > 0 ? isa->conv->scratch(a) : 0;
}

/* A panel of weights as f32. */
static inline int64_t agi_pack_conv1d_scratch(const agi_isa *isa, const agi_pack_conv1d_args *a)
{
    const int64_t outs = a->outs < isa->conv->panel ? a->outs : isa->conv->panel;
    return a->w_dtype == AG_F32 ? 0 : 4 * outs * a->taps * a->k;
}

/* A tile of matmul's out, and the depth of a slice of its sums: parts of both operands where they
 * are copied, and the slice's sums. */
enum { AGI_MATMUL_TILE = 128, AGI_MATMUL_DEPTH = 512 };
enum { AGI_MATMUL_SCRATCH = 4 * AGI_MATMUL_TILE * (2 * AGI_MATMUL_DEPTH + AGI_MATMUL_TILE) };

static inline int64_t agi_cpu_scratch(const agi_isa *isa, enum agi_op op, const void *args)
{
    switch (op) {
    case AGI_OP_attention: return agi_attention_scratch(args);
    case AGI_OP_rope_append: return agi_rope_append_scratch(args);
    case AGI_OP_linear: return agi_linear_scratch(args);
    case AGI_OP_sample: return agi_sample_scratch(args);
    case AGI_OP_matmul: return AGI_MATMUL_SCRATCH;
    case AGI_OP_pack_conv1d: return agi_pack_conv1d_scratch(isa, args);
    case AGI_OP_packed_conv1d: return agi_packed_conv1d_scratch(isa, args);
    default: return 0;
    }
}

#endif
