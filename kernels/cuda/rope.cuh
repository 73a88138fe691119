/* rope.cuh: what a head of rope_append is made of, for the op and for attention that does it on the
 * way (attention.cu). */
#ifndef ARGENT_KERNELS_CUDA_ROPE_CUH
#define ARGENT_KERNELS_CUDA_ROPE_CUH

#include "../cache.h"
#include "norm.cuh"

/* Pair j of a head x of d elements, normalised where norm is there and rotated: elements j and
 * j + d / 2. */
typedef struct {
    float first, second;
} rotated;

DEVICE rotated rotate_pair(const agi_rope_append_args *a, const float *x, const float *norm,
                           float scale, const float *angles, int64_t j)
{
    const int64_t half = a->d / 2;
    float u = x[j], v = x[j + half];
    const float c = angles[j], s = angles[j + half];
    if (norm) {
        u = u * scale * norm[j];
        v = v * scale * norm[j + half];
    }
    rotated out;
    out.first = FMA(u, c, -(v * s));
    out.second = FMA(v, c, u * s);
    return out;
}

/* The same into out, which may be x. */
DEVICE void rotate(const agi_rope_append_args *a, const float *x, const float *norm, float scale,
                   const float *angles, int64_t j, float *out)
{
    const rotated pair = rotate_pair(a, x, norm, scale, angles, j);
    out[j] = pair.first;
    out[j + a->d / 2] = pair.second;
}

/* The factor of a head's norm, in every lane of a warp. */
DEVICE float head_scale(const agi_rope_append_args *a, const float *x, const float *norm, int lane)
{
    return norm ? rms_scale(x, a->d, a->eps, lane) : 1.0f;
}

#endif
