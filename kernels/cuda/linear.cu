/*
 * linear.cu: the ops linear and conv1d for few rows, where the time is that of reading the weights.
 * A warp, or `slices` warps, make STREAMS outputs of up to R rows: a weight is read once for all
 * rows, 16 bytes a lane, and an input once for all streams; the first weights, those of the norm
 * too, are asked for before the kernel waits for its input. With many rows tile.cu takes over.
 *
 * What a decoder layer does beside its products is done on the way (fused.h): the RMS norm before,
 * the residual sum or the SwiGLU product after.
 */
#include "norm.cuh"
#include "tile.h"

enum {
    ROWS = AGI_PRODUCT_ROWS,
    VECTOR = AGI_OCTET,
    STREAMS = 4, /* rows of weights that a warp reads side by side */
    THREADS = 128,
    WARPS = THREADS / AGI_WARP_LANES
};

typedef struct {
    agi_product_args p;
    int slices;        /* warps that share their outputs */
    int64_t items;     /* of STREAMS outputs each, or of half as many that are gated */
    int64_t per_block; /* of items */
    bool vectors;      /* rows begin on 16 bytes and are whole vectors */
} product_args;

/* VECTOR weights; bf16 needs the first half alone. */
typedef struct {
    uint4 bits[2];
} weights;

DEVICE void load_weights(weights *w, const void *row, int at, bool bf16)
{
    if (bf16) {
        w->bits[0] = load_constant((const uint16_t *)row + at);
        return;
    }
    w->bits[0] = load_constant((const float *)row + at);
    w->bits[1] = load_constant((const float *)row + at + 4);
}

DEVICE void unpack(const weights *w, bool bf16, float f[VECTOR])
{
    const uint32_t u[8] = {w->bits[0].x, w->bits[0].y, w->bits[0].z, w->bits[0].w,
                           w->bits[1].x, w->bits[1].y, w->bits[1].z, w->bits[1].w};
    UNROLL for (int i = 0; i < VECTOR; i++)
    {
        if (bf16) f[i] = float_of(i & 1 ? u[i / 2] & 0xffff0000u : u[i / 2] << 16);
        else f[i] = float_of(u[i]);
    }
}

/* What a warp works on: outputs o, o + 1, ... of a part, their rows of weights, and rows r0 .. r0 +
 * n of the input. Gated, the first half of the streams are outputs of the gate, the others the same
 * outputs of `up`. A stream beyond the last output reads the last one, and is not stored. */
typedef struct {
    int part, slice, lane, n;
    int64_t o, r0;
    bool live;
    const void *row[STREAMS];
} job;

DEVICE job job_of(const product_args *a, int64_t item, int slice, int lane, bool bf16, bool gated)
{
    const int wide = gated ? STREAMS / 2 : STREAMS;
    job j;
    j.part = 0;
    j.slice = slice;
    j.lane = lane;
    j.live = item < a->items;
    if (!j.live) item = 0;
    while (!gated && j.part + 1 < a->p.parts) {
        const int64_t items = (a->p.part[j.part].outs + wide - 1) / wide;
        if (item < items) break;
        item -= items;
        j.part++;
    }
    j.o = item * wide;
    UNROLL for (int s = 0; s < STREAMS; s++)
    {
        const agi_linear_args *p = &a->p.part[gated ? s / wide : j.part];
        int64_t o = j.o + s % wide;
        if (o >= p->outs) o = p->outs - 1;
        j.row[s] = bf16 ? (const void *)((const uint16_t *)p->w + o * p->w_stride)
                        : (const void *)((const float *)p->w + o * p->w_stride);
    }
    return j;
}

/* Where element e of the taps of row r stands, and its column. */
DEVICE const float *input_at(const agi_linear_args *a, int64_t r, int e, int *c)
{
    const int tap = a->taps == 1 ? 0 : e / (int)a->k;
    *c = e - tap * (int)a->k;
    return a->x + r * a->x_stride + tap * a->x_tap + *c;
}

