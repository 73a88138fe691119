/* ops_elementwise.c: fronts (validation) of the elementwise and movement ops of ops.def. */
#include "front.h"

#include <math.h>
#include <string.h>

static float *f32(const agi_rows *r) { return (float *)(void *)r->p; }

static float *data_f32(const ag_tensor *t)
{
    return t ? (float *)(void *)agi_tensor_data(t) : NULL;
}

int ag_copy(ag_tensor *out, ag_tensor *x)
{
    agi_front f = agi_front_begin(AGI_OP_copy);
    if (!(agi_in(&f, "x", x, AGI_ANY) && agi_out(&f, "out", out, AGI_ANY) &&
          agi_same_shape(&f, "out", out, "x", x) && agi_apart(&f, out, true)))
        return f.rc;
    if (!agi_dtype_converts(x->dtype, out->dtype)) {
        agi_bad(&f, "%s cannot become %s", ag_dtype_name(x->dtype), ag_dtype_name(out->dtype));
        return f.rc;
    }
    agi_copy_args a = {.out = agi_tensor_data(out),
                       .x = agi_tensor_data(x),
                       .out_dtype = out->dtype,
                       .x_dtype = x->dtype,
                       .ndim = x->ndim};
    memcpy(a.shape, x->shape, sizeof a.shape);
    memcpy(a.out_stride, out->stride, sizeof a.out_stride);
    memcpy(a.x_stride, x->stride, sizeof a.x_stride);
    return agi_front_run(&f, &a, sizeof a, (double)agi_tensor_count(x));
}

int ag_fill(ag_tensor *out, double value)
{
    agi_front f = agi_front_begin(AGI_OP_fill);
    if (!agi_out(&f, "out", out, AGI_ANY)) return f.rc;
    if (!agi_dtype_holds(out->dtype, value)) {
        agi_bad(&f, "value %g does not fit an %s", value, ag_dtype_name(out->dtype));
        return f.rc;
    }
    agi_fill_args a = {
        .out = agi_tensor_data(out), .dtype = out->dtype, .ndim = out->ndim, .value = value};
    memcpy(a.shape, out->shape, sizeof a.shape);
    memcpy(a.stride, out->stride, sizeof a.stride);
    return agi_front_run(&f, &a, sizeof a, (double)agi_tensor_count(out));
}

/* add and mul: out like a; b like a, or one row for all of them. */
static int binary(enum agi_op op, ag_tensor *out, ag_tensor *a, ag_tensor *b, double alpha)
{
    agi_front f = agi_front_begin(op);
    agi_rows ro, ra, rb;
    int64_t n, nb;
    if (!(agi_in(&f, "a", a, AG_F32) && agi_in(&f, "b", b, AG_F32) &&
          agi_out(&f, "out", out, AG_F32) && agi_same_shape(&f, "out", out, "a", a) &&
          agi_fold(&f, "a", a, &ra, &n) && agi_fold(&f, "b", b, &rb, &nb) &&
          agi_fold(&f, "out", out, &ro, &n)))
        return f.rc;
    bool broadcast = b->ndim == 1 && a->ndim != 1;
    if (broadcast ? !agi_equal(&f, "a", a, "b", b, n, nb) : !agi_same_shape(&f, "a", a, "b", b))
        return f.rc;
    if (!agi_apart(&f, out, true)) return f.rc;
    agi_add_args args = {f32(&ro),    f32(&ra),  f32(&rb),  ra.rows,
                         n,           ro.stride, ra.stride, broadcast ? 0 : rb.stride,
                         (float)alpha};
    return agi_front_run(&f, &args, sizeof args, (double)(ra.rows * n));
}

int ag_add(ag_tensor *out, ag_tensor *a, ag_tensor *b, double alpha)
{
    return binary(AGI_OP_add, out, a, b, alpha);
}

int ag_mul(ag_tensor *out, ag_tensor *a, ag_tensor *b) { return binary(AGI_OP_mul, out, a, b, 1); }

static int unary(enum agi_op op, ag_tensor *out, ag_tensor *x, double p, double q, int cost)
{
    agi_front f = agi_front_begin(op);
    agi_rows ro, rx;
    int64_t n;
    if (!(agi_in(&f, "x", x, AG_F32) && agi_out(&f, "out", out, AG_F32) &&
          agi_same_shape(&f, "out", out, "x", x) && agi_fold(&f, "x", x, &rx, &n) &&
          agi_fold(&f, "out", out, &ro, &n) && agi_apart(&f, out, true)))
        return f.rc;
    agi_unary_args a = {f32(&ro), f32(&rx), rx.rows, n, ro.stride, rx.stride, (float)p, (float)q};
    return agi_front_run(&f, &a, sizeof a, (double)(rx.rows * n * cost));
}

