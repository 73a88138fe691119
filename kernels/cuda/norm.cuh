/* norm.cuh: the sum under an RMS norm, in the one order that rms_norm and the products share, and
 * loads of eight floats. */
#ifndef ARGENT_KERNELS_CUDA_NORM_CUH
#define ARGENT_KERNELS_CUDA_NORM_CUH

#include "device.h"

enum { AGI_OCTET = 8, AGI_OCTETS_AHEAD = 4 };

/* p on 16 bytes. */
DEVICE void load_floats(const float *p, float f[AGI_OCTET])
{
    const float4 a = *(const float4 *)(const void *)p, b = *(const float4 *)(const void *)(p + 4);
    f[0] = a.x, f[1] = a.y, f[2] = a.z, f[3] = a.w;
    f[4] = b.x, f[5] = b.y, f[6] = b.z, f[7] = b.w;
}

/* A lane's part of the sum of squares: octets of neighbouring elements, several asked for before
 * the first is there. */
DEVICE float square_lane(const float *x, int64_t n, int lane)
{
    float sum = 0;
    if (n % AGI_OCTET == 0 && ((uintptr_t)x & 15) == 0) {
        const int step = AGI_WARP_LANES * AGI_OCTET;
        for (int64_t c = (int64_t)lane * AGI_OCTET; c < n; c += AGI_OCTETS_AHEAD * step) {
            float f[AGI_OCTETS_AHEAD][AGI_OCTET] = {{0}};
            UNROLL for (int k = 0; k < AGI_OCTETS_AHEAD; k++) if (c + k * step < n)
                load_floats(x + c + k * step, f[k]);
            UNROLL for (int k = 0; k < AGI_OCTETS_AHEAD; k++)
                UNROLL for (int i = 0; i < AGI_OCTET; i++) sum = FMA(f[k][i], f[k][i], sum);
        }
        return sum;
    }
    for (int64_t c = (int64_t)lane * AGI_OCTET; c < n; c += AGI_WARP_LANES * AGI_OCTET)
        UNROLL for (int i = 0; i < AGI_OCTET; i++) if (c + i < n) sum =
            FMA(x[c + i], x[c + i], sum);
    return sum;
}

DEVICE float rms_of(float sum, int64_t n, float eps) { return 1.0f / sqrtf(sum / (float)n + eps); }

/* The factor of row x, in every lane of a warp. */
DEVICE float rms_scale(const float *x, int64_t n, float eps, int lane)
{
    return rms_of(warp_sum(square_lane(x, n, lane)), n, eps);
}

#endif
