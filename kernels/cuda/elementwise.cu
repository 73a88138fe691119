/*
 * elementwise.cu: the ops whose elements depend on one element of each input. One thread an
 * element; f32. Formulas as in runtime/ops.def; out may be an input.
 */
#include "small.cuh"

EACH(add, agi_add_args, add_item, a->rows * a->n)

DEVICE void mul_item(const agi_mul_args *a, int64_t i, agi_fault *f)
{
    int64_t r = i / a->n, c = i % a->n;
    (void)f;
    a->out[r * a->out_stride + c] = a->a[r * a->a_stride + c] * a->b[r * a->b_stride + c];
}
EACH(mul, agi_mul_args, mul_item, a->rows * a->n)

/* An op of one input: x is its element, the expression the result. */
#define UNARY(name, expression)                                                                    \
    DEVICE void name##_item(const agi_unary_args *a, int64_t i, agi_fault *f)                      \
    {                                                                                              \
        int64_t r = i / a->n, c = i % a->n;                                                        \
        float x = a->x[r * a->x_stride + c];                                                       \
        (void)f;                                                                                   \
        a->out[r * a->out_stride + c] = (expression);                                              \
    }                                                                                              \
    EACH(name, agi_unary_args, name##_item, a->rows * a->n)

DEVICE float clamp_value(float x, float lo, float hi)
{
    float v = x < lo ? lo : x; /* false for NaN, which stays */
    return v > hi ? hi : v;
}

UNARY(affine, x * a->p + a->q)
UNARY(clamp, clamp_value(x, a->p, a->q))
UNARY(silu, x / (1.0f + expf(-x)))
UNARY(gelu, 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)))
UNARY(elu, x > 0 ? x : expm1f(x))
UNARY(sigmoid, 1.0f / (1.0f + expf(-x)))
UNARY(tanh, tanhf(x))

DEVICE void silu_mul_item(const agi_silu_mul_args *a, int64_t i, agi_fault *f)
{
    int64_t r = i / a->n, c = i % a->n;
    float gate = a->gate[r * a->gate_stride + c];
    (void)f;
    a->out[r * a->out_stride + c] = gate / (1.0f + expf(-gate)) * a->up[r * a->up_stride + c];
}
EACH(silu_mul, agi_silu_mul_args, silu_mul_item, a->rows * a->n)

DEVICE void snake_item(const agi_snake_args *a, int64_t i, agi_fault *f)
{
    int64_t r = i / a->n, c = i % a->n;
    float x = a->x[r * a->x_stride + c], s = sinf(a->alpha[c] * x);
    (void)f;
    a->out[r * a->out_stride + c] = x + s * s * a->inv_beta[c];
}
EACH(snake, agi_snake_args, snake_item, a->rows * a->n)

EACH(advance, agi_advance_args, advance_item, a->n)
