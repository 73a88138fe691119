/*
 * conv.c: the convolution ops that are not products of matrices: depthwise_conv1d, and carry, which
 * keeps the end of a chunk as the beginning of the next. conv1d is in linear.c.
 */
#include "isa.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/ops.h"

#include <string.h>

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

/* Source and destination rows may be the same rows, so the workers share columns, and rows move
 * from the first to the last. */
int agi_cpu_carry(const void *args, agi_worker *w)
{
    const agi_carry_args *a = args;
    const int64_t cache_line = 16, shift = a->rows - a->keep;
    int64_t lo, hi;
    agi_share(w, a->n, cache_line, &lo, &hi);
    if (shift == 0 || lo >= hi) return AG_OK;
    for (int64_t r = 0; r < a->keep; r++)
        memmove(a->x + r * a->stride + lo, a->x + (r + shift) * a->stride + lo,
                (size_t)(hi - lo) * sizeof *a->x);
    return AG_OK;
}
