/* dtype.h: element types, their sizes, and the conversions between the 16-bit floats and f32. */
#ifndef ARGENT_DTYPE_H
#define ARGENT_DTYPE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

bool agi_dtype_valid(int dtype);
/* Of valid dtypes. */
int64_t agi_dtype_size(int dtype);          /* bytes of one element */
const char *agi_dtype_file_name(int dtype); /* in safetensors: "F32", ... */
bool agi_dtype_converts(int from, int to);  /* every float to every float, and each to itself */
/* The exponent's bits of a float, all ones in infinities and NaN alone; 0 for integers. */
uint32_t agi_dtype_infinite(int dtype);

/* A kind of weights (dtype.def), and the one that tensors of a dtype are: -1, none. */
enum agi_weight_kind {
#define AG_WEIGHT(NAME, ...) AGI_WEIGHT_##NAME,
#include "dtype.def"
    AGI_WEIGHTS
};
int agi_weight_kind_of(int dtype);

static inline float agi_f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t agi_bits_from_f32(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float agi_f32_from_bf16(uint16_t h) { return agi_f32_from_bits((uint32_t)h << 16); }

/* Round to nearest, ties to even; NaN stays a quiet NaN. */
static inline uint16_t agi_bf16_from_f32(float f)
{
    uint32_t u = agi_bits_from_f32(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

/* How many of the n elements at p, which need not be aligned, are NaN or infinite; of integers
 * none. */
int64_t agi_count_nonfinite(const char *p, int64_t n, int dtype);

float agi_f32_from_f16(uint16_t h);
uint16_t agi_f16_from_f32(float f);

#endif
