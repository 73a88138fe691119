/*
 * pool.cu: the op pool: mean and deviation over time, one thread a channel, f64 sums from the first
 * row to the last. Neighbouring threads read neighbouring channels.
 */
#include "device.h"

DEVICE double weigh(const agi_pool_args *a, int64_t c, float top, const double *mean)
{
    double total = 0, sum = 0;
    for (int64_t t = 0; t < a->rows; t++) {
        double v = (double)a->x[t * a->x_stride + c];
        double w = a->logits ? (double)expf(a->logits[t * a->logits_stride + c] - top) : 1;
        if (mean) v = (v - *mean) * (v - *mean);
        total += w;
        sum += w * v;
    }
    return sum / total;
}

DEVICE void pool_item(const agi_pool_args *a, int64_t c, agi_fault *f)
{
    float top = -INFINITY;
    (void)f;
    for (int64_t t = 0; a->logits && t < a->rows; t++) {
        float v = a->logits[t * a->logits_stride + c];
        if (v > top) top = v;
    }
    double mean = weigh(a, c, top, NULL);
    a->out[c] = (float)mean;
    if (a->outs == 1) return;
    double variance = weigh(a, c, top, &mean), least = (double)a->floor;
    a->out[a->out_stride + c] = (float)sqrt(variance < least ? least : variance);
}
EACH(pool, agi_pool_args, pool_item, a->n)
