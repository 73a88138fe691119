/*
 * scratch.h: the bytes of scratch that an op's kernel finds on each worker (w->scratch), 64-byte
 * aligned, with undefined contents.
 */
#ifndef ARGENT_KERNELS_CPU_SCRATCH_H
#define ARGENT_KERNELS_CPU_SCRATCH_H

#include "../../runtime/backend.h"
#include "../../runtime/ops.h"

/* The scores (f32) of one query with every key it can see: the window, or the capacity where there
 * is none. */
static inline int64_t agi_attention_scratch(const agi_attention_args *a)
{
    return (a->window > 0 && a->window < a->capacity ? a->window : a->capacity) * 4;
}

/* One row of logits as they are changed (f32), and the ids that top-p sorts (i32). */
static inline int64_t agi_sample_scratch(const agi_sample_args *a) { return a->vocab * 8; }

static inline int64_t agi_cpu_scratch(enum agi_op op, const void *args)
{
    switch (op) {
    case AGI_OP_attention: return agi_attention_scratch(args);
    case AGI_OP_attention_probs:
        return agi_attention_scratch(&((const agi_attention_probs_args *)args)->of);
    case AGI_OP_sample: return agi_sample_scratch(args);
    default: return 0;
    }
}

#endif
