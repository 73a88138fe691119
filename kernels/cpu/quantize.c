/*
 * quantize.c: the op quantize: weights as codes and a scale for each block of AGI_CHUNK columns.
 * Loops over a block are such that compilers make vectors of them.
 */
#include "../weight.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/convert.h"
#include "../../runtime/error.h"
#include "../../runtime/ops.h"

#include <math.h>
#include <string.h>

/* To the nearest whole number, ties to even, of a number that is far below 2^22. */
static inline int nearest(float x)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23 */
    return (int)((x + shift) - shift);
}

/* The bits of the largest |x|, which grow with it; those of NaN and infinities are above all. */
static uint32_t largest_bits(const float *x)
{
    int32_t most = 0;
    for (int i = 0; i < AGI_CHUNK; i++) {
        int32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    return (uint32_t)most;
}

/* Codes of a block, which are x / scale, at least lo and at most hi; returns the f16 of the scale:
 * the one that makes `end` of the number of the largest size. The smallest f16 lie so far apart
 * that the nearest one may be much too small: then it is the next. */
static uint16_t codes_of(int32_t *code, const float *x, float largest, float end, int lo, int hi)
{
    uint16_t half = agi_f16_from_f32(largest / end);
    if (fabsf(largest) > fabsf(agi_f32_from_f16(half)) * (fabsf(end) + 0.5f)) half++;
    const float scale = agi_f32_from_f16(half), inverse = scale != 0 ? 1 / scale : 0;
    for (int i = 0; i < AGI_CHUNK; i++) {
        int c = nearest(x[i] * inverse);
        c = c < lo ? lo : c;
        code[i] = c > hi ? hi : c;
    }
    return half;
}

/* The largest by size, with its sign: the positive one where both are there. */
static float signed_largest(const float *x, float largest)
{
    int positive = 0;
    for (int i = 0; i < AGI_CHUNK; i++) positive |= x[i] == largest;
    return positive ? largest : -largest;
}

/* n columns of a row from c, a multiple of AGI_CHUNK. */
static bool quantize_block(const agi_quantize_args *a, int64_t o, int64_t c, const float *x)
{
    const int n = (int)(a->k - c < AGI_CHUNK ? a->k - c : AGI_CHUNK);
    const float largest = agi_f32_from_bits(largest_bits(x));
    uint16_t *scale = a->scale + o * a->scale_stride + c / AGI_CHUNK;
    int32_t code[AGI_CHUNK];
    if (!(largest < 65504.0f * AGI_Q4_BIAS)) return false;
    char *out = a->code + o * a->code_stride;
    if (a->kind == AGI_WEIGHT_Q8) {
        *scale = codes_of(code, x, largest, 127, -127, 127);
        int8_t bytes[AGI_CHUNK];
        for (int i = 0; i < AGI_CHUNK; i++) bytes[i] = (int8_t)code[i];
        memcpy(out + c, bytes, (size_t)n);
        return true;
    }
    /* From -8 to 7: the largest becomes -8, which has no counterpart. */
    *scale =
        codes_of(code, x, signed_largest(x, largest), -AGI_Q4_BIAS, -AGI_Q4_BIAS, AGI_Q4_BIAS - 1);
    uint8_t bytes[AGI_CHUNK / 2];
    for (int i = 0; i < AGI_CHUNK / 2; i++)
        bytes[i] = (uint8_t)((code[2 * i] + AGI_Q4_BIAS) | (code[2 * i + 1] + AGI_Q4_BIAS) << 4);
    memcpy(out + c / 2, bytes, (size_t)((n + 1) / 2));
    return true;
}

int agi_cpu_quantize(const void *args, agi_worker *w)
{
    enum { PIECE = 16 * AGI_CHUNK };
    const agi_quantize_args *a = args;
    const int64_t size = agi_dtype_size(a->w_dtype);
    int64_t lo, hi;
    agi_share(w, a->outs, 1, &lo, &hi);
    for (int64_t o = lo; o < hi; o++)
        for (int64_t p = 0; p < a->k; p += PIECE) {
            float x[PIECE];
            const int64_t n = a->k - p < PIECE ? a->k - p : PIECE;
            if (n < PIECE) memset(x, 0, sizeof x);
            agi_convert((char *)x, AG_F32, 1, a->w + (o * a->stride + p) * size, a->w_dtype, 1, n);
            for (int64_t c = 0; c < n; c += AGI_CHUNK)
                if (!quantize_block(a, o, p + c, x + c))
                    return agi_fail(AG_EVALUE,
                                    "quantize: row %lld holds NaN, an infinity or a number too "
                                    "large for f16 scales",
                                    (long long)o);
        }
    return AG_OK;
}
