/*
 * tile.cu: the ops linear and conv1d for many rows: prefill, the codec and the encoders. A
 * convolution is a product whose input rows overlap, so it needs no copy of them. A tile is TILE
 * rows by TILE outputs; the taps and channels are dealt to `slices` warps, whose sums are added in
 * their order at the end. Every warp reads what it multiplies straight into registers, 16 bytes a
 * lane.
 *
 * bf16 weights go through the tensor cores: an input is split into the bf16 next to it and the bf16
 * of what that leaves, so that the product of weights is that of nearly whole f32 inputs (2^-17 of
 * each), summed in f32. f32 weights are multiplied in f32.
 */
#include "norm.cuh"
#include "tile.h"

enum { TILE = 32, WARPS = AGI_BLOCK_THREADS / AGI_WARP_LANES, STEP = 32 };

typedef struct {
    agi_linear_args of;
    int slices;
    int64_t across; /* tiles of outputs */
} tile_args;

/* The tile of a warp, and its share of the steps of STEP channels of one tap. */
typedef struct {
    int64_t r0, o0, first, steps, per_tap;
    int slices, lane;
} job;

DEVICE job job_of(const tile_args *a)
{
    const int warp = threadIdx.x / AGI_WARP_LANES;
    job j;
    j.slices = a->slices;
    j.lane = threadIdx.x % AGI_WARP_LANES;
    j.r0 = (blockIdx.x / a->across * (WARPS / a->slices) + warp / a->slices) * TILE;
    j.o0 = blockIdx.x % a->across * TILE;
    j.first = warp % a->slices;
    j.per_tap = (a->of.k + STEP - 1) / STEP;
    j.steps = j.r0 < a->of.rows ? j.per_tap * a->of.taps : 0;
    return j;
}

/* A row or an output beyond the last reads the last, and is not stored. */
DEVICE const float *input_row(const agi_linear_args *a, int64_t r, int64_t tap, int64_t c)
{
    if (r >= a->rows) r = a->rows - 1;
    return a->x + r * a->x_stride + tap * a->x_tap + c;
}

DEVICE int64_t weight_row(const agi_linear_args *a, int64_t o, int64_t tap, int64_t c)
{
    if (o >= a->outs) o = a->outs - 1;
    return o * a->w.stride + tap * a->k + c;
}

/* The sums of the warps of a tile, in their order, and the bias; all threads of the block. */
DEVICE void add_up(const tile_args *a, const float *part)
{
    const int tiles = WARPS / a->slices;
    const int64_t r0 = blockIdx.x / a->across * tiles * TILE, o0 = blockIdx.x % a->across * TILE;
    __syncthreads();
    for (int i = threadIdx.x; i < tiles * TILE * TILE; i += AGI_BLOCK_THREADS) {
        const int tile = i / (TILE * TILE), in = i % (TILE * TILE);
        const int64_t r = r0 + tile * TILE + in / TILE, o = o0 + in % TILE;
        if (r >= a->of.rows || o >= a->of.outs) continue;
        float sum = 0;
        for (int s = 0; s < a->slices; s++) sum += part[(tile * a->slices + s) * TILE * TILE + in];
        a->of.out[r * a->of.out_stride + o] = a->of.bias ? sum + a->of.bias[o] : sum;
    }
}

/* ---- bf16 ---- */

/* Two floats as bf16s, the first in the low half, and as bf16s of what the rounding left. */
DEVICE void split(float x, float y, uint32_t *high, uint32_t *low)
{
    *high = pack_bf16(x, y);
    *low =
        pack_bf16(x - agi_f32_from_bits(*high << 16), y - agi_f32_from_bits(*high & 0xffff0000u));
}

/* Lane 4g + t reads channels 8t .. 8t + 7 of a step, of rows g, g + 8, g + 16, g + 24 and of
 * outputs g, g + 8, g + 16, g + 24. The order of the channels within a step is not that of the
 * tensor cores' fragments, but the same for both sides, so that the sum is of the same products. */
