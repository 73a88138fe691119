/*
 * isa_plain.c: the inner loops in plain C, one element after the other. This is the definition of
 * the ops: the SIMD tables are checked against it, and it runs where they cannot. It is meant to be
 * read, not to be fast.
 *
 * Sums are f32 and go from the first element to the last.
 */
#include "isa.h"
#include "../weight.h"

#include <math.h>
#include <stddef.h>

/* ---- products ---- */

static void dot(const agi_linear_args *a, int64_t r0, int64_t r1, int64_t o0, int64_t o1)
{
    for (int64_t r = r0; r < r1; r++)
        for (int64_t o = o0; o < o1; o++) {
            float sum = 0;
            for (int64_t j = 0; j < a->taps; j++) {
                const float *x = a->x + r * a->x_stride + j * a->x_tap;
                for (int64_t c = 0; c < a->k; c++) {
                    const int64_t w = agi_weight_index(&a->w, o, j * a->k + c);
                    sum += x[c] * agi_weight_value(&a->w, a->w.kind, w);
                }
            }
            a->out[r * a->out_stride + o] = a->bias ? sum + a->bias[o] : sum;
        }
}

static void depthwise(float *out, const float *x, int64_t x_stride, const float *w,
                      const float *bias, int64_t taps, int64_t n)
{
    for (int64_t c = 0; c < n; c++) {
        float sum = 0;
        for (int64_t j = 0; j < taps; j++) sum += x[j * x_stride + c] * w[j * n + c];
        out[c] = bias ? sum + bias[c] : sum;
    }
}

/* ---- norms ---- */

static void rms_norm(float *out, const float *x, const float *w, int64_t n, float eps)
{
    float squares = 0;
    for (int64_t i = 0; i < n; i++) squares += x[i] * x[i];
    float scale = 1.0f / sqrtf(squares / (float)n + eps);
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * scale * w[i];
}

static void layer_norm(float *out, const float *x, const float *w, const float *b, int64_t n,
                       float eps)
{
    float sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    float mean = sum / (float)n;
    for (int64_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    float scale = 1.0f / sqrtf(squares / (float)n + eps);
    for (int64_t i = 0; i < n; i++) out[i] = (x[i] - mean) * scale * w[i] + b[i];
}

/* ---- attention ---- */

/* Element c of key or value i. */
static float kept(const agi_kept *k, int64_t i, int64_t c)
{
    const int64_t at = i * k->stride + c;
    return k->dtype == AG_BF16 ? agi_f32_from_bf16(((const uint16_t *)k->p)[at])
                               : ((const float *)k->p)[at];
}

static void scores(float *s, int64_t s_row, const float *q, int64_t q_row, const agi_kept *k,
                   float scale)
{
    for (int h = 0; h < k->heads; h++)
        for (int64_t i = 0; i < k->n; i++) {
            float sum = 0;
            for (int64_t c = 0; c < k->d; c++) sum += q[h * q_row + c] * kept(k, i, c);
            s[h * s_row + i] = scale * sum;
        }
}

static float softmax(float *s, int64_t n)
{
    float max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (s[i] > max) max = s[i];
    for (int64_t i = 0; i < n; i++) {
        s[i] = expf(s[i] - max);
        sum += s[i];
    }
    return sum;
}

static void mix(float *out, int64_t out_row, const float *p, int64_t p_row, const agi_kept *v)
{
    for (int h = 0; h < v->heads; h++)
        for (int64_t i = 0; i < v->n; i++)
            for (int64_t c = 0; c < v->d; c++)
                out[h * out_row + c] += p[h * p_row + i] * kept(v, i, c);
}

static void distances(float *s, const float *x, const float *rows, int64_t stride, int64_t n,
                      int64_t d)
{
    for (int64_t i = 0; i < n; i++) {
        float sum = 0;
        for (int64_t c = 0; c < d; c++) {
            float gap = x[c] - rows[i * stride + c];
            sum += gap * gap;
        }
        s[i] = sum;
    }
}

/* ---- activations ---- */

static void silu(float *out, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) out[i] = x[i] / (1.0f + expf(-x[i]));
}

static void silu_mul(float *out, const float *gate, const float *up, int64_t n)
{
    for (int64_t i = 0; i < n; i++) out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void gelu(float *out, const float *x, int64_t n)
{
    const float sqrt_half = 0.70710678118654752f;
    for (int64_t i = 0; i < n; i++) out[i] = 0.5f * x[i] * (1.0f + erff(x[i] * sqrt_half));
}

static void elu(float *out, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) out[i] = x[i] > 0 ? x[i] : expm1f(x[i]);
}

static void snake(float *out, const float *x, const float *alpha, const float *inv_beta, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float s = sinf(alpha[i] * x[i]);
        out[i] = x[i] + s * s * inv_beta[i];
    }
}

#include "conv_direct.h"

AGI_ISA_TABLE(plain, plain);
