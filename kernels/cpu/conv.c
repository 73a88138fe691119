/*
 * conv.c: the convolution op that is not a product of matrices, depthwise_conv1d. conv1d is in
 * linear.c.
 */
#include "isa.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/ops.h"

int agi_cpu_depthwise_conv1d(const void *args, agi_worker *w)
{
    const agi_depthwise_conv1d_args *a = args;
    int64_t lo, hi;
    agi_share(w, a->rows, 1, &lo, &hi);
    for (int64_t r = lo; r < hi; r++)
        w->isa->depthwise(a->out + r * a->out_stride, a->x + r * a->x_stride, a->x_stride, a->w,
                          a->bias, a->taps, a->n);
    return AG_OK;
}
