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
    PANEL_ROWS = TILE_ROWS > 2 ? 3 : 2, /* at most, of those that take whole panels */
    LINE = 64,
    AHEAD = 4096, /* bytes between what is read of packed weights and what is asked for */
    ROW_BLOCK_BYTES = 512 << 10 /* of x: what stays in L2 while all weights pass once */
};

#ifndef INLINE
#define INLINE static inline __attribute__((always_inline))
#endif

INLINE float v_sum(vf x) { return v4_first(v_sum4(x, x, x, x)); }

/* LANES weights from the i-th; `kind` is a constant wherever this is inlined. */
INLINE vf w_load(const agi_weight *w, int64_t i, const enum agi_weight_kind kind)
{
    const void *p = agi_weight_at(w, kind, i);
    switch (kind) {
    case AGI_WEIGHT_F32: return v_load(p);
    case AGI_WEIGHT_BF16: return v_load_bf16(p);
    case AGI_WEIGHT_Q8:
    case AGI_WEIGHT_Q4: break; /* blocks_simd.h */
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
    case AGI_WEIGHT_Q8:
    case AGI_WEIGHT_Q4: break;
    }
    return v_zero();
}

/* Rows r .. r + R - 1, outputs o .. o + O - 1, of packed weights in one panel; O is 1 or a multiple
 * of 4. Of rows of weights `ahead` asks memory for the next O, of packed ones for as many lines of
 * a panel AHEAD bytes further. R, O, kind, packed, ahead are constants, so that acc lives in
 * registers. */