/* The norm's weights of a vector of the input; nothing where there is no norm. */
DEVICE void load_norm(const product_args *a, int at, float f[VECTOR])
{
    if (!a->p.normed) return;
    const uint4 x = load_constant(a->p.norm_w + at), y = load_constant(a->p.norm_w + at + 4);
    const uint32_t u[VECTOR] = {x.x, x.y, x.z, x.w, y.x, y.y, y.z, y.w};
    UNROLL for (int i = 0; i < VECTOR; i++) f[i] = float_of(u[i]);
}

DEVICE void norm_factors(const product_args *a, const job *j, int R, float scale[ROWS])
{
    const agi_linear_args *x = &a->p.part[0];
    UNROLL for (int i = 0; i < R; i++)
    {
        scale[i] = 1;
        if (a->p.normed && i < j->n)
            scale[i] = rms_scale(x->x + (j->r0 + i) * x->x_stride, x->k, a->p.eps, j->lane);
    }
}

/* What a lane adds to the sums, by vectors, of which `ahead` are on their way. */
DEVICE void dot_vectors(const product_args *a, const job *j, int R, bool bf16,
                        float sum[STREAMS][ROWS])
{
    enum { MOST_AHEAD = 4 };
    const int ahead = MOST_AHEAD / (bf16 ? 1 : 2) / (R > 2 ? 2 : 1);
    const agi_linear_args *x = &a->p.part[0];
    const int count = (int)(x->k * x->taps / VECTOR), stride = AGI_WARP_LANES * a->slices;
    int v = j->slice * AGI_WARP_LANES + j->lane;
    weights w[MOST_AHEAD][STREAMS];
    float scale[ROWS], norm[MOST_AHEAD][VECTOR];
    UNROLL for (int k = 0; k < ahead; k++)
    {
        const int at = (v + k * stride) * VECTOR;
        if (v + k * stride >= count) continue;
        UNROLL for (int s = 0; s < STREAMS; s++) load_weights(&w[k][s], j->row[s], at, bf16);
        load_norm(a, at, norm[k]);
    }
    BEGIN();
    norm_factors(a, j, R, scale);
    for (; v < count; v += ahead * stride) {
        UNROLL for (int k = 0; k < ahead; k++)
        {
            const int here = v + k * stride, next = here + ahead * stride;
            if (here >= count) continue;
            float in[ROWS][VECTOR];
            UNROLL for (int i = 0; i < R; i++)
            {
                int c;
                /* A row that is not there is read as the first: its sum is not stored. */
                load_floats(input_at(x, i < j->n ? j->r0 + i : j->r0, here * VECTOR, &c), in[i]);
            }
            if (a->p.normed) {
                UNROLL for (int i = 0; i < R; i++) UNROLL for (int e = 0; e < VECTOR; e++)
                    in[i][e] = in[i][e] * scale[i] * norm[k][e];
                if (next < count) load_norm(a, next * VECTOR, norm[k]);
            }
            UNROLL for (int s = 0; s < STREAMS; s++)
            {
                float f[VECTOR];
                unpack(&w[k][s], bf16, f);
                if (next < count) load_weights(&w[k][s], j->row[s], next * VECTOR, bf16);
                UNROLL for (int e = 0; e < VECTOR; e++) UNROLL for (int i = 0; i < R; i++)
                    sum[s][i] = FMA(in[i][e], f[e], sum[s][i]);
            }
        }
    }
}

