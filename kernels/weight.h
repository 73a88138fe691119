/*
 * weight.h: weights in memory: where they stand and what they are as numbers. `kind` is the
 * weights' own, which a kernel made for one kind gives as a constant.
 */
#ifndef ARGENT_KERNELS_WEIGHT_H
#define ARGENT_KERNELS_WEIGHT_H

#include "../runtime/both.h"
#include "../runtime/half.h"
#include "../runtime/ops.h"

/* Bytes of n weights that stand side by side. */
AGI_BOTH int64_t agi_weight_bytes(enum agi_weight_kind kind, int64_t n)
{
    switch (kind) {
/* clang-format off */
#define AG_WEIGHT(NAME, name, dtype, bits) case AGI_WEIGHT_##NAME: return n * (bits) / 8;
#include "../runtime/dtype.def"
        /* clang-format on */
    }
    return 0;
}

/* Weight i of those in memory. */
AGI_BOTH const void *agi_weight_at(const agi_weight *w, enum agi_weight_kind kind, int64_t i)
{
    return (const char *)w->p + agi_weight_bytes(kind, i);
}

/* Where the weight of row o and column c is. */
AGI_BOTH int64_t agi_weight_index(const agi_weight *w, int64_t o, int64_t c)
{
    if (!w->chunks) return o * w->stride + c;
    const int64_t chunk = o / AGI_PANEL * w->chunks + c / AGI_CHUNK;
    return (chunk * AGI_PANEL + o % AGI_PANEL) * AGI_CHUNK + c % AGI_CHUNK;
}

AGI_BOTH float agi_weight_value(const agi_weight *w, enum agi_weight_kind kind, int64_t i)
{
    switch (kind) {
    case AGI_WEIGHT_F32: return ((const float *)w->p)[i];
    case AGI_WEIGHT_BF16: return agi_f32_from_bf16(((const uint16_t *)w->p)[i]);
    }
    return 0;
}

#endif
