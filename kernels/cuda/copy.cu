/*
 * copy.cu: the ops copy and fill: any strides, conversions between the dtypes (round to nearest
 * even). One thread an element.
 */
#include "device.h"

DEVICE uint16_t bf16_of(float f)
{
    uint32_t u = agi_dev_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

DEVICE float from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, mantissa = h & 0x3ffu;
    if (exponent == 31) return agi_dev_from_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent) return agi_dev_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float tiny = (float)mantissa * 5.9604644775390625e-8f; /* 2^-24, exact */
    return agi_dev_from_bits(sign | agi_dev_bits(tiny));
}

DEVICE uint16_t f16_of(float f)
{
    uint32_t u = agi_dev_bits(f), sign = u >> 16 & 0x8000u, x = u & 0x7fffffffu;
    if (x > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (x >> 13 & 0x3ffu));
    if (x >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and up round to infinity */
    if (x < 0x38800000u) {                                   /* subnormal: units of 2^-24 */
        if (x < 0x33000000u) return (uint16_t)sign;
        uint32_t m = (x & 0x7fffffu) | 0x800000u, shift = 126 - (x >> 23);
        uint32_t half = 1u << (shift - 1), rest = m & ((1u << shift) - 1), q = m >> shift;
        q += rest > half || (rest == half && (q & 1u));
        return (uint16_t)(sign | q);
    }
    x += 0xfffu + (x >> 13 & 1u);
    return (uint16_t)(sign | ((x - 0x38000000u) >> 13));
}

DEVICE float load(const char *p, int dtype, int64_t at)
{
    if (dtype == AG_F32) return ((const float *)(const void *)p)[at];
    uint16_t h = ((const uint16_t *)(const void *)p)[at];
    return dtype == AG_BF16 ? agi_dev_from_bf16(h) : from_f16(h);
}

DEVICE void store(char *p, int dtype, int64_t at, float v)
{
    if (dtype == AG_F32) ((float *)(void *)p)[at] = v;
    else ((uint16_t *)(void *)p)[at] = dtype == AG_BF16 ? bf16_of(v) : f16_of(v);
}

DEVICE void copy_item(const agi_copy_args *a, int64_t i, agi_fault *f)
{
    int64_t out = 0, x = 0;
    (void)f;
    for (int d = a->ndim - 1; d >= 0; i /= a->shape[d], d--) {
        out += i % a->shape[d] * a->out_stride[d];
        x += i % a->shape[d] * a->x_stride[d];
    }
    if (a->out_dtype != a->x_dtype) store(a->out, a->out_dtype, out, load(a->x, a->x_dtype, x));
    else if (a->x_dtype == AG_F32 || a->x_dtype == AG_I32) /* bits, so that NaN keeps its own */
        ((uint32_t *)(void *)a->out)[out] = ((const uint32_t *)(const void *)a->x)[x];
    else ((uint16_t *)(void *)a->out)[out] = ((const uint16_t *)(const void *)a->x)[x];
}

static int64_t elements(const int64_t *shape, int ndim)
{
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    return n;
}

AGI_EACH(copy, agi_copy_args, copy_item, elements(a->shape, a->ndim))

DEVICE void fill_item(const agi_fill_args *a, int64_t i, agi_fault *f)
{
    int64_t out = 0;
    (void)f;
    for (int d = a->ndim - 1; d >= 0; i /= a->shape[d], d--) out += i % a->shape[d] * a->stride[d];
    if (a->dtype == AG_I32) ((int32_t *)(void *)a->out)[out] = (int32_t)a->value;
    else store(a->out, a->dtype, out, (float)a->value);
}

AGI_EACH(fill, agi_fill_args, fill_item, elements(a->shape, a->ndim))