/* The same sums in the same order by single loads, for sizes and addresses that have no vectors. */
DEVICE void dot_scalars(const product_args *a, const job *j, int R, bool bf16,
                        float sum[STREAMS][ROWS])
{
    const agi_linear_args *x = &a->p.part[0];
    const int count = (int)(x->k * x->taps), stride = AGI_WARP_LANES * a->slices;
    float scale[ROWS];
    BEGIN();
    norm_factors(a, j, R, scale);
    for (int v = j->slice * AGI_WARP_LANES + j->lane; v * VECTOR < count; v += stride) {
        for (int e = v * VECTOR; e < (v + 1) * VECTOR && e < count; e++) {
            float w[STREAMS];
            UNROLL for (int s = 0; s < STREAMS; s++) w[s] =
                bf16 ? from_bf16(((const uint16_t *)j->row[s])[e]) : ((const float *)j->row[s])[e];
            UNROLL for (int i = 0; i < R; i++)
            {
                if (i >= j->n) continue;
                int c;
                float y = *input_at(x, j->r0 + i, e, &c);
                if (a->p.normed) y = y * scale[i] * a->p.norm_w[c];
                UNROLL for (int s = 0; s < STREAMS; s++) sum[s][i] = FMA(y, w[s], sum[s][i]);
            }
        }
    }
}

/* Output o of row r; `up` counts when they are gated. */
DEVICE void store(const product_args *a, int part, int64_t o, int64_t r, float v, float up)
{
    const agi_linear_args *p = &a->p.part[part], *q = &a->p.part[1];
    if (o >= p->outs) return;
    if (p->bias) v += p->bias[o];
    if (a->p.gated) {
        if (q->bias) up += q->bias[o];
        q->out[r * q->out_stride + o] = up;
        v = v / (1.0f + expf(-v)) * up;
    }
    p->out[r * p->out_stride + o] = v;
    if (a->p.sum && part == 0) {
        float *s = a->p.sum + r * a->p.sum_stride + o;
        *s = a->p.scale ? FMA(a->p.scale[o], v, *s) : *s + v;
    }
}

/* The first block of a group of rows writes them normalised, for whoever reads them later. */
DEVICE void write_normed(const product_args *a, int64_t r0, int n, int lane)
{
    const agi_linear_args *x = &a->p.part[0];
    for (int i = 0; i < n; i++) {
        const float *in = x->x + (r0 + i) * x->x_stride;
        const float scale = rms_scale(in, x->k, a->p.eps, lane);
        for (int64_t c = threadIdx.x; c < x->k; c += THREADS)
            a->p.normed[(r0 + i) * a->p.normed_stride + c] = in[c] * scale * a->p.norm_w[c];
    }
}

/* R, the most rows of a group, is known to the compiler, as bf16 and gated are. */
DEVICE void product_block(const product_args *a, int R, bool bf16, bool gated)
{
    SHARED(float, shared, WARPS *STREAMS *ROWS);
    const int lane = threadIdx.x % AGI_WARP_LANES, warp = threadIdx.x / AGI_WARP_LANES;
    const int64_t across = (a->items + a->per_block - 1) / a->per_block;
    const int64_t group = blockIdx.x / across, block = blockIdx.x - group * across;
    job j = job_of(a, block * a->per_block + warp / a->slices, warp % a->slices, lane, bf16, gated);
    j.r0 = group * R;
    j.n = a->p.part[0].rows - j.r0 < R ? (int)(a->p.part[0].rows - j.r0) : R;
    float sum[STREAMS][ROWS];
    UNROLL for (int s = 0; s < STREAMS; s++) UNROLL for (int i = 0; i < R; i++) sum[s][i] = 0;
    if (a->vectors) dot_vectors(a, &j, R, bf16, sum);
    else dot_scalars(a, &j, R, bf16, sum);
    /* Lane i has row i of every stream. */
    float mine[STREAMS] = {0};
    UNROLL for (int i = 0; i < R; i++)
    {
        float total[STREAMS];
        UNROLL for (int s = 0; s < STREAMS; s++) total[s] = sum[s][i];
        warp_sums(total, STREAMS);
        UNROLL for (int s = 0; s < STREAMS; s++) if (lane == i) mine[s] = total[s];
    }
    if (a->slices > 1) {
        UNROLL for (int s = 0; s < STREAMS; s++) if (lane < R)
            shared[(warp * STREAMS + s) * ROWS + lane] = mine[s];
        __syncthreads();
        if (j.slice == 0 && lane < R)
            UNROLL for (int s = 0; s < STREAMS; s++) for (int k = 1; k < a->slices; k++) mine[s] +=
                shared[((warp + k) * STREAMS + s) * ROWS + lane];
    }
    if (j.live && j.slice == 0 && lane < j.n) {
        if (gated) {
            UNROLL for (int s = 0; s < STREAMS / 2; s++)
                store(a, 0, j.o + s, j.r0 + lane, mine[s], mine[s + STREAMS / 2]);
        } else {
            UNROLL for (int s = 0; s < STREAMS; s++)
                store(a, j.part, j.o + s, j.r0 + lane, mine[s], 0);
        }
    }
    if (a->p.normed && block == 0) write_normed(a, j.r0, j.n, lane);
}

