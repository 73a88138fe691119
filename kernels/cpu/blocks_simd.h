/*
 * blocks_simd.h: products of weights that are quantised in blocks (q8, q4), packed, over the words
 * of simd_*.h for bytes. Lanes are outputs, so nothing is ever summed across them: the sum of a
 * block is a whole number, and blocks are added in their order. Every instruction set, tile and
 * number of rows gives the bits of plain C.
 */
#include "../weight.h"
#include "blocks.h"

#ifndef INLINE
#define INLINE static inline __attribute__((always_inline))
#endif

enum {
    VECTORS = AGI_PANEL / LANES, /* of outputs in a panel */
    BLOCK_AHEAD = 4096           /* bytes between the codes that are read and those asked for */
};

static void quantize_blocks(int8_t *code, float *scale, const float *x, int64_t n)
{
    for (int64_t c = 0; c < n; c += AGI_CHUNK) {
        const int64_t left = n - c < AGI_CHUNK ? n - c : AGI_CHUNK;
        vf v[AGI_CHUNK / LANES], most = v_zero(), bad = v_zero();
        for (int i = 0; i < AGI_CHUNK / LANES; i++) {
            const int64_t here = left - i * LANES;
            v[i] = here >= LANES ? v_load(x + c + i * LANES)
                   : here > 0    ? v_load_part(x + c + i * LANES, here)
                                 : v_zero();
            most = v_max(most, v_abs(v[i]));
            bad = v_add(bad, v_sub(v[i], v[i])); /* NaN where one is NaN or infinite */
        }
        const float largest = v_hmax(most);
        const vf inverse = v_set(largest < AGI_BLOCK_LEAST ? 0 : 127 / largest);
        for (int i = 0; i < AGI_CHUNK / LANES; i++)
            v_store_i8(code + i * LANES, v_mul(v[i], inverse));
        *scale =
            (largest < AGI_BLOCK_LEAST ? 0 : largest / 127) + v4_first(v_sum4(bad, bad, bad, bad));
        code += AGI_BLOCK_ROWS * AGI_CHUNK;
        scale += AGI_BLOCK_ROWS;
    }
}

/* The i-th vector of a block's codes. Each line is asked for BLOCK_AHEAD bytes before it is read,
 * one at a time, as memory has few requests open at once. */
INLINE vi code_vector(const char *w, int i, const int ahead)
{
    w += i * LANES * 4;
    if (ahead && i * LANES * 4 % 64 == 0) __builtin_prefetch(w + BLOCK_AHEAD);
    return vi_load(w);
}

/* R rows from r and the panel of outputs from o. R, kind, ahead are constants. */
INLINE void block_tile(const agi_linear_args *a, const agi_block_rows *x, int64_t r, int64_t o,
                       const int R, const enum agi_weight_kind kind, const int ahead)
{
    enum { MOST = AGI_BLOCK_ROWS };
    const int64_t chunks = a->w.chunks, first = o / AGI_PANEL * chunks;
    const int bytes = (int)agi_weight_bytes(kind, AGI_PANEL * AGI_CHUNK);
    const char *w = (const char *)a->w.p + first * bytes;
    const uint16_t *scale = a->w.scale + first * AGI_PANEL;
    vf acc[MOST][VECTORS];
    for (int i = 0; i < R; i++)
        for (int v = 0; v < VECTORS; v++) acc[i][v] = v_zero();
    const int64_t block = agi_block_of(x, r, 0);
    const int8_t *code = x->code + block * AGI_CHUNK;
    const float *xs = x->scale + block;
    const int32_t *sums = x->sum + block;
    for (int64_t c = 0; c < chunks; c++) {
        vi sum[MOST][VECTORS];
        const int bias = kind == AGI_WEIGHT_Q8 ? V_BIAS : AGI_Q4_BIAS;
        for (int i = 0; i < R; i++)
            for (int v = 0; v < VECTORS; v++) sum[i][v] = vi_set(-bias * sums[i]);
        if (ahead) __builtin_prefetch(scale + BLOCK_AHEAD / 16);
        if (kind == AGI_WEIGHT_Q8)
            for (int j = 0; j < AGI_CHUNK / 4; j++)
                for (int v = 0; v < VECTORS; v++) {
                    const vi wv = code_vector(w, j * VECTORS + v, ahead);
                    for (int i = 0; i < R; i++)
                        sum[i][v] = v_dot8(sum[i][v], wv, vi_four(code + i * AGI_CHUNK + 4 * j));
                }
        else
            for (int j = 0; j < AGI_CHUNK / 8; j++)
                for (int v = 0; v < VECTORS; v++) {
                    const vi wv = code_vector(w, j * VECTORS + v, ahead);
                    const vi low = vi_low4(wv), high = vi_high4(wv);
                    for (int i = 0; i < R; i++) {
                        const int8_t *four = code + i * AGI_CHUNK + 4 * j;
                        sum[i][v] = v_dot4(sum[i][v], low, vi_four(four));
                        sum[i][v] = v_dot4(sum[i][v], high, vi_four(four + AGI_CHUNK / 2));
                    }
                }
        for (int v = 0; v < VECTORS; v++) {
            const vf ws = v_load_f16(scale + v * LANES);
            for (int i = 0; i < R; i++)
                acc[i][v] = v_fma(v_mul(ws, v_set(xs[i])), v_of_int(sum[i][v]), acc[i][v]);
        }
        w += bytes;
        scale += AGI_PANEL;
        code += AGI_BLOCK_ROWS * AGI_CHUNK;
        xs += AGI_BLOCK_ROWS;
        sums += AGI_BLOCK_ROWS;
    }
    for (int i = 0; i < R; i++)
        for (int v = 0; v < VECTORS; v++) {
            const int64_t at = o + v * LANES, left = a->outs - at;
            float *out = a->out + (r + i) * a->out_stride + at;
            if (left >= LANES)
                v_store(out, a->bias ? v_add(acc[i][v], v_load(a->bias + at)) : acc[i][v]);
            else if (left > 0)
                v_store_part(
                    out, a->bias ? v_add(acc[i][v], v_load_part(a->bias + at, left)) : acc[i][v],
                    left);
        }
}

/* The rows go by eights, then by what is left in halves, while the panel is near. */
INLINE void block_kind(const agi_linear_args *a, const agi_block_rows *x, int64_t o0, int64_t o1,
                       const enum agi_weight_kind kind)
{
    for (int64_t o = o0; o < o1; o += AGI_PANEL) {
        int64_t r = 0;
        if (LANES == 16) {
            for (; a->rows - r >= 8; r += 8) block_tile(a, x, r, o, 8, kind, 1);
            for (; a->rows - r >= 4; r += 4) block_tile(a, x, r, o, 4, kind, 1);
        }
        for (; a->rows - r >= 2; r += 2) block_tile(a, x, r, o, 2, kind, 1);
        if (r < a->rows) block_tile(a, x, r, o, 1, kind, 1);
    }
}

static void dot_blocks(const agi_linear_args *a, const agi_block_rows *x, int64_t o0, int64_t o1)
{
    if (a->w.kind == AGI_WEIGHT_Q8) block_kind(a, x, o0, o1, AGI_WEIGHT_Q8);
    else block_kind(a, x, o0, o1, AGI_WEIGHT_Q4);
}

#define AGI_BLOCKS_TABLE(isa) const agi_blocks agi_blocks_##isa = {quantize_blocks, dot_blocks}
