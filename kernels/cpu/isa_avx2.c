/* isa_avx2.c: the hot loops in AVX2, from the sources that both vector sets share. */
#include "simd_avx2.h"
#include "dot_simd.h"
#include "loops_simd.h"

const agi_isa agi_isa_avx2 = {
    .name = "avx2",
    .dot_f32 = dot_f32,
    .dot_bf16 = dot_bf16,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .scores = scores,
    .softmax = softmax,
    .mix = mix,
    .silu = silu,
    .silu_mul = silu_mul,
    .gelu = gelu,
    .snake = snake,
    .depthwise = depthwise,
};
