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
    case AGI_WEIGHT_Q8:
    case AGI_WEIGHT_Q4: break; /* agi_weight_code, and scales */
    }
    return 0;
}

/* What is taken off the codes of q4, which are 0 to 15. */
enum { AGI_Q4_BIAS = 8 };

/* The code of row o and column c of quantised weights: -128 to 127, or -8 to 7. */
AGI_BOTH int agi_weight_code(const agi_weight *w, enum agi_weight_kind kind, int64_t o, int64_t c)
{
    const uint8_t *p = (const uint8_t *)w->p;
    if (!w->chunks) {
        const int64_t i = o * w->stride + c;
        if (kind == AGI_WEIGHT_Q8) return ((const int8_t *)w->p)[i];
        return (p[i / 2] >> (i % 2 * 4) & 15) - AGI_Q4_BIAS;
    }
    const int64_t chunk = o / AGI_PANEL * w->chunks + c / AGI_CHUNK, column = c % AGI_CHUNK;
    const int64_t row = o % AGI_PANEL, half = AGI_CHUNK / 2;
    if (kind == AGI_WEIGHT_Q8)
        return p[((chunk * AGI_CHUNK / 4 + column / 4) * AGI_PANEL + row) * 4 + column % 4] - 128;
    const int64_t low = column % half;
    const uint8_t both = p[((chunk * half / 4 + low / 4) * AGI_PANEL + row) * 4 + low % 4];
    return (both >> (column < half ? 0 : 4) & 15) - AGI_Q4_BIAS;
}

/* The scale of row o and block b of quantised weights. */
AGI_BOTH float agi_weight_scale(const agi_weight *w, int64_t o, int64_t b)
{
    if (!w->chunks) return agi_f32_from_f16(w->scale[o * w->scale_stride + b]);
    return agi_f32_from_f16(w->scale[(o / AGI_PANEL * w->chunks + b) * AGI_PANEL + o % AGI_PANEL]);
}

#endif
