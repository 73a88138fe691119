/*
 * scratch.h: the bytes of scratch per worker that kernels need, for the fronts to ask for. A kernel
 * finds them in w->scratch, 64-byte aligned, with undefined contents.
 */
#ifndef ARGENT_KERNELS_CPU_SCRATCH_H
#define ARGENT_KERNELS_CPU_SCRATCH_H

#include <stdint.h>

/* One row of logits as they are changed (f32), and the ids that top-p sorts (i32). */
static inline int64_t agi_sample_scratch(int64_t vocab) { return vocab * 8; }

/* The scores (f32) of one query with every key it can see: the window, or the capacity where there
 * is none. */
static inline int64_t agi_attention_scratch(int64_t capacity) { return capacity * 4; }

#endif
