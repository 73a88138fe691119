/*
 * linear.cu: the ops linear and conv1d: out[r, o] = sum over taps and inputs of x * w, + bias. A warp
 * makes one output of up to ROWS rows, so that a weight is read once for all of them; lanes read
 * 16 bytes of it at a time, side by side. f32 sums. With few rows this is as fast as memory; for many
 * rows it reads the weights rows / ROWS times, and tensor cores would be better.
 */
#include "device.h"

enum { ROWS = 8, VECTOR = 8 };

/* The weights w[at .. at + n) as f32, zeros behind them; n <= VECTOR. */
DEVICE void load_weights(const agi_linear_args *a, int64_t at, int n, float *w)
{
    if (a->w_dtype == AG_F32) {
        const float *p = (const float *)a->w + at;
        UNROLL for (int i = 0; i < VECTOR; i++) w[i] = i < n ? p[i] : 0;
        return;
    }
    const uint16_t *p = (const uint16_t *)a->w + at;
#ifdef __CUDACC__
    if (n == VECTOR && ((uintptr_t)p & 15) == 0) {
        uint4 v = __ldg((const uint4 *)(const void *)p);
        const uint32_t pair[4] = {v.x, v.y, v.z, v.w};
        UNROLL for (int i = 0; i < VECTOR; i++) w[i] =
            agi_dev_from_bits(i & 1 ? pair[i / 2] & 0xffff0000u : pair[i / 2] << 16);
        return;
    }
#endif
    UNROLL for (int i = 0; i < VECTOR; i++) w[i] = i < n ? agi_dev_from_bf16(p[i]) : 0;
}

/* What a lane adds to output o of the rows r0 .. r0 + n. */
DEVICE void dot_lane(const agi_linear_args *a, int64_t r0, int n, int64_t o, int lane,
                     float part[ROWS])
{
    UNROLL for (int i = 0; i < ROWS; i++) part[i] = 0;
    for (int64_t j = 0; j < a->taps; j++)
        for (int64_t c = (int64_t)lane * VECTOR; c < a->k; c += AGI_WARP_LANES * VECTOR) {
            int count = a->k - c < VECTOR ? (int)(a->k - c) : VECTOR;
            float w[VECTOR];
            load_weights(a, o * a->w_stride + j * a->k + c, count, w);
            UNROLL for (int i = 0; i < ROWS; i++)
            {
                if (i >= n) continue;
                const float *x = a->x + (r0 + i) * a->x_stride + j * a->x_tap + c;
                UNROLL for (int v = 0; v < VECTOR; v++) if (v < count) part[i] += x[v] * w[v];
            }
        }
}

DEVICE void dot_store(const agi_linear_args *a, int64_t r0, int n, int64_t o, const float *sum)
{
    UNROLL for (int i = 0; i < ROWS; i++) if (i < n) a->out[(r0 + i) * a->out_stride + o] =
        a->bias ? sum[i] + a->bias[o] : sum[i];
}

/* Item i is output i % outs of the i / outs-th group of rows. */
DEVICE int dot_rows(const agi_linear_args *a, int64_t i, int64_t *r0, int64_t *o)
{
    *o = i % a->outs;
    *r0 = i / a->outs * ROWS;
    return a->rows - *r0 < ROWS ? (int)(a->rows - *r0) : ROWS;
}

#define ITEMS(a) ((a)->outs * (((a)->rows + ROWS - 1) / ROWS))

#ifdef __CUDACC__
static __global__ void dot_kernel(agi_linear_args a, int64_t items)
{
    int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / AGI_WARP_LANES, r0, o;
    int lane = threadIdx.x % AGI_WARP_LANES;
    if (i >= items) return;
    float part[ROWS];
    int n = dot_rows(&a, i, &r0, &o);
    dot_lane(&a, r0, n, o, lane, part);
    UNROLL for (int k = 0; k < ROWS; k++) part[k] = agi_warp_sum(part[k]);
    if (lane == 0) dot_store(&a, r0, n, o, part);
}

static int dot(const agi_linear_args *a, const agi_launch *l)
{
    int64_t items = ITEMS(a);
    if (items == 0) return 0;
    dot_kernel<<<agi_blocks(items * AGI_WARP_LANES, AGI_BLOCK_THREADS), AGI_BLOCK_THREADS, 0,
                 (cudaStream_t)l->stream>>>(*a, items);
    return agi_launched();
}
#else
static int dot(const agi_linear_args *a, const agi_launch *l)
{
    (void)l;
    for (int64_t i = 0; i < ITEMS(a); i++) {
        int64_t r0, o;
        float part[AGI_WARP_LANES][ROWS], sum[ROWS];
        int n = dot_rows(a, i, &r0, &o);
        for (int lane = 0; lane < AGI_WARP_LANES; lane++) dot_lane(a, r0, n, o, lane, part[lane]);
        for (int k = 0; k < ROWS; k++) {
            float v[AGI_WARP_LANES];
            for (int lane = 0; lane < AGI_WARP_LANES; lane++) v[lane] = part[lane][k];
            agi_warp_exchange(v);
            sum[k] = v[0];
        }
        dot_store(a, r0, n, o, sum);
    }
    return 0;
}
#endif

AGI_KERNEL(linear) { return dot((const agi_linear_args *)args, l); }
AGI_KERNEL(conv1d) { return dot((const agi_linear_args *)args, l); }
