/*
 * norm.cu: the ops rms_norm and layer_norm: a warp a row, f32 sums; the residual is taken in on the
 * way, each lane its own elements.
 */
#include "norm.cuh"

DEVICE float rms_phase(const agi_rms_norm_args *a, int64_t r, int lane, int k, const float *total)
{
    float *x = a->x + r * a->x_stride;
    (void)k;
    (void)total;
    for (int64_t c = (int64_t)lane * AGI_OCTET; a->add && c < a->n;
         c += AGI_WARP_LANES * AGI_OCTET) {
        const float *branch = a->add + r * a->add_stride;
        for (int64_t i = c; i < c + AGI_OCTET && i < a->n; i++)
            x[i] = a->scale ? FMA(a->scale[i], branch[i], x[i]) : x[i] + branch[i];
    }
    return square_lane(x, a->n, lane);
}

DEVICE void rms_finish(const agi_rms_norm_args *a, int64_t r, int lane, const float *total,
                       agi_fault *f)
{
    const float *x = a->x + r * a->x_stride;
    const float scale = rms_of(total[0], a->n, a->eps);
    (void)f;
    for (int64_t c = (int64_t)lane * AGI_OCTET; c < a->n; c += AGI_WARP_LANES * AGI_OCTET)
        for (int64_t i = c; i < c + AGI_OCTET && i < a->n; i++)
            a->out[r * a->out_stride + i] = x[i] * scale * a->w[i];
}
WARP(rms_norm, agi_rms_norm_args, 1, rms_phase, rms_finish, a->rows)

DEVICE float layer_phase(const agi_layer_norm_args *a, int64_t r, int lane, int k,
                         const float *total)
{
    const float *x = a->x + r * a->x_stride;
    float sum = 0, mean = k ? total[0] / (float)a->n : 0;
    for (int64_t c = lane; c < a->n; c += AGI_WARP_LANES) {
        float v = x[c] - mean;
        sum += k ? v * v : v;
    }
    return sum;
}

DEVICE void layer_finish(const agi_layer_norm_args *a, int64_t r, int lane, const float *total,
                         agi_fault *f)
{
    const float *x = a->x + r * a->x_stride;
    float mean = total[0] / (float)a->n, scale = 1.0f / sqrtf(total[1] / (float)a->n + a->eps);
    (void)f;
    for (int64_t c = lane; c < a->n; c += AGI_WARP_LANES)
        a->out[r * a->out_stride + c] = (x[c] - mean) * scale * a->w[c] + a->b[c];
}
WARP(layer_norm, agi_layer_norm_args, 2, layer_phase, layer_finish, a->rows)
