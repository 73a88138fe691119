/* simd_avx2.h: the vector vocabulary of the *_simd.h files in AVX2 and FMA. A word means
 * the same here and in simd_avx512.h. */
#ifndef ARGENT_SIMD_H
#define ARGENT_SIMD_H

#include "simd_x86.h"

#include <stdint.h>
#include <string.h>

typedef __m256 vf;
enum { LANES = 8 };
#define TILE_ROWS 2

static inline vf v_zero(void) { return _mm256_setzero_ps(); }
static inline vf v_set(float x) { return _mm256_set1_ps(x); }
static inline vf v_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_store(float *p, vf x) { _mm256_storeu_ps(p, x); }

/* The first n < LANES elements; no others are touched, and missing lanes are zero. */
static inline __m256i v_first(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vf v_load_part(const float *p, int64_t n)
{
    return _mm256_maskload_ps(p, v_first(n));
}
static inline void v_store_part(float *p, vf x, int64_t n)
{
    _mm256_maskstore_ps(p, v_first(n), x);
}
static inline vf v_keep_part(vf x, vf other, int64_t n)
{
    return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(v_first(n)));
}

static inline vf v_widen(__m128i h)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
static inline vf v_load_bf16(const uint16_t *p)
{
    return v_widen(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline vf v_load_bf16_part(const uint16_t *p, int64_t n)
{
    uint16_t part[8] = {0}; /* AVX2 has no masked load of 16-bit elements */
    for (int64_t i = 0; i < n; i++) part[i] = p[i];
    return v_load_bf16(part);
}

static inline vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
/* a * b + c and c - a * b. */
static inline vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
/* Where b is NaN the result is NaN: the bound goes first, the data second. */
static inline vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf v_round(vf x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline vf v_abs(vf x) { return _mm256_andnot_ps(v_set(-0.0f), x); }
/* x with the sign of s (x >= 0). */
static inline vf v_with_sign(vf x, vf s) { return _mm256_or_ps(x, _mm256_and_ps(v_set(-0.0f), s)); }
/* x * 2^n for integral n in [-126, 127]. */
static inline vf v_scale2(vf x, vf n)
{
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}
/* x, but 0 where test < bound. */
static inline vf v_zero_below(vf x, vf test, vf bound)
{
    return _mm256_andnot_ps(_mm256_cmp_ps(test, bound, _CMP_LT_OQ), x);
}

/* The sums of a, b, c, d, all four in the same order: v_sum gives the same bits. */
static inline v4 v_sum4(vf a, vf b, vf c, vf d)
{
    vf ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    vf cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
    __m256d ab2 = _mm256_castps_pd(ab), cd2 = _mm256_castps_pd(cd);
    vf s = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(ab2, cd2)),
                         _mm256_castpd_ps(_mm256_unpackhi_pd(ab2, cd2)));
    return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}
static inline float v_hmax(vf x)
{
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_shuffle_ps(h, h, 1)));
}

/* ---- bytes ---- */

/* LANES whole numbers, or four times as many bytes. */
typedef __m256i vi;
static inline vi vi_set(int32_t x) { return _mm256_set1_epi32(x); }
static inline vi vi_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
/* Four bytes, in every lane. */
static inline vi vi_four(const int8_t *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return _mm256_set1_epi32(x);
}
/* The low and the high half of each byte. */
static inline vi vi_low4(vi x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
static inline vi vi_high4(vi x) { return vi_low4(_mm256_srli_epi16(x, 4)); }
static inline vf v_of_int(vi x) { return _mm256_cvtepi32_ps(x); }
static inline vf v_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
/* To nearest whole numbers, ties to even, as signed bytes. */
static inline void v_store_i8(int8_t *p, vf x)
{
    const vi i = _mm256_cvtps_epi32(x);
    const __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packs_epi16(h, h));
}
/* Each lane of acc += the sum of its four products: of w, whose bytes are codes + 128 for v_dot8
 * and 0 to 15 for v_dot4, and the signed bytes of x. v_dot8 takes a weight for its code + V_BIAS.
 */
#if defined(__AVXVNNI__)
enum { V_BIAS = 128 };
static inline vi v_dot8(vi acc, vi w, vi x) { return _mm256_dpbusd_avx_epi32(acc, w, x); }
static inline vi v_dot4(vi acc, vi w, vi x) { return _mm256_dpbusd_avx_epi32(acc, w, x); }
#else
enum { V_BIAS = 0 };
static inline vi v_dot4(vi acc, vi w, vi x)
{
    const vi pairs = _mm256_maddubs_epi16(w, x); /* sums of two, which fit: 2 * 128 * 127 */
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
static inline vi v_dot8(vi acc, vi w, vi x)
{
    w = _mm256_xor_si256(w, _mm256_set1_epi8(-128));
    return v_dot4(acc, _mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}
#endif

#endif