KERNEL(tile_bf16, tile_args, AGI_BLOCK_THREADS, 1)
{
    SHARED(float, part, WARPS *TILE *TILE);
    enum { M = TILE / 16, N = TILE / 8 };
    const agi_linear_args *p = &a->of;
    const job j = job_of(a);
    const int g = j.lane / 4, t = j.lane % 4;
    const uint4 none = {0, 0, 0, 0};
    float d[M][N][4];
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int n = 0; n < N; n++)
        UNROLL for (int i = 0; i < 4; i++) d[m][n][i] = 0;
    BEGIN();
    for (int64_t s = j.first; s < j.steps; s += j.slices) {
        const int64_t tap = s / j.per_tap, c = (s - tap * j.per_tap) * STEP + 8 * t;
        const bool inside = c < p->k;
        uint4 w[N];
        float x[M][2][8];
        UNROLL for (int n = 0; n < N; n++) w[n] =
            inside
                ? load_constant((const uint16_t *)p->w.p + weight_row(p, j.o0 + 8 * n + g, tap, c))
                : none;
        UNROLL for (int m = 0; m < M; m++) UNROLL for (int h = 0; h < 2; h++)
        {
            UNROLL for (int i = 0; i < 8; i++) x[m][h][i] = 0;
            if (inside) load_floats(input_row(p, j.r0 + 16 * m + 8 * h + g, tap, c), x[m][h]);
        }
        UNROLL for (int q = 0; q < 2; q++) UNROLL for (int m = 0; m < M; m++)
        {
            uint32_t high[4], low[4];
            UNROLL for (int i = 0; i < 4; i++)
                split(x[m][i % 2][4 * q + i / 2 * 2], x[m][i % 2][4 * q + i / 2 * 2 + 1], &high[i],
                      &low[i]);
            UNROLL for (int n = 0; n < N; n++)
            {
                const uint32_t b[2] = {q ? w[n].z : w[n].x, q ? w[n].w : w[n].y};
                agi_mma_bf16(d[m][n], low, b);
                agi_mma_bf16(d[m][n], high, b);
            }
        }
    }
    float *mine = part + threadIdx.x / AGI_WARP_LANES * TILE * TILE;
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int n = 0; n < N; n++)
        UNROLL for (int i = 0; i < 4; i++)
            mine[(16 * m + 8 * (i / 2) + g) * TILE + 8 * n + 2 * t + i % 2] = d[m][n][i];
    add_up(a, part);
}

/* ---- f32 ---- */

/* Lane 4g + t has rows g, g + 8, g + 16, g + 24 of outputs t, t + 4, ... t + 28. */
KERNEL(tile_f32, tile_args, AGI_BLOCK_THREADS, 1)
{
    SHARED(float, part, WARPS *TILE *TILE);
    enum { M = TILE / 8, N = TILE / 4 };
    const agi_linear_args *p = &a->of;
    const job j = job_of(a);
    const int g = j.lane / 4, t = j.lane % 4;
    float d[M][N];
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int n = 0; n < N; n++) d[m][n] = 0;
    BEGIN();
    for (int64_t s = j.first; s < j.steps; s += j.slices) {
        const int64_t tap = s / j.per_tap, c0 = (s - tap * j.per_tap) * STEP;
        const int64_t end = c0 + STEP < p->k ? c0 + STEP : p->k;
        const float *x[M];
        const float *w[N];
        UNROLL for (int m = 0; m < M; m++) x[m] = input_row(p, j.r0 + 8 * m + g, tap, 0);
        UNROLL for (int n = 0; n < N; n++) w[n] =
            (const float *)p->w.p + weight_row(p, j.o0 + 4 * n + t, tap, 0);
        for (int64_t c = c0; c < end; c += 4) {
            float4 u[M], v[N];
            UNROLL for (int m = 0; m < M; m++) u[m] = *(const float4 *)(const void *)(x[m] + c);
            UNROLL for (int n = 0; n < N; n++)
            {
                const uint4 bits = load_constant(w[n] + c);
                v[n].x = agi_f32_from_bits(bits.x), v[n].y = agi_f32_from_bits(bits.y);
                v[n].z = agi_f32_from_bits(bits.z), v[n].w = agi_f32_from_bits(bits.w);
            }
            UNROLL for (int m = 0; m < M; m++) UNROLL for (int n = 0; n < N; n++)
            {
                d[m][n] = FMA(u[m].x, v[n].x, d[m][n]);
                d[m][n] = FMA(u[m].y, v[n].y, d[m][n]);
                d[m][n] = FMA(u[m].z, v[n].z, d[m][n]);
                d[m][n] = FMA(u[m].w, v[n].w, d[m][n]);
            }
        }
    }
    float *mine = part + threadIdx.x / AGI_WARP_LANES * TILE * TILE;
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int n = 0; n < N; n++)
        mine[(8 * m + g) * TILE + 4 * n + t] = d[m][n];
    add_up(a, part);
}

/* Warps to a tile: by the length of the sum alone, as its order depends on it. */
static int slices_of(int64_t steps)
{
    return steps <= 2 ? 1 : steps <= 8 ? 2 : steps <= 16 ? 4 : 8;
}

LAUNCHER(tile)
{
    tile_args a;
    memset(&a, 0, sizeof a);
    a.of = *(const agi_linear_args *)args;
    a.slices = slices_of(blocks_of(a.of.k, STEP) * a.of.taps);
    a.across = blocks_of(a.of.outs, TILE);
    const int64_t down = blocks_of(a.of.rows, TILE * (WARPS / a.slices));
    if (a.across * down == 0) return 0;
    switch (a.of.w.kind) {
    case AGI_WEIGHT_F32: return START(l, tile_f32, a.across * down, 1, AGI_BLOCK_THREADS, &a);
    case AGI_WEIGHT_BF16: return START(l, tile_bf16, a.across * down, 1, AGI_BLOCK_THREADS, &a);
    case AGI_WEIGHT_Q8:
    case AGI_WEIGHT_Q4: break; /* refused by the front */
    }
    return 0;
}