#define PRODUCT(R, blocks)                                                                         \
    KERNEL(product_f32_##R, product_args, THREADS, blocks) { product_block(a, R, false, false); }  \
    KERNEL(product_bf16_##R, product_args, THREADS, blocks) { product_block(a, R, true, false); }  \
    KERNEL(gated_f32_##R, product_args, THREADS, blocks) { product_block(a, R, false, true); }     \
    KERNEL(gated_bf16_##R, product_args, THREADS, blocks) { product_block(a, R, true, true); }
PRODUCT(1, 3)
PRODUCT(2, 2)
PRODUCT(4, 2)
PRODUCT(8, 2)

/* Warps to an output, so that each lane has few vectors: by the width alone, as the order of the
 * sum depends on it. */
static int slices_of(int64_t width)
{
    const int64_t each = blocks_of(width, VECTOR * AGI_WARP_LANES);
    return each <= 4 ? 1 : each <= 8 ? 2 : WARPS;
}

static bool vectors_fit(const agi_product_args *p)
{
    const agi_linear_args *x = &p->part[0];
    bool fit = agi_tile_input_fits(x) && (!p->normed || (uintptr_t)p->norm_w % 16 == 0);
    for (int i = 0; i < p->parts; i++) fit = fit && agi_tile_weights_fit(&p->part[i]);
    return fit;
}

LAUNCHER(product)
{
    const agi_product_args *p = (const agi_product_args *)args;
    const agi_linear_args *x = &p->part[0];
    const int R = x->rows <= 1 ? 1 : x->rows == 2 ? 2 : x->rows <= 4 ? 4 : 8;
    product_args a;
    memset(&a, 0, sizeof a);
    a.p = *p;
    a.slices = slices_of(x->k * x->taps);
    a.per_block = WARPS / a.slices;
    a.vectors = vectors_fit(p);
    for (int i = 0; i < (p->gated ? 1 : p->parts); i++)
        a.items += blocks_of(p->part[i].outs, p->gated ? STREAMS / 2 : STREAMS);
    const int64_t blocks = blocks_of(a.items, a.per_block) * blocks_of(x->rows, R);
    if (blocks == 0) return 0;
#define GO(R)                                                                                      \
    if (R >= x->rows || R == ROWS) {                                                               \
        if (p->gated)                                                                              \
            return x->w_dtype == AG_F32 ? START(l, gated_f32_##R, blocks, 1, THREADS, &a)          \
                                        : START(l, gated_bf16_##R, blocks, 1, THREADS, &a);        \
        return x->w_dtype == AG_F32 ? START(l, product_f32_##R, blocks, 1, THREADS, &a)            \
                                    : START(l, product_bf16_##R, blocks, 1, THREADS, &a);          \
    }
    GO(1)
    GO(2)
    GO(4)
    GO(8)
#undef GO
    return 0;
}

static int one(const agi_linear_args *a, const agi_launch *l)
{
    if (agi_tile_fits(a)) return agi_cuda_tile(a, l);
    agi_product_args p;
    memset(&p, 0, sizeof p);
    p.parts = 1;
    p.part[0] = *a;
    return agi_cuda_product(&p, l);
}

LAUNCHER(linear) { return one((const agi_linear_args *)args, l); }
LAUNCHER(conv1d) { return one((const agi_linear_args *)args, l); }
