/* simd_neon.h: the vector vocabulary of the *_simd.h files in NEON, which every aarch64 CPU has. A
 * word means the same here and in simd_avx2.h. */
#ifndef ARGENT_SIMD_H
#define ARGENT_SIMD_H

#include <arm_neon.h>
#include <stdint.h>

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

#endif
