/* dtype.c: the tables of dtype.def, and f16 in plain C (the fast paths convert in registers). */
#include "argent.h"
#include "dtype.h"

#include <math.h>
#include <stddef.h>

static const struct {
    const char *name, *file_name, *host;
    int64_t size;
    uint32_t infinite;
} dtypes[AG_DTYPES] = {
#define AG_DTYPE(NAME, name, type, infinite)                                                       \
    [AG_##NAME] = {#name, #NAME, #type, (int64_t)sizeof(type), infinite},
#include "dtype.def"
};

static const struct {
    const char *name;
    int dtype;
} weights[AGI_WEIGHTS] = {
#define AG_WEIGHT(NAME, name, dtype) [AGI_WEIGHT_##NAME] = {#name, dtype},
#include "dtype.def"
};

bool agi_dtype_valid(int dtype) { return dtype >= 0 && dtype < AG_DTYPES; }

int64_t agi_dtype_size(int dtype) { return dtypes[dtype].size; }

const char *agi_dtype_file_name(int dtype) { return dtypes[dtype].file_name; }

uint32_t agi_dtype_infinite(int dtype) { return dtypes[dtype].infinite; }

bool agi_dtype_converts(int from, int to)
{
    return from == to || (dtypes[from].infinite && dtypes[to].infinite);
}

int agi_weight_kind_of(int dtype)
{
    for (int i = 0; i < AGI_WEIGHTS; i++)
        if (weights[i].dtype == dtype) return i;
    return -1;
}

const char *ag_dtype_name(int dtype) { return agi_dtype_valid(dtype) ? dtypes[dtype].name : NULL; }

const char *ag_dtype_host(int dtype) { return agi_dtype_valid(dtype) ? dtypes[dtype].host : NULL; }

int ag_dtype_float(int dtype) { return agi_dtype_valid(dtype) && dtypes[dtype].infinite != 0; }

const char *ag_weight_name(int kind)
{
    return kind >= 0 && kind < AGI_WEIGHTS ? weights[kind].name : NULL;
}

float agi_f32_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u,
             mantissa = h & 0x3ffu;
    if (exponent == 31) return agi_f32_from_bits(sign | 0x7f800000u | (mantissa << 13));
    if (exponent) return agi_f32_from_bits(sign | ((exponent + 112) << 23) | (mantissa << 13));
    float tiny = ldexpf((float)mantissa, -24); /* subnormal or zero: exact in f32 */
    return sign ? -tiny : tiny;
}

uint16_t agi_f16_from_f32(float f)
{
    uint32_t u = agi_bits_from_f32(f), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and above round to infinity */
    if (a < 0x38800000u) { /* below 2^-14: a multiple of 2^-24, rounded to even by the FPU */
        float scaled = ldexpf(agi_f32_from_bits(a), 24);
        return (uint16_t)(sign | (uint32_t)lrintf(scaled));
    }
    uint32_t rounded = a + 0xfffu + ((a >> 13) & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

/* Exponent bits all ones: infinite or NaN, whatever the dtype. The inner sums are 32 bits wide, as
 * a vector of them holds twice as many. */
int64_t agi_count_nonfinite(const char *p, int64_t n, int dtype)
{
    enum { BLOCK = 1 << 16 };
    const uint32_t word = agi_dtype_infinite(dtype);
    const uint16_t half = (uint16_t)word;
    const int64_t size = agi_dtype_size(dtype);
    int64_t bad = 0;
    if (word == 0) return 0;
    for (; n > 0; n -= BLOCK, p += BLOCK * size) {
        const int64_t m = n < BLOCK ? n : BLOCK;
        uint32_t some = 0, u;
        uint16_t h;
        if (size == 4) {
            for (int64_t i = 0; i < m; i++) {
                memcpy(&u, p + 4 * i, 4);
                some += (u & word) == word;
            }
        } else {
            for (int64_t i = 0; i < m; i++) {
                memcpy(&h, p + 2 * i, 2);
                some += (h & half) == half;
            }
        }
        bad += some;
    }
    return bad;
}
