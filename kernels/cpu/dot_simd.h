/*
 * dot_simd.h: the products over the vocabulary of simd_*.h. Every output has one vector accumulator
 * that walks taps, then channels, LANES at a time; its lanes are summed in one order at the end,
 * then comes the bias. A tile computes several outputs at once to use each load more often, and
 * changes no bit.
 */
#include "../weight.h"
#include "isa.h"

enum {
    TILE_OUTS = 4,
    ROW_BLOCK_BYTES = 512 << 10 /* of x: what stays in L2 while all weights pass once */
};

#define INLINE static inline __attribute__((always_inline))

INLINE float v_sum(vf x) { return v4_first(v_sum4(x, x, x, x)); }

/* LANES weights from the i-th; `kind` is a constant wherever this is inlined. */
INLINE vf w_load(const agi_weight *w, int64_t i, const enum agi_weight_kind kind)
{
    const void *p = agi_weight_at(w, kind, i);
    switch (kind) {
    case AGI_WEIGHT_F32: return v_load(p);
    case AGI_WEIGHT_BF16: return v_load_bf16(p);
    }
    return v_zero();
}

/* The first n of them, then zeros. */
INLINE vf w_load_part(const agi_weight *w, int64_t i, int64_t n, const enum agi_weight_kind kind)
{
    const void *p = agi_weight_at(w, kind, i);
    switch (kind) {
    case AGI_WEIGHT_F32: return v_load_part(p, n);
    case AGI_WEIGHT_BF16: return v_load_bf16_part(p, n);
    }
    return v_zero();
}

INLINE void w_prefetch(const agi_weight *w, int64_t i, const enum agi_weight_kind kind)
{
    __builtin_prefetch(agi_weight_at(w, kind, i));
}

/* Rows r .. r + R - 1, outputs o .. o + O - 1; O is 1 or a multiple of 4. ahead asks memory for the
 * next O rows of weights. R, O, kind, ahead are constants, so that acc lives in registers. */
INLINE void tile(const agi_linear_args *d, int64_t r, int64_t o, const int R, const int O,
                 const enum agi_weight_kind kind, const int ahead)
{
    vf acc[6][8];
    for (int i = 0; i < R; i++)
        for (int j = 0; j < O; j++) acc[i][j] = v_zero();
    const int64_t k = d->k, full = k / LANES * LANES, ws = d->w.stride, xs = d->x_stride;
    for (int64_t t = 0; t < d->taps; t++) {
        const float *x = d->x + r * xs + t * d->x_tap;
        const int64_t w = o * ws + t * k;
        for (int64_t c = 0; c < full; c += LANES) {
            vf wv[8];
            for (int j = 0; j < O; j++) wv[j] = w_load(&d->w, w + j * ws + c, kind);
            if (ahead)
                for (int j = 0; j < O; j++) w_prefetch(&d->w, w + (j + O) * ws + c, kind);
            for (int i = 0; i < R; i++) {
                vf xv = v_load(x + i * xs + c);
                for (int j = 0; j < O; j++) acc[i][j] = v_fma(xv, wv[j], acc[i][j]);
            }
        }
        if (full < k) {
            vf wv[8];
            for (int j = 0; j < O; j++)
                wv[j] = w_load_part(&d->w, w + j * ws + full, k - full, kind);
            for (int i = 0; i < R; i++) {
                vf xv = v_load_part(x + i * xs + full, k - full);
                for (int j = 0; j < O; j++) acc[i][j] = v_fma(xv, wv[j], acc[i][j]);
            }
        }
    }
    for (int i = 0; i < R; i++) {
        float *out = d->out + (r + i) * d->out_stride + o;
        if (O == 1) {
            float s = v_sum(acc[i][0]);
            out[0] = d->bias ? s + d->bias[o] : s;
            continue;
        }
        for (int j = 0; j < O; j += 4) {
            v4 s = v_sum4(acc[i][j], acc[i][j + 1], acc[i][j + 2], acc[i][j + 3]);
            if (d->bias) s = v4_add(s, v4_load(d->bias + o + j));
            v4_store(out + j, s);
        }
    }
}

/* n <= 6 rows from r, O outputs from o. */
INLINE void tile_rows(const agi_linear_args *d, int64_t r, int64_t n, int64_t o, const int O,
                      const enum agi_weight_kind kind)
{
    switch (n) {
    case 1: tile(d, r, o, 1, O, kind, 0); break;
    case 2: tile(d, r, o, 2, O, kind, 0); break;
#if TILE_ROWS == 6
    case 3: tile(d, r, o, 3, O, kind, 0); break;
    case 4: tile(d, r, o, 4, O, kind, 0); break;
    case 5: tile(d, r, o, 5, O, kind, 0); break;
    case 6: tile(d, r, o, 6, O, kind, 0); break;
#endif
    default: break;
    }
}

/*
 * One row of x: weights pass once, at the speed of memory, which depends on the order of the reads.
 * Zen follows one line of addresses best: short rows one after the other (46 GB/s on two Zen 4
 * cores where eight abreast and asked for by hand make 24), long ones eight abreast. Intel's
 * prefetcher begins anew in each page: eight abreast with the next eight asked for by hand (28 GB/s
 * on two Sapphire Rapids cores at k = 1024, 22 without). ARM's are taken for Intel's, unmeasured.
 */
INLINE void dot_row(const agi_linear_args *d, int64_t r, int64_t o0, int64_t o1,
                    const enum agi_weight_kind kind)
{
    const int zen = v_on_zen();
    int64_t o = o0;
    if (!zen)
        for (; o + 8 <= o1; o += 8) tile(d, r, o, 1, 8, kind, 1);
    else if (d->k > 1024)
        for (; o + 8 <= o1; o += 8) tile(d, r, o, 1, 8, kind, 0);
    for (; o < o1; o++) tile(d, r, o, 1, 1, kind, 0);
}

INLINE void dot_kind(const agi_linear_args *d, int64_t r0, int64_t r1, int64_t o0, int64_t o1,
                     const enum agi_weight_kind kind)
{
    if (r1 - r0 == 1) {
        dot_row(d, r0, o0, o1, kind);
        return;
    }
    int64_t row_bytes = (d->x_stride > 0 ? d->x_stride : 1) * 4,
            block = ROW_BLOCK_BYTES / row_bytes;
    block = block < TILE_ROWS ? TILE_ROWS : block / TILE_ROWS * TILE_ROWS;
    for (int64_t b = r0; b < r1; b += block) {
        const int64_t end = b + block < r1 ? b + block : r1;
        for (int64_t o = o0; o < o1; o += o + TILE_OUTS <= o1 ? TILE_OUTS : 1) {
            for (int64_t r = b; r < end; r += TILE_ROWS) {
                const int64_t n = end - r < TILE_ROWS ? end - r : TILE_ROWS;
                if (o + TILE_OUTS <= o1) tile_rows(d, r, n, o, TILE_OUTS, kind);
                else tile_rows(d, r, n, o, 1, kind);
            }
        }
    }
}

static void dot(const agi_linear_args *d, int64_t r0, int64_t r1, int64_t o0, int64_t o1)
{
    switch (d->w.kind) {
    case AGI_WEIGHT_F32: dot_kind(d, r0, r1, o0, o1, AGI_WEIGHT_F32); break;
    case AGI_WEIGHT_BF16: dot_kind(d, r0, r1, o0, o1, AGI_WEIGHT_BF16); break;
    }
}