INLINE void tile(const agi_linear_args *d, int64_t r, int64_t o, const int R, const int O,
                 const enum agi_weight_kind kind, const int packed, const int ahead)
{
    vf acc[6][AGI_PANEL];
    for (int i = 0; i < R; i++)
        for (int j = 0; j < O; j++) acc[i][j] = v_zero();
    const int64_t k = d->k, full = k / LANES * LANES, xs = d->x_stride;
    const int64_t ws = packed ? AGI_CHUNK : d->w.stride; /* from output to output */
    for (int64_t t = 0; t < d->taps; t++) {
        const float *x = d->x + r * xs + t * d->x_tap;
        const int64_t w = agi_weight_index(&d->w, o, t * k);
        for (int64_t c = 0; c < full; c += LANES) {
            const int64_t at =
                w + (packed ? c / AGI_CHUNK * AGI_CHUNK * AGI_PANEL + c % AGI_CHUNK : c);
            vf wv[AGI_PANEL];
            for (int j = 0; j < O; j++) wv[j] = w_load(&d->w, at + j * ws, kind);
            if (ahead && !packed)
                for (int j = 0; j < O; j++)
                    __builtin_prefetch(agi_weight_at(&d->w, kind, at + (j + O) * ws));
            if (ahead && packed && agi_weight_bytes(kind, c) % LINE == 0)
                for (int j = 0; j < ahead; j++) {
                    const char *p = agi_weight_at(&d->w, kind, at + j * ws);
                    __builtin_prefetch(p + AHEAD);
                }
            for (int i = 0; i < R; i++) {
                vf xv = v_load(x + i * xs + c);
                for (int j = 0; j < O; j++) acc[i][j] = v_fma(xv, wv[j], acc[i][j]);
            }
        }
        if (full < k) {
            const int64_t at = agi_weight_index(&d->w, o, t * k + full);
            vf wv[AGI_PANEL];
            for (int j = 0; j < O; j++) wv[j] = w_load_part(&d->w, at + j * ws, k - full, kind);
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

/* n <= TILE_ROWS rows from r, O outputs from o. */
INLINE void tile_rows(const agi_linear_args *d, int64_t r, int64_t n, int64_t o, const int O,
                      const enum agi_weight_kind kind, const int packed, const int ahead)
{
    switch (n) {
    case 1: tile(d, r, o, 1, O, kind, packed, ahead); break;
    case 2: tile(d, r, o, 2, O, kind, packed, ahead); break;
#if TILE_ROWS == 6
    case 3: tile(d, r, o, 3, O, kind, packed, ahead); break;
    case 4: tile(d, r, o, 4, O, kind, packed, ahead); break;
    case 5: tile(d, r, o, 5, O, kind, packed, ahead); break;
    case 6: tile(d, r, o, 6, O, kind, packed, ahead); break;
#endif
    default: break;
    }
}

/*
 * One row of x and rows of weights: they pass once, at the speed of memory, which depends on the
 * order of the reads. Zen follows one line of addresses best: short rows one after the other (46
 * GB/s on two Zen 4 cores where eight abreast and asked for by hand make 24), long ones eight
 * abreast. Intel's prefetcher begins anew in each page: eight abreast with the next eight asked for
 * by hand (28 GB/s on two Sapphire Rapids cores at k = 1024, 22 without). ARM's are taken for
 * Intel's, unmeasured.
 */
INLINE void dot_row(const agi_linear_args *d, int64_t r, int64_t o0, int64_t o1,
                    const enum agi_weight_kind kind)
{
    const int zen = v_on_zen();
    int64_t o = o0;
    if (!zen)
        for (; o + 8 <= o1; o += 8) tile(d, r, o, 1, 8, kind, 0, 1);
    else if (d->k > 1024)
        for (; o + 8 <= o1; o += 8) tile(d, r, o, 1, 8, kind, 0, 0);
    for (; o < o1; o++) tile(d, r, o, 1, 1, kind, 0, 0);
}

/*
 * A panel of packed weights and n <= PANEL_ROWS rows of x: as many outputs at once as there are
 * registers. Where a part of the panel fills them, the first part asks memory for all.
 */
INLINE void panel(const agi_linear_args *d, int64_t r, int64_t o, const int R, const int O,
                  const enum agi_weight_kind kind)
{
    tile(d, r, o, R, O, kind, 1, AGI_PANEL);
    for (int j = O; j < AGI_PANEL; j += O) tile(d, r, o + j, R, O, kind, 1, 0);
}

INLINE void panel_rows(const agi_linear_args *d, int64_t r, int64_t n, int64_t o,
                       const enum agi_weight_kind kind)
{
    switch (n) {
#if TILE_ROWS == 6
    case 1: panel(d, r, o, 1, 16, kind); break;
    case 2: panel(d, r, o, 2, 8, kind); break;
    case 3: panel(d, r, o, 3, 8, kind); break;
#else
    case 1: panel(d, r, o, 1, 8, kind); break;
    case 2: panel(d, r, o, 2, 4, kind); break;
#endif
    default: break;
    }
}

INLINE void dot_kind(const agi_linear_args *d, int64_t r0, int64_t r1, int64_t o0, int64_t o1,
                     const enum agi_weight_kind kind, const int packed)
{
    if (packed && r1 - r0 <= PANEL_ROWS) {
        for (; o0 + AGI_PANEL <= o1; o0 += AGI_PANEL) panel_rows(d, r0, r1 - r0, o0, kind);
    } else if (r1 - r0 == 1) {
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
                if (o + TILE_OUTS > o1) tile_rows(d, r, n, o, 1, kind, packed, 0);
                else if (packed && r == b && o % AGI_PANEL == 0)
                    tile_rows(d, r, n, o, TILE_OUTS, kind, packed, AGI_PANEL);
                else tile_rows(d, r, n, o, TILE_OUTS, kind, packed, 0);
            }
        }
    }
}

#define DOT(kind)                                                                                  \
    case kind:                                                                                     \
        if (d->w.chunks) dot_kind(d, r0, r1, o0, o1, kind, 1);                                     \
        else dot_kind(d, r0, r1, o0, o1, kind, 0);                                                 \
        break;
static void dot(const agi_linear_args *d, int64_t r0, int64_t r1, int64_t o0, int64_t o1)
{
    switch (d->w.kind) {
        DOT(AGI_WEIGHT_F32)
        DOT(AGI_WEIGHT_BF16)
    case AGI_WEIGHT_Q8:
    case AGI_WEIGHT_Q4: break; /* blocks_simd.h */
    }
}
#undef DOT
