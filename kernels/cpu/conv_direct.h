/*
 * conv_direct.h: packed convolutions by the table's own `dot` and `snake`: weights lie as they
 * come, [outs, taps, channels] in f32, and outputs have the bits of the ops snake, conv1d and add
 * one after the other.
 */
#include "isa.h"

#include <string.h>

enum { DIRECT_ROWS = 64 }; /* at once: what is between the steps stays in the cache */

static int64_t conv_size(int64_t outs, int64_t taps, int64_t channels)
{
    return outs * taps * channels;
}

static void conv_pack(float *out, const float *w, int64_t outs, int64_t taps, int64_t channels,
                      int64_t panel)
{
    (void)outs;
    memcpy(out + panel * taps * channels, w, (size_t)(taps * channels) * sizeof *w);
}

/* The rows that a block of outputs looks at, and its sums. */
static int64_t conv_scratch(const agi_packed_conv1d_args *a)
{
    const int64_t rows = a->rows < DIRECT_ROWS ? a->rows : DIRECT_ROWS;
    return 4 * ((rows + (a->taps - 1) * a->dilation) * a->k + rows * a->outs);
}

static void conv_run(const agi_packed_conv1d_args *a, int64_t r0, int64_t r1, int64_t o0,
                     int64_t o1, void *scratch, bool again)
{
    (void)again;
    const int64_t past = (a->taps - 1) * a->dilation;
    for (int64_t r = r0; r < r1; r += DIRECT_ROWS) {
        const int64_t n = r1 - r < DIRECT_ROWS ? r1 - r : DIRECT_ROWS;
        agi_linear_args d = {.out = a->out + r * a->out_stride,
                             .x = a->x + r * a->x_stride,
                             .bias = a->bias,
                             .w = {.p = a->w, .kind = AGI_WEIGHT_F32, .stride = a->taps * a->k},
                             .rows = n,
                             .outs = a->outs,
                             .k = a->k,
                             .out_stride = a->out_stride,
                             .x_stride = a->x_stride,
                             .taps = a->taps,
                             .x_tap = a->dilation * a->x_stride};
        float *free = scratch;
        if (a->alpha) {
            for (int64_t i = 0; i < n + past; i++)
                snake(free + i * a->k, d.x + i * a->x_stride, a->alpha, a->inv_beta, a->k);
            d.x = free;
            d.x_stride = a->k;
            d.x_tap = a->dilation * a->k;
            free += (n + past) * a->k;
        }
        if (a->accumulate) {
            d.out = free;
            d.out_stride = a->outs;
        }
        dot(&d, 0, n, o0, o1);
        if (!a->accumulate) continue;
        for (int64_t i = 0; i < n; i++) {
            float *out = a->out + (r + i) * a->out_stride;
            for (int64_t o = o0; o < o1; o++) out[o] += free[i * a->outs + o];
        }
    }
}

static const agi_conv conv = {.size = conv_size,
                              .pack = conv_pack,
                              .panel = 1,
                              .scratch = conv_scratch,
                              .run = conv_run,
                              .worth_rows = 96};
