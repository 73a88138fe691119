/*
 * conv.c: the convolutions but conv1d, which is in linear.c: depthwise_conv1d, and those over
 * packed weights, whose sums are in the isa tables.
 */
#include "isa.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/convert.h"
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

int agi_cpu_pack_conv1d(const void *args, agi_worker *w)
{
    const agi_pack_conv1d_args *a = args;
    const agi_conv *conv = w->isa->conv;
    int64_t lo, hi;
    agi_share(w, (a->outs + conv->panel - 1) / conv->panel, 1, &lo, &hi);
    for (int64_t p = lo; p < hi; p++) {
        const int64_t o = p * conv->panel, left = a->outs - o;
        const int64_t outs = left < conv->panel ? left : conv->panel, n = outs * a->taps * a->k;
        const char *from = a->w + o * a->taps * a->k * agi_dtype_size(a->w_dtype);
        const float *panel = (const float *)(const void *)from;
        if (a->w_dtype != AG_F32) {
            agi_convert(w->scratch, AG_F32, 1, from, a->w_dtype, 1, n);
            panel = (const float *)w->scratch;
        }
        conv->pack(a->out, panel, a->outs, a->taps, a->k, p);
    }
    return AG_OK;
}

/*
 * By rows as far as they are worth another pass through the weights, then by outputs. Parts of the
 * same rows follow one another, so that a worker keeps what it has made of them.
 */
int agi_cpu_packed_conv1d(const void *args, agi_worker *w)
{
    const agi_packed_conv1d_args *a = args;
    const agi_conv *conv = w->isa->conv;
    int groups = 1; /* of rows; what they are cut into by outputs is the rest */
    for (int g = 2; g <= w->count && g * conv->worth_rows <= a->rows; g++)
        if (w->count % g == 0) groups = g;
    agi_worker outs = {.count = w->count / groups};
    outs.index = w->index % outs.count;
    agi_worker rows = {.index = w->index / outs.count, .count = groups};
    int64_t r0, r1, o0, o1;
    agi_share(&rows, a->rows, 32, &r0, &r1);
    agi_share(&outs, a->outs, conv->panel, &o0, &o1);
    if (r0 < r1 && o0 < o1) conv->run(a, r0, r1, o0, o1, w->scratch, w->again);
    else w->last = NULL; /* this part leaves nothing for the next one */
    return AG_OK;
}
