/* isa_avx512.c: the hot loops in AVX-512, from the sources that both vector sets share. */
#include "simd_avx512.h"
#include "dot_simd.h"
#include "loops_simd.h"

const agi_isa agi_isa_avx512 = {
    .name = "avx512",
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
