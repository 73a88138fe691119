/*
 * norm.c: the ops rms_norm and layer_norm. A row is one worker's, because its sum is: a decode step
 * of one row keeps one worker busy, which is less than what splitting the sum would cost.
 */
#include "isa.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/ops.h"

static void add_branch(float *x, const float *branch, const float *scale, int64_t n)
{
    if (scale)
        for (int64_t i = 0; i < n; i++) x[i] += scale[i] * branch[i];
    else
        for (int64_t i = 0; i < n; i++) x[i] += branch[i];
}

int agi_cpu_rms_norm(const void *args, agi_worker *w)
{
    const agi_rms_norm_args *a = args;
    int64_t lo, hi;
    agi_share(w, a->rows, 1, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        float *x = a->x + r * a->x_stride;
        if (a->add) add_branch(x, a->add + r * a->add_stride, a->scale, a->n);
        w->isa->rms_norm(a->out + r * a->out_stride, x, a->w, a->n, a->eps);
    }
    return AG_OK;
}

int agi_cpu_layer_norm(const void *args, agi_worker *w)
{
    const agi_layer_norm_args *a = args;
    int64_t lo, hi;
    agi_share(w, a->rows, 1, &lo, &hi);
    for (int64_t r = lo; r < hi; r++)
        w->isa->layer_norm(a->out + r * a->out_stride, a->x + r * a->x_stride, a->w, a->b, a->n,
                           a->eps);
    return AG_OK;
}
