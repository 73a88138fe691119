/* simd_neon.h: the vector vocabulary of the *_simd.h files in NEON, which every aarch64 CPU has. A
 * word means the same here and in simd_avx2.h. */
#ifndef ARGENT_SIMD_H
#define ARGENT_SIMD_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

typedef float32x4_t vf;
enum { LANES = 4 };
#define TILE_ROWS 6

typedef float32x4_t v4;
static inline v4 v4_load(const float *p) { return vld1q_f32(p); }
static inline void v4_store(float *p, v4 x) { vst1q_f32(p, x); }
static inline v4 v4_add(v4 a, v4 b) { return vaddq_f32(a, b); }
static inline float v4_first(v4 x) { return vgetq_lane_f32(x, 0); }

static inline int v_on_zen(void) { return 0; }

static inline vf v_zero(void) { return vdupq_n_f32(0); }
static inline vf v_set(float x) { return vdupq_n_f32(x); }
static inline vf v_load(const float *p) { return vld1q_f32(p); }
static inline void v_store(float *p, vf x) { vst1q_f32(p, x); }

/* The first n < LANES elements; no others are touched, and missing lanes are zero. */
static inline uint32x4_t v_first(int64_t n)
{
    static const uint32_t lanes[] = {0, 1, 2, 3};
    return vcltq_u32(vld1q_u32(lanes), vdupq_n_u32((uint32_t)n));
}
static inline vf v_load_part(const float *p, int64_t n)
{
    float part[4] = {0};
    for (int64_t i = 0; i < n; i++) part[i] = p[i];
    return vld1q_f32(part);
}
static inline void v_store_part(float *p, vf x, int64_t n)
{
    float part[4];
    vst1q_f32(part, x);
    for (int64_t i = 0; i < n; i++) p[i] = part[i];
}
static inline vf v_keep_part(vf x, vf other, int64_t n) { return vbslq_f32(v_first(n), x, other); }

static inline vf v_widen(uint16x4_t h) { return vreinterpretq_f32_u32(vshll_n_u16(h, 16)); }
static inline vf v_load_bf16(const uint16_t *p) { return v_widen(vld1_u16(p)); }
static inline vf v_load_bf16_part(const uint16_t *p, int64_t n)
{
    uint16_t part[4] = {0};
    for (int64_t i = 0; i < n; i++) part[i] = p[i];
    return v_load_bf16(part);
}

static inline vf v_add(vf a, vf b) { return vaddq_f32(a, b); }
static inline vf v_sub(vf a, vf b) { return vsubq_f32(a, b); }
static inline vf v_mul(vf a, vf b) { return vmulq_f32(a, b); }
static inline vf v_div(vf a, vf b) { return vdivq_f32(a, b); }
/* a * b + c and c - a * b. */
static inline vf v_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf v_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
/* Where b is NaN the result is NaN: the bound goes first, the data second. */
static inline vf v_max(vf a, vf b) { return vmaxq_f32(a, b); }
static inline vf v_min(vf a, vf b) { return vminq_f32(a, b); }
static inline vf v_round(vf x) { return vrndnq_f32(x); }
static inline vf v_abs(vf x) { return vabsq_f32(x); }
/* x with the sign of s (x >= 0). */
static inline vf v_with_sign(vf x, vf s) { return vbslq_f32(vdupq_n_u32(0x80000000u), s, x); }
/* x * 2^n for integral n in [-126, 127]. */
static inline vf v_scale2(vf x, vf n)
{
    int32x4_t e = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    return vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(e, 23)));
}
/* x, but 0 where test < bound. */
static inline vf v_zero_below(vf x, vf test, vf bound)
{
    return vbslq_f32(vcltq_f32(test, bound), v_zero(), x);
}

/* The sums of a, b, c, d, all four in the same order: v_sum gives the same bits. */
static inline v4 v_sum4(vf a, vf b, vf c, vf d)
{
    return vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d));
}
static inline float v_hmax(vf x) { return vmaxvq_f32(x); }

/* ---- bytes ---- */

/* LANES whole numbers, or four times as many bytes. */
typedef int32x4_t vi;
static inline int8x16_t vi_bytes(vi x) { return vreinterpretq_s8_s32(x); }
static inline vi vi_set(int32_t x) { return vdupq_n_s32(x); }
static inline vi vi_load(const void *p) { return vreinterpretq_s32_s8(vld1q_s8(p)); }
/* Four bytes, in every lane. */
static inline vi vi_four(const int8_t *p)
{
    int32_t x;
    memcpy(&x, p, sizeof x);
    return vdupq_n_s32(x);
}
/* The low and the high half of each byte. */
static inline vi vi_low4(vi x)
{
    return vreinterpretq_s32_s8(vandq_s8(vi_bytes(x), vdupq_n_s8(15)));
}
static inline vi vi_high4(vi x)
{
    return vreinterpretq_s32_u8(vshrq_n_u8(vreinterpretq_u8_s32(x), 4));
}
static inline vf v_of_int(vi x) { return vcvtq_f32_s32(x); }
static inline vf v_load_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
/* To nearest whole numbers, ties to even, as signed bytes. */
static inline void v_store_i8(int8_t *p, vf x)
{
    const int16x4_t h = vqmovn_s32(vcvtnq_s32_f32(x));
    const int8x8_t b = vqmovn_s16(vcombine_s16(h, h));
    vst1_lane_s32((int32_t *)(void *)p, vreinterpret_s32_s8(b), 0);
}
/* Each lane of acc += the sum of its four products: of w, whose bytes are codes + 128 for v_dot8
 * and 0 to 15 for v_dot4, and the signed bytes of x. v_dot8 takes a weight for its code + V_BIAS.
 */
enum { V_BIAS = 0 };
static inline vi v_dot4(vi acc, vi w, vi x)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(acc, vi_bytes(w), vi_bytes(x));
#else
    const int8x16_t a = vi_bytes(w), b = vi_bytes(x);
    const int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return vaddq_s32(acc, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
#endif
}
static inline vi v_dot8(vi acc, vi w, vi x)
{
    return v_dot4(acc, veorq_s32(w, vdupq_n_s32((int32_t)0x80808080)), x);
}

#endif
