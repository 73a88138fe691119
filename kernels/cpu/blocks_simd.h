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
    MOST_PANELS = LANES / 4      /* abreast: what fits into the registers */
};

/* Bytes between the codes that are read and those asked for, of each of P streams. */
#define AHEAD_OF(P) ((P) == 1 ? 4096 : 2048)

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

/* The i-th vector of a block's codes, of P streams of them. Each line is asked for AHEAD_OF(P)
 * bytes before it is read, one at a time, as memory has few requests open at once. */
INLINE vi code_vector(const char *w, int i, const int P)
{
    w += i * LANES * 4;
    if (i * LANES * 4 % 64 == 0) __builtin_prefetch(w + AHEAD_OF(P));
    return vi_load(w);
}

/* R rows from r, and P panels of outputs, `apart` outputs from one to the next, from o. R, P, kind
 * are constants. */
INLINE void block_tile(const agi_linear_args *a, const agi_block_rows *x, int64_t r, int64_t o,
                       int64_t apart, const int R, const int P, const enum agi_weight_kind kind)
{
    enum { MOST_ROWS = AGI_BLOCK_ROWS, MOST = VECTORS * MOST_PANELS };
    const int bytes = (int)agi_weight_bytes(kind, AGI_PANEL * AGI_CHUNK), N = P * VECTORS;
    const int64_t chunks = a->w.chunks;
    const char *w[MOST_PANELS];
    const uint16_t *scale[MOST_PANELS];
    for (int p = 0; p < P; p++) {
        const int64_t first = (o + p * apart) / AGI_PANEL * chunks;
        w[p] = (const char *)a->w.p + first * bytes;
        scale[p] = a->w.scale + first * AGI_PANEL;
    }
    vf acc[MOST_ROWS][MOST];
    for (int i = 0; i < R; i++)
        for (int v = 0; v < N; v++) acc[i][v] = v_zero();
    const int64_t block = agi_block_of(x, r, 0);
    const int8_t *code = x->code + block * AGI_CHUNK;
    const float *xs = x->scale + block;
    const int32_t *begin = x->begin + block;
    for (int64_t c = 0; c < chunks; c++) {
        vi sum[MOST_ROWS][MOST];
        for (int i = 0; i < R; i++)
            for (int v = 0; v < N; v++) sum[i][v] = vi_set(begin[i]);
        for (int p = 0; p < P; p++) __builtin_prefetch(scale[p] + AHEAD_OF(P) / 16);
        if (kind == AGI_WEIGHT_Q8)
            for (int j = 0; j < AGI_CHUNK / 4; j++)
                for (int v = 0; v < N; v++) {
                    const vi wv = code_vector(w[v / VECTORS], j * VECTORS + v % VECTORS, P);
                    for (int i = 0; i < R; i++)
                        sum[i][v] = v_dot8(sum[i][v], wv, vi_four(code + i * AGI_CHUNK + 4 * j));
                }
        else
            for (int j = 0; j < AGI_CHUNK / 8; j++)
                for (int v = 0; v < N; v++) {
                    const vi wv = code_vector(w[v / VECTORS], j * VECTORS + v % VECTORS, P);
                    const vi low = vi_low4(wv), high = vi_high4(wv);
                    for (int i = 0; i < R; i++) {
                        const int8_t *four = code + i * AGI_CHUNK + 4 * j;
                        sum[i][v] = v_dot4(sum[i][v], low, vi_four(four));
                        sum[i][v] = v_dot4(sum[i][v], high, vi_four(four + AGI_CHUNK / 2));
                    }
                }
        for (int v = 0; v < N; v++) {
            const vf ws = v_load_f16(scale[v / VECTORS] + v % VECTORS * LANES);
            for (int i = 0; i < R; i++)
                acc[i][v] = v_fma(v_mul(ws, v_set(xs[i])), v_of_int(sum[i][v]), acc[i][v]);
        }
        for (int p = 0; p < P; p++) {
            w[p] += bytes;
            scale[p] += AGI_PANEL;
        }
        code += AGI_BLOCK_ROWS * AGI_CHUNK;
        xs += AGI_BLOCK_ROWS;
        begin += AGI_BLOCK_ROWS;
    }
    for (int i = 0; i < R; i++)
        for (int v = 0; v < N; v++) {
            const int64_t at = o + v / VECTORS * apart + v % VECTORS * LANES, left = a->outs - at;
            float *out = a->out + (r + i) * a->out_stride + at;
            if (left >= LANES)
                v_store(out, a->bias ? v_add(acc[i][v], v_load(a->bias + at)) : acc[i][v]);
            else if (left > 0)
                v_store_part(
                    out, a->bias ? v_add(acc[i][v], v_load_part(a->bias + at, left)) : acc[i][v],
                    left);
        }
}

/*
 * One row or two: P panels abreast, each the first of as many that follow one another, so that what
 * is asked for is what is read next. On Intel's, four streams read memory faster than one (two
 * Sapphire Rapids cores, sets of 440 MB: 31 and 28 GB/s, of 80 MB: 56 and 54); Zen follows one line
 * of addresses best. Returns the outputs from which panels are left.
 */
INLINE int64_t block_streams(const agi_linear_args *a, const agi_block_rows *x, int64_t o0,
                             int64_t o1, const int R, const int P, const enum agi_weight_kind kind)
{
    const int64_t apart = (o1 - o0) / AGI_PANEL / P * AGI_PANEL;
    for (int64_t o = o0; o < o0 + apart; o += AGI_PANEL) block_tile(a, x, 0, o, apart, R, P, kind);
    return o0 + P * apart;
}

/* The rows go by eights, then by what is left in halves, while the panel is near. */
INLINE void block_kind(const agi_linear_args *a, const agi_block_rows *x, int64_t o0, int64_t o1,
                       const enum agi_weight_kind kind)
{
    if (MOST_PANELS > 1 && a->rows == 1 && !v_on_zen())
        o0 = block_streams(a, x, o0, o1, 1, MOST_PANELS, kind);
    if (MOST_PANELS > 2 && a->rows == 2 && !v_on_zen())
        o0 = block_streams(a, x, o0, o1, 2, MOST_PANELS / 2, kind);
    for (int64_t o = o0; o < o1; o += AGI_PANEL) {
        int64_t r = 0;
        if (LANES == 16) {
            for (; a->rows - r >= 8; r += 8) block_tile(a, x, r, o, 0, 8, 1, kind);
            for (; a->rows - r >= 4; r += 4) block_tile(a, x, r, o, 0, 4, 1, kind);
        }
        for (; a->rows - r >= 2; r += 2) block_tile(a, x, r, o, 0, 2, 1, kind);
        if (r < a->rows) block_tile(a, x, r, o, 0, 1, 1, kind);
    }
}

static void dot_blocks(const agi_linear_args *a, const agi_block_rows *x, int64_t o0, int64_t o1)
{
    if (a->w.kind == AGI_WEIGHT_Q8) block_kind(a, x, o0, o1, AGI_WEIGHT_Q8);
    else block_kind(a, x, o0, o1, AGI_WEIGHT_Q4);
}

#define AGI_BLOCKS_TABLE(isa)                                                                      \
    const agi_blocks agi_blocks_##isa = {quantize_blocks, dot_blocks, V_BIAS}
