/* simd_avx2.h: the vector vocabulary of the *_simd.h files in AVX2 and FMA. A word means
 * the same here and in simd_avx512.h. */
#ifndef ARGENT_SIMD_H
#define ARGENT_SIMD_H

#include "simd_x86.h"

#include <stdint.h>

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

#endif