int ag_affine(ag_tensor *out, ag_tensor *x, double scale, double shift)
{
    return unary(AGI_OP_affine, out, x, scale, shift, 1);
}

int ag_clamp(ag_tensor *out, ag_tensor *x, double lo, double hi)
{
    return unary(AGI_OP_clamp, out, x, lo, hi, 1);
}

int ag_silu(ag_tensor *out, ag_tensor *x) { return unary(AGI_OP_silu, out, x, 0, 0, 8); }

int ag_gelu(ag_tensor *out, ag_tensor *x) { return unary(AGI_OP_gelu, out, x, 0, 0, 8); }

int ag_elu(ag_tensor *out, ag_tensor *x) { return unary(AGI_OP_elu, out, x, 0, 0, 8); }

int ag_sigmoid(ag_tensor *out, ag_tensor *x) { return unary(AGI_OP_sigmoid, out, x, 0, 0, 16); }

int ag_tanh(ag_tensor *out, ag_tensor *x) { return unary(AGI_OP_tanh, out, x, 0, 0, 16); }

int ag_silu_mul(ag_tensor *out, ag_tensor *gate, ag_tensor *up)
{
    agi_front f = agi_front_begin(AGI_OP_silu_mul);
    agi_rows ro, rg, ru;
    int64_t n;
    if (!(agi_in(&f, "gate", gate, AG_F32) && agi_in(&f, "up", up, AG_F32) &&
          agi_out(&f, "out", out, AG_F32) && agi_same_shape(&f, "gate", gate, "up", up) &&
          agi_same_shape(&f, "out", out, "gate", gate) && agi_fold(&f, "gate", gate, &rg, &n) &&
          agi_fold(&f, "up", up, &ru, &n) && agi_fold(&f, "out", out, &ro, &n) &&
          agi_apart(&f, out, true)))
        return f.rc;
    agi_silu_mul_args a = {f32(&ro), f32(&rg),  f32(&ru),  rg.rows,
                           n,        ro.stride, rg.stride, ru.stride};
    return agi_front_run(&f, &a, sizeof a, (double)(rg.rows * n * 8));
}

int ag_snake(ag_tensor *out, ag_tensor *x, ag_tensor *alpha, ag_tensor *inv_beta)
{
    agi_front f = agi_front_begin(AGI_OP_snake);
    agi_rows ro, rx;
    int64_t n;
    if (!(agi_in(&f, "x", x, AG_F32) && agi_in(&f, "alpha", alpha, AG_F32) &&
          agi_in(&f, "inv_beta", inv_beta, AG_F32) && agi_out(&f, "out", out, AG_F32) &&
          agi_same_shape(&f, "out", out, "x", x) && agi_fold(&f, "x", x, &rx, &n) &&
          agi_fold(&f, "out", out, &ro, &n) && agi_vector(&f, "alpha", alpha, n) &&
          agi_vector(&f, "inv_beta", inv_beta, n) && agi_apart(&f, out, true)))
        return f.rc;
    agi_snake_args a = {f32(&ro), f32(&rx), data_f32(alpha), data_f32(inv_beta),
                        rx.rows,  n,        ro.stride,       rx.stride};
    return agi_front_run(&f, &a, sizeof a, (double)(rx.rows * n * 8));
}

int ag_advance(ag_tensor *x, int32_t by, ag_tensor *opt_limit, ag_tensor *opt_slots)
{
    agi_front f = agi_front_begin(AGI_OP_advance);
    if (!(agi_out(&f, "x", x, AG_I32) && agi_ndim(&f, "x", x, 1) &&
          agi_opt(&f, "limit", opt_limit, AG_I32)))
        return f.rc;
    agi_advance_args a = {.x = (int32_t *)(void *)agi_tensor_data(x),
                          .n =
                              opt_slots && opt_slots->ndim == 1 ? opt_slots->shape[0] : x->shape[0],
                          .stride = x->stride[0],
                          .by = by};
    if (opt_limit) {
        if (!agi_ndim(&f, "limit", opt_limit, 1)) return f.rc;
        bool one = opt_limit->shape[0] == 1;
        if (!one && !agi_same_shape(&f, "limit", opt_limit, "x", x)) return f.rc;
        a.limit = (int32_t *)(void *)agi_tensor_data(opt_limit);
        a.limit_stride = one ? 0 : opt_limit->stride[0];
    }
    if (!agi_slots_arg(&f, opt_slots, a.n, x->shape[0], &a.slots)) return f.rc;
    return agi_front_run(&f, &a, sizeof a, (double)a.n);
}
