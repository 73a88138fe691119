/*
 * pool.c: the op pool: mean and deviation over time, channel by channel. Channels are dealt out,
 * never time, and a worker walks a few dozen of them row by row, so every sum runs from the first
 * row to the last. Sums are f64: a recording has tens of thousands of rows.
 */
#include "share.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/ops.h"

#include <math.h>

/* The columns [col, col + n), n <= AGI_CELL: the largest logit of each. */
static void largest(float *top, const agi_pool_args *a, int64_t col, int64_t n)
{
    for (int64_t c = 0; c < n; c++) top[c] = -INFINITY;
    for (int64_t t = 0; t < a->rows; t++) {
        const float *l = a->logits + t * a->logits_stride + col;
        for (int64_t c = 0; c < n; c++)
            if (l[c] > top[c]) top[c] = l[c];
    }
}

/* total = sum of the weights, sum = sum of weight * f(x), f(x) = x or (x - mean)^2. */
static void weigh(double *total, double *sum, const double *mean, const float *top,
                  const agi_pool_args *a, int64_t col, int64_t n)
{
    for (int64_t c = 0; c < n; c++) total[c] = sum[c] = 0;
    for (int64_t t = 0; t < a->rows; t++) {
        const float *x = a->x + t * a->x_stride + col;
        const float *l = a->logits ? a->logits + t * a->logits_stride + col : NULL;
        for (int64_t c = 0; c < n; c++) {
            double weight = l ? (double)expf(l[c] - top[c]) : 1, v = (double)x[c];
            if (mean) v = (v - mean[c]) * (v - mean[c]);
            total[c] += weight;
            sum[c] += weight * v;
        }
    }
}

static void pool(const agi_pool_args *a, int64_t col, int64_t n)
{
    float top[AGI_CELL];
    double total[AGI_CELL], mean[AGI_CELL], sum[AGI_CELL];
    if (a->logits) largest(top, a, col, n);
    weigh(total, mean, NULL, top, a, col, n);
    for (int64_t c = 0; c < n; c++) {
        mean[c] /= total[c];
        a->out[col + c] = (float)mean[c];
    }
    if (a->outs == 1) return;
    weigh(total, sum, mean, top, a, col, n);
    for (int64_t c = 0; c < n; c++) {
        double variance = sum[c] / total[c], floor = (double)a->floor;
        a->out[a->out_stride + col + c] = (float)sqrt(variance < floor ? floor : variance);
    }
}

int agi_cpu_pool(const void *args, agi_worker *w)
{
    const agi_pool_args *a = args;
    agi_pieces p = agi_pieces_of(w, 1, a->n, false);
    while (agi_next_piece(&p))
        for (int64_t c = 0; c < p.len; c += AGI_CELL)
            pool(a, p.col + c, p.len - c < AGI_CELL ? p.len - c : AGI_CELL);
    return AG_OK;
}
