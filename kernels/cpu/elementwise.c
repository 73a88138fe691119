/*
 * elementwise.c: the ops whose elements depend on one element of each input: add, mul, affine,
 * clamp, silu, silu_mul, gelu, elu, sigmoid, tanh, snake, and advance. out may be an input: an
 * element is read and written by the same worker. copy and fill are in copy.c.
 */
#include "../cache.h"
#include "isa.h"
#include "share.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/fault.h"
#include "../../runtime/ops.h"

#include <math.h>

int agi_cpu_add(const void *args, agi_worker *w)
{
    const agi_add_args *a = args;
    bool packed = a->out_stride == a->n && a->a_stride == a->n && a->b_stride == a->n;
    agi_pieces p = agi_pieces_of(w, a->rows, a->n, packed);
    while (agi_next_piece(&p)) {
        float *out = a->out + p.row * a->out_stride + p.col;
        const float *x = a->a + p.row * a->a_stride + p.col;
        const float *y = a->b + p.row * a->b_stride + p.col;
        for (int64_t i = 0; i < p.len; i++) out[i] = x[i] + a->alpha * y[i];
    }
    return AG_OK;
}

int agi_cpu_mul(const void *args, agi_worker *w)
{
    const agi_mul_args *a = args;
    bool packed = a->out_stride == a->n && a->a_stride == a->n && a->b_stride == a->n;
    agi_pieces p = agi_pieces_of(w, a->rows, a->n, packed);
    while (agi_next_piece(&p)) {
        float *out = a->out + p.row * a->out_stride + p.col;
        const float *x = a->a + p.row * a->a_stride + p.col;
        const float *y = a->b + p.row * a->b_stride + p.col;
        for (int64_t i = 0; i < p.len; i++) out[i] = x[i] * y[i];
    }
    return AG_OK;
}

/* ---- one input ---- */

static agi_pieces unary_pieces(const agi_unary_args *a, const agi_worker *w)
{
    return agi_pieces_of(w, a->rows, a->n, a->out_stride == a->n && a->x_stride == a->n);
}

int agi_cpu_affine(const void *args, agi_worker *w)
{
    const agi_affine_args *a = args;
    agi_pieces p = unary_pieces(a, w);
    while (agi_next_piece(&p)) {
        float *out = a->out + p.row * a->out_stride + p.col;
        const float *x = a->x + p.row * a->x_stride + p.col;
        for (int64_t i = 0; i < p.len; i++) out[i] = x[i] * a->p + a->q;
    }
    return AG_OK;
}

int agi_cpu_clamp(const void *args, agi_worker *w)
{
    const agi_clamp_args *a = args;
    agi_pieces p = unary_pieces(a, w);
    while (agi_next_piece(&p)) {
        float *out = a->out + p.row * a->out_stride + p.col;
        const float *x = a->x + p.row * a->x_stride + p.col;
        for (int64_t i = 0; i < p.len; i++) {
            float v = x[i] < a->p ? a->p : x[i]; /* false for NaN, which stays */
            out[i] = v > a->q ? a->q : v;
        }
    }
    return AG_OK;
}

int agi_cpu_silu(const void *args, agi_worker *w)
{
    const agi_silu_args *a = args;
    agi_pieces p = unary_pieces(a, w);
    while (agi_next_piece(&p))
        w->isa->silu(a->out + p.row * a->out_stride + p.col, a->x + p.row * a->x_stride + p.col,
                     p.len);
    return AG_OK;
}

int agi_cpu_gelu(const void *args, agi_worker *w)
{
    const agi_gelu_args *a = args;
    agi_pieces p = unary_pieces(a, w);
    while (agi_next_piece(&p))
        w->isa->gelu(a->out + p.row * a->out_stride + p.col, a->x + p.row * a->x_stride + p.col,
                     p.len);
    return AG_OK;
}

int agi_cpu_elu(const void *args, agi_worker *w)
{
    const agi_elu_args *a = args;
    agi_pieces p = unary_pieces(a, w);
    while (agi_next_piece(&p))
        w->isa->elu(a->out + p.row * a->out_stride + p.col, a->x + p.row * a->x_stride + p.col,
                    p.len);
    return AG_OK;
}

/* sigmoid and tanh are met on small tensors only, so the C library's functions serve. */
int agi_cpu_sigmoid(const void *args, agi_worker *w)
{
    const agi_sigmoid_args *a = args;
    agi_pieces p = unary_pieces(a, w);
    while (agi_next_piece(&p)) {
        float *out = a->out + p.row * a->out_stride + p.col;
        const float *x = a->x + p.row * a->x_stride + p.col;
        for (int64_t i = 0; i < p.len; i++) out[i] = 1.0f / (1.0f + expf(-x[i]));
    }
    return AG_OK;
}

int agi_cpu_tanh(const void *args, agi_worker *w)
{
    const agi_tanh_args *a = args;
    agi_pieces p = unary_pieces(a, w);
    while (agi_next_piece(&p)) {
        float *out = a->out + p.row * a->out_stride + p.col;
        const float *x = a->x + p.row * a->x_stride + p.col;
        for (int64_t i = 0; i < p.len; i++) out[i] = tanhf(x[i]);
    }
    return AG_OK;
}

/* ---- more inputs ---- */

int agi_cpu_silu_mul(const void *args, agi_worker *w)
{
    const agi_silu_mul_args *a = args;
    bool packed = a->out_stride == a->n && a->gate_stride == a->n && a->up_stride == a->n;
    agi_pieces p = agi_pieces_of(w, a->rows, a->n, packed);
    while (agi_next_piece(&p))
        w->isa->silu_mul(a->out + p.row * a->out_stride + p.col,
                         a->gate + p.row * a->gate_stride + p.col,
                         a->up + p.row * a->up_stride + p.col, p.len);
    return AG_OK;
}

int agi_cpu_snake(const void *args, agi_worker *w)
{
    const agi_snake_args *a = args;
    agi_pieces p = agi_pieces_of(w, a->rows, a->n, false); /* the parameters go with the column */
    while (agi_next_piece(&p))
        w->isa->snake(a->out + p.row * a->out_stride + p.col, a->x + p.row * a->x_stride + p.col,
                      a->alpha + p.col, a->inv_beta + p.col, p.len);
    return AG_OK;
}

static int32_t saturate(int64_t v)
{
    return v < INT32_MIN ? INT32_MIN : v > INT32_MAX ? INT32_MAX : (int32_t)v;
}

/* A handful of counters: one worker does them. A sum that does not fit stays at the end of the
 * range. */
int agi_cpu_advance(const void *args, agi_worker *w)
{
    const agi_advance_args *a = args;
    if (w->index != 0) return AG_OK;
    for (int64_t r = 0; r < a->n; r++) {
        const int64_t i = agi_slot_of(&a->slots, r);
        if (i < 0) return agi_fault_fail(AGI_FAULT_SLOT, r, 0, 0, 0);
        int64_t v = (int64_t)a->x[i * a->stride] + a->by;
        if (a->limit && v > a->limit[i * a->limit_stride]) v = a->limit[i * a->limit_stride];
        a->x[i * a->stride] = saturate(v);
    }
    return AG_OK;
}
