/* small.cuh: the ops of which a frame has many with a few thousand elements: each can be a launch
 * of its own or one of several in a block (small.cu). One thread an element. */
#ifndef ARGENT_KERNELS_CUDA_SMALL_CUH
#define ARGENT_KERNELS_CUDA_SMALL_CUH

#include "../cache.h"
#include "../weight.h"
#include "device.h"

/* ---- rope_angles: the angle is an f32 product, as in the reference; cosine and sine are of its
 * f64 value. ---- */

DEVICE void angles_item(const agi_rope_angles_args *a, int64_t i, agi_fault *f)
{
    int64_t row = i / a->half, j = i % a->half;
    const int64_t slot = agi_slot_of(&a->slots, row / a->steps);
    if (slot < 0) {
        agi_report(f, AGI_FAULT_SLOT, row / a->steps, 0, 0, 0);
        return;
    }
    int64_t pos = a->pos[slot * a->pos_stride] + row % a->steps;
    float angle = (float)pos * a->inv_freq[j], *out = a->out + row * 2 * a->half;
    out[j] = (float)cos((double)angle);
    out[a->half + j] = (float)sin((double)angle);
}

/* ---- copy, fill: any strides, conversions between the dtypes (round to nearest even) ---- */

/* The bits of element i, of `size` bytes. */
DEVICE uint32_t load_bits(const char *p, int64_t size, int64_t i)
{
    if (size == 4) return ((const uint32_t *)(const void *)p)[i];
    return size == 2 ? ((const uint16_t *)(const void *)p)[i] : ((const uint8_t *)p)[i];
}

DEVICE void store_bits(char *p, int64_t size, int64_t i, uint32_t bits)
{
    if (size == 4) ((uint32_t *)(void *)p)[i] = bits;
    else if (size == 2) ((uint16_t *)(void *)p)[i] = (uint16_t)bits;
    else ((uint8_t *)p)[i] = (uint8_t)bits;
}

DEVICE float load_as(const char *p, int dtype, int64_t i)
{
    const uint32_t u = load_bits(p, agi_dtype_size(dtype), i);
    if (dtype == AG_F32) return agi_f32_from_bits(u);
    return dtype == AG_BF16 ? agi_f32_from_bf16((uint16_t)u) : agi_f32_from_f16((uint16_t)u);
}

DEVICE void store_as(char *p, int dtype, int64_t i, float v)
{
    const uint32_t u = dtype == AG_F32    ? agi_bits_from_f32(v)
                       : dtype == AG_BF16 ? agi_bf16_from_f32(v)
                                          : agi_f16_from_f32(v);
    store_bits(p, agi_dtype_size(dtype), i, u);
}

DEVICE void copy_item(const agi_copy_args *a, int64_t i, agi_fault *f)
{
    int64_t out = 0, x = 0;
    (void)f;
    for (int d = a->ndim - 1; d >= 0; i /= a->shape[d], d--) {
        out += i % a->shape[d] * a->out_stride[d];
        x += i % a->shape[d] * a->x_stride[d];
    }
    if (a->out_dtype != a->x_dtype)
        store_as(a->out, a->out_dtype, out, load_as(a->x, a->x_dtype, x));
    else /* bits, so that NaN keeps its own */
        store_bits(a->out, agi_dtype_size(a->x_dtype), out,
                   load_bits(a->x, agi_dtype_size(a->x_dtype), x));
}

DEVICE void fill_item(const agi_fill_args *a, int64_t i, agi_fault *f)
{
    int64_t out = 0;
    (void)f;
    for (int d = a->ndim - 1; d >= 0; i /= a->shape[d], d--) out += i % a->shape[d] * a->stride[d];
    if (agi_dtype_infinite(a->dtype)) store_as(a->out, a->dtype, out, (float)a->value);
    else store_bits(a->out, agi_dtype_size(a->dtype), out, (uint32_t)(int64_t)a->value);
}

static inline int64_t elements(const int64_t *shape, int ndim)
{
    int64_t n = 1;
    for (int i = 0; i < ndim; i++) n *= shape[i];
    return n;
}

/* ---- add, advance ---- */

DEVICE void add_item(const agi_add_args *a, int64_t i, agi_fault *f)
{
    int64_t r = i / a->n, c = i % a->n;
    (void)f;
    a->out[r * a->out_stride + c] =
        FMA(a->alpha, a->b[r * a->b_stride + c], a->a[r * a->a_stride + c]);
}
/* A sum that does not fit stays at the end of the range. */
DEVICE void advance_item(const agi_advance_args *a, int64_t i, agi_fault *f)
{
    const int64_t row = i;
    i = agi_slot_of(&a->slots, row);
    if (i < 0) {
        agi_report(f, AGI_FAULT_SLOT, row, 0, 0, 0);
        return;
    }
    int64_t v = (int64_t)a->x[i * a->stride] + a->by;
    if (a->limit && v > a->limit[i * a->limit_stride]) v = a->limit[i * a->limit_stride];
    a->x[i * a->stride] = v < INT32_MIN ? INT32_MIN : v > INT32_MAX ? INT32_MAX : (int32_t)v;
}
/* ---- embedding: table rows by id, or their sum over groups. An id outside its table adds nothing
 * to its row and is reported. ---- */

DEVICE void embedding_item(const agi_embedding_args *a, int64_t i, agi_fault *f)
{
    int64_t r = i / a->n, c = i % a->n;
    float sum = 0, *out = a->out + r * a->out_stride + c;
    bool known = true;
    for (int64_t g = 0; g < a->groups; g++) {
        int64_t id = a->ids[r * a->ids_row + g * a->ids_group];
        if (id >= 0 && id < a->vocab) continue;
        if (known && c == 0) {
            int32_t *word = a->faults.p ? a->faults.p + r * a->faults.stride : NULL;
            if (!word) agi_report(f, AGI_FAULT_ID, id, r, g, a->vocab);
            else if (!*word) *word = AGI_FAULT_ID;
        }
        known = false;
    }
    for (int64_t g = 0; known && g < a->groups; g++) {
        const int64_t id = a->ids[r * a->ids_row + g * a->ids_group];
        const int64_t at = g * a->group_stride + id * a->table.stride + c;
        sum += agi_weight_value(&a->table, a->table.kind, at);
    }
    *out = a->accumulate ? *out + sum : sum;
}
#endif
