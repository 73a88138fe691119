/* half.h: the conversions between f32 and the 16-bit floats, to nearest and ties to even. NaN stays
 * NaN. */
#ifndef ARGENT_HALF_H
#define ARGENT_HALF_H

#include "both.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

AGI_BOTH float agi_f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

AGI_BOTH uint32_t agi_bits_from_f32(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

AGI_BOTH float agi_f32_from_bf16(uint16_t h) { return agi_f32_from_bits((uint32_t)h << 16); }

AGI_BOTH uint16_t agi_bf16_from_f32(float f)
{
    uint32_t u = agi_bits_from_f32(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

AGI_BOTH float agi_f32_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u,
             mantissa = h & 0x3ffu;
    if (exponent == 31) return agi_f32_from_bits(sign | 0x7f800000u | (mantissa << 13));
    if (exponent) return agi_f32_from_bits(sign | ((exponent + 112) << 23) | (mantissa << 13));
    float tiny = (float)mantissa * 5.9604644775390625e-8f; /* 2^-24: exact */
    return agi_f32_from_bits(sign | agi_bits_from_f32(tiny));
}

AGI_BOTH uint16_t agi_f16_from_f32(float f)
{
    uint32_t u = agi_bits_from_f32(f), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and above round to infinity */
    if (a < 0x38800000u)                                     /* below 2^-14: a multiple of 2^-24 */
        return (uint16_t)(sign | (uint32_t)lrintf(agi_f32_from_bits(a) * 16777216.0f));
    uint32_t rounded = a + 0xfffu + ((a >> 13) & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

#endif
