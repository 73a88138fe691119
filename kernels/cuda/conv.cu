/* conv.cu: the op depthwise_conv1d, one thread an element. conv1d is in linear.cu. */
#include "device.h"

DEVICE void depthwise_item(const agi_depthwise_conv1d_args *a, int64_t i, agi_fault *f)
{
    int64_t r = i / a->n, c = i % a->n;
    float sum = 0;
    (void)f;
    for (int64_t j = 0; j < a->taps; j++)
        sum += a->x[(r + j) * a->x_stride + c] * a->w[j * a->n + c];
    a->out[r * a->out_stride + c] = a->bias ? sum + a->bias[c] : sum;
}
EACH(depthwise_conv1d, agi_depthwise_conv1d_args, depthwise_item, a->rows * a->n)
