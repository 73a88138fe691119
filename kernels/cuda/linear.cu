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

/* VECTOR weights, in as many of these as their kind takes. */
typedef struct {
    uint4 bits[2];
} weights;

DEVICE int quads_of(enum agi_weight_kind kind)
{
    return (int)agi_weight_bytes(kind, VECTOR) / (int)sizeof(uint4);
}

DEVICE void load_weights(weights *w, const void *row, int at, enum agi_weight_kind kind)
{
    const char *from = (const char *)row + agi_weight_bytes(kind, at);
    UNROLL for (int i = 0; i < quads_of(kind); i++) w->bits[i] =
        load_constant(from + i * (int)sizeof(uint4));
}

DEVICE void unpack(const weights *w, enum agi_weight_kind kind, float f[VECTOR])
{
    const uint32_t u[8] = {w->bits[0].x, w->bits[0].y, w->bits[0].z, w->bits[0].w,
                           w->bits[1].x, w->bits[1].y, w->bits[1].z, w->bits[1].w};
    UNROLL for (int i = 0; i < VECTOR; i++)
    {
        switch (kind) {
        case AGI_WEIGHT_F32: f[i] = agi_f32_from_bits(u[i]); break;
        case AGI_WEIGHT_BF16:
            f[i] = agi_f32_from_bits(i & 1 ? u[i / 2] & 0xffff0000u : u[i / 2] << 16);
            break;
        case AGI_WEIGHT_Q8:
        case AGI_WEIGHT_Q4: break; /* refused by the front */
        }
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

DEVICE job job_of(const product_args *a, int64_t item, int slice, int lane,
                  enum agi_weight_kind kind, bool gated)
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
        j.row[s] = agi_weight_at(&p->w, kind, o * p->w.stride);
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
    UNROLL for (int i = 0; i < VECTOR; i++) f[i] = agi_f32_from_bits(u[i]);
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
DEVICE void dot_vectors(const product_args *a, const job *j, int R, enum agi_weight_kind kind,
                        float sum[STREAMS][ROWS])
{
    enum { MOST_AHEAD = 4 };
    const int ahead = MOST_AHEAD / quads_of(kind) / (R > 2 ? 2 : 1);
    const agi_linear_args *x = &a->p.part[0];
    const int count = (int)(x->k * x->taps / VECTOR), stride = AGI_WARP_LANES * a->slices;
    int v = j->slice * AGI_WARP_LANES + j->lane;
    weights w[MOST_AHEAD][STREAMS];
    float scale[ROWS], norm[MOST_AHEAD][VECTOR];
    UNROLL for (int k = 0; k < ahead; k++)
    {
        const int at = (v + k * stride) * VECTOR;
        if (v + k * stride >= count) continue;
        UNROLL for (int s = 0; s < STREAMS; s++) load_weights(&w[k][s], j->row[s], at, kind);
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
                unpack(&w[k][s], kind, f);
                if (next < count) load_weights(&w[k][s], j->row[s], next * VECTOR, kind);
                UNROLL for (int e = 0; e < VECTOR; e++) UNROLL for (int i = 0; i < R; i++)
                    sum[s][i] = FMA(in[i][e], f[e], sum[s][i]);
            }
        }
    }
}

/* The same sums in the same order by single loads, for sizes and addresses that have no vectors. */
DEVICE void dot_scalars(const product_args *a, const job *j, int R, enum agi_weight_kind kind,
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
            UNROLL for (int s = 0; s < STREAMS; s++)
            {
                const agi_weight row = {j->row[s], NULL, kind, 0, 0, 0};
                w[s] = agi_weight_value(&row, kind, e);
            }
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

/* R, the most rows of a group, is known to the compiler, as kind and gated are. */
DEVICE void product_block(const product_args *a, int R, enum agi_weight_kind kind, bool gated)
{
    SHARED(float, shared, WARPS *STREAMS *ROWS);
    const int lane = threadIdx.x % AGI_WARP_LANES, warp = threadIdx.x / AGI_WARP_LANES;
    const int64_t across = (a->items + a->per_block - 1) / a->per_block;
    const int64_t group = blockIdx.x / across, block = blockIdx.x - group * across;
    job j = job_of(a, block * a->per_block + warp / a->slices, warp % a->slices, lane, kind, gated);
    j.r0 = group * R;
    j.n = a->p.part[0].rows - j.r0 < R ? (int)(a->p.part[0].rows - j.r0) : R;
    float sum[STREAMS][ROWS];
    UNROLL for (int s = 0; s < STREAMS; s++) UNROLL for (int i = 0; i < R; i++) sum[s][i] = 0;
    if (a->vectors) dot_vectors(a, &j, R, kind, sum);
    else dot_scalars(a, &j, R, kind, sum);
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

#define PRODUCT(name, kind, R, blocks)                                                             \
    KERNEL(product_##name##_##R, product_args, THREADS, blocks)                                    \
    {                                                                                              \
        product_block(a, R, kind, false);                                                          \
    }                                                                                              \
    KERNEL(gated_##name##_##R, product_args, THREADS, blocks) { product_block(a, R, kind, true); }
#define PRODUCTS(name, kind)                                                                       \
    PRODUCT(name, kind, 1, 3)                                                                      \
    PRODUCT(name, kind, 2, 2) PRODUCT(name, kind, 4, 2) PRODUCT(name, kind, 8, 2)
PRODUCTS(f32, AGI_WEIGHT_F32)
PRODUCTS(bf16, AGI_WEIGHT_BF16)

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
#define GO(name, R)                                                                                \
    if (R >= x->rows || R == ROWS)                                                                 \
        return p->gated ? START(l, gated_##name##_##R, blocks, 1, THREADS, &a)                     \
                        : START(l, product_##name##_##R, blocks, 1, THREADS, &a);
#define KIND(name, kind)                                                                           \
    case kind: GO(name, 1) GO(name, 2) GO(name, 4) GO(name, 8)
    switch (x->w.kind) {
        KIND(f32, AGI_WEIGHT_F32)
        KIND(bf16, AGI_WEIGHT_BF16)
    case AGI_WEIGHT_Q8:
    case AGI_WEIGHT_Q4: break; /* refused by the front */
    }
#undef KIND
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
