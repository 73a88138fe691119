/* dtype.h: element types, their sizes, and the conversions between the 16-bit floats and f32. */
#ifndef ARGENT_DTYPE_H
#define ARGENT_DTYPE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Bytes of one element. */
int64_t agi_dtype_size(int dtype);
bool agi_dtype_valid(int dtype);

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
