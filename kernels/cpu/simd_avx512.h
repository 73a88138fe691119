/* simd_avx512.h: the vector vocabulary of the *_simd.h files in AVX-512 (F, BW, VL, DQ). A word
 * means the same here and in simd_avx2.h. */
#ifndef ARGENT_SIMD_H
#define ARGENT_SIMD_H

#include "simd_x86.h"

#include <stdint.h>
#include <string.h>

typedef __m512 vf;
enum { LANES = 16 };
#define TILE_ROWS 6

static inline vf v_zero(void) { return _mm512_setzero_ps(); }
static inline vf v_set(float x) { return _mm512_set1_ps(x); }
static inline vf v_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_store(float *p, vf x) { _mm512_storeu_ps(p, x); }

/* The first n < LANES elements; no others are touched, and missing lanes are zero. */
static inline __mmask16 v_first(int64_t n) { return (__mmask16)((1u << n) - 1u); }
static inline vf v_load_part(const float *p, int64_t n)
{
    return _mm512_maskz_loadu_ps(v_first(n), p);
}
static inline void v_store_part(float *p, vf x, int64_t n)
{
    _mm512_mask_storeu_ps(p, v_first(n), x);
}
static inline vf v_keep_part(vf x, vf other, int64_t n)
{
    return _mm512_mask_blend_ps(v_first(n), other, x);
}

static inline vf v_widen(__m256i h)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
static inline vf v_load_bf16(const uint16_t *p)
{
    return v_widen(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline vf v_load_bf16_part(const uint16_t *p, int64_t n)
{
    return v_widen(_mm256_maskz_loadu_epi16(v_first(n), p));
}

static inline vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
/* a * b + c and c - a * b. */
static inline vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
/* Where b is NaN the result is NaN: the bound goes first, the data second. */
static inline vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf v_round(vf x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_abs(vf x) { return _mm512_abs_ps(x); }
/* x with the sign of s (x >= 0). */
static inline vf v_with_sign(vf x, vf s)
{
    return _mm512_castsi512_ps(
        _mm512_or_si512(_mm512_castps_si512(x),
                        _mm512_and_si512(_mm512_castps_si512(s), _mm512_set1_epi32(INT32_MIN))));
}
/* x * 2^n for integral n in [-126, 127]. */
static inline vf v_scale2(vf x, vf n) { return _mm512_scalef_ps(x, n); }
/* x, but 0 where test < bound. */
static inline vf v_zero_below(vf x, vf test, vf bound)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(test, bound, _CMP_LT_OQ), x, v_zero());
}

/* The sums of a, b, c, d, all four in the same order: v_sum gives the same bits. */
static inline v4 v_sum4(vf a, vf b, vf c, vf d)
{
    vf ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    vf cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
    __m512d ab2 = _mm512_castps_pd(ab), cd2 = _mm512_castps_pd(cd);
    vf s = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab2, cd2)),
                         _mm512_castpd_ps(_mm512_unpackhi_pd(ab2, cd2)));
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
    return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
}
static inline float v_hmax(vf x) { return _mm512_reduce_max_ps(x); }

/* ---- bytes ---- */

/* LANES whole numbers, or four times as many bytes. */
typedef __m512i vi;
static inline vi vi_set(int32_t x) { return _mm512_set1_epi32(x); }
static inline vi vi_load(const void *p) { return _mm512_loadu_si512(p); }
/* Four bytes, in every lane. */
static inline vi vi_four(const int8_t *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return _mm512_set1_epi32(x);
}
/* The low and the high half of each byte. */
static inline vi vi_low4(vi x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
static inline vi vi_high4(vi x) { return vi_low4(_mm512_srli_epi16(x, 4)); }
static inline vf v_of_int(vi x) { return _mm512_cvtepi32_ps(x); }
static inline vf v_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
/* To nearest whole numbers, ties to even, as signed bytes. */
static inline void v_store_i8(int8_t *p, vf x)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
}
/* Each lane of acc += the sum of its four products: of w, whose bytes are codes + 128 for v_dot8
 * and 0 to 15 for v_dot4, and the signed bytes of x. v_dot8 takes a weight for its code + V_BIAS.
 */
#if defined(__AVX512VNNI__)
enum { V_BIAS = 128 };
static inline vi v_dot8(vi acc, vi w, vi x) { return _mm512_dpbusd_epi32(acc, w, x); }
static inline vi v_dot4(vi acc, vi w, vi x) { return _mm512_dpbusd_epi32(acc, w, x); }
#else
enum { V_BIAS = 0 };
static inline vi v_dot4(vi acc, vi w, vi x)
{
    const vi pairs = _mm512_maddubs_epi16(w, x); /* sums of two, which fit: 2 * 128 * 127 */
    return _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}
static inline vi v_dot8(vi acc, vi w, vi x)
{
    w = _mm512_xor_si512(w, _mm512_set1_epi8(-128));
    const vi signs = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
    return v_dot4(acc, _mm512_abs_epi8(w), signs);
}
#endif

#endif
