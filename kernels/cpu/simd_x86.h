/*
 * simd_x86.h: what the vocabularies of AVX2 and AVX-512 share: four floats, and the kind of CPU.
 */
#ifndef ARGENT_SIMD_X86_H
#define ARGENT_SIMD_X86_H

#include <immintrin.h>

typedef __m128 v4;
static inline v4 v4_load(const float *p) { return _mm_loadu_ps(p); }
static inline void v4_store(float *p, v4 x) { _mm_storeu_ps(p, x); }
static inline v4 v4_add(v4 a, v4 b) { return _mm_add_ps(a, b); }
static inline float v4_first(v4 x) { return _mm_cvtss_f32(x); }

static inline int v_on_zen(void) { return __builtin_cpu_is("amd") != 0; }

#endif
