/*
 * conv_filter.h: packed convolutions in f32. Weights lie in panels of PANEL outputs, [taps]
 * [channels][PANEL]; a sum is one chain of fused multiply-adds in the order of taps, then channels.
 *
 * A filter of seven taps is taken as minimal filtering F(4, 7) (Winograd 1980): four outputs in a
 * row need ten products a channel where the definition has 28. Inputs are read as a polynomial at
 * nine points and infinity, weights too (when they are packed), and the products are read back.
 * Points come in pairs of both signs, whose even and odd parts are shared. Sizes 1/2, 7/8, 5/4 and
 * 2 lose least of those with few bits: 3e-6 of the outputs' deviation (a direct sum 6e-7).
 *
 * Tiles of four outputs begin anew at each period, and in each of its `dilation` interleaved
 * phases; what a tile lacks at the end of its period counts as zero. So an output depends on the
 * period's rows and their past alone, however many periods come at once.
 */
#include "isa.h"

#include <string.h>

enum {
    PANEL = 2 * LANES,
    ROWS = LANES == 8 ? 6 : 12, /* that are summed at once: what registers hold beside a panel */
    FILTERED = 7,               /* taps */
    OUT = 4,                    /* outputs of a tile */
    POINTS = OUT + FILTERED - 1,
    PAIRS = 4,
    CHUNK = 32,     /* channels that are packed at once */
    CACHED = 49152, /* floats of x that are worked on at once, to stay in L2 */
    FEW_ROWS = 128, /* but rows enough for the weights' way from memory to be worth it */
    MANY_ROWS = 512
};

/* The sizes of the pairs of points; 0 and infinity come first and last. */
#define POINT_A 0.5
#define POINT_B 0.875
#define POINT_C 1.25
#define POINT_D 2.0
static const double sizes[PAIRS] = {POINT_A, POINT_B, POINT_C, POINT_D};

/* The coefficients of (z - p^2)(z - q^2)(z - r^2), from z^0 to z^2. */
#define CUBIC(p, q, r)                                                                             \
    {                                                                                              \
        (float)(-(p) * (p) * (q) * (q) * (r) * (r)),                                               \
            (float)((p) * (p) * (q) * (q) + (p) * (p) * (r) * (r) + (q) * (q) * (r) * (r)),        \
            (float)(-(p) * (p) - (q) * (q) - (r) * (r))                                            \
    }
static const float cubic[PAIRS][3] = {
    CUBIC(POINT_B, POINT_C, POINT_D), CUBIC(POINT_A, POINT_C, POINT_D),
    CUBIC(POINT_A, POINT_B, POINT_D), CUBIC(POINT_A, POINT_B, POINT_C)};

static bool filtered(int64_t taps) { return taps == FILTERED; }
static int64_t products_of(int64_t taps) { return filtered(taps) ? POINTS : taps; }
static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

static int64_t conv_size(int64_t outs, int64_t taps, int64_t channels)
{
    return round_up(outs, PANEL) * products_of(taps) * channels;
}

/* ---- packing ---- */

/* The value of a filter at the p-th point is the sum of its taps times at[p]. What the values at
 * the other points make of one when they are put together is divided out here. */
static void filter_at_points(double at[POINTS][FILTERED])
{
    for (int p = 0; p < POINTS - 1; p++) {
        const double size = p == 0 ? 0 : sizes[(p - 1) / 2];
        double power = p == 0 ? 1 : 1 / (2 * size * size);
        for (int i = 0; i < PAIRS; i++)
            if (p == 0 || i != (p - 1) / 2) power /= size * size - sizes[i] * sizes[i];
        for (int t = 0; t < FILTERED; t++, power *= p % 2 ? size : -size) at[p][t] = power;
    }
    for (int t = 0; t < FILTERED; t++) at[POINTS - 1][t] = t == FILTERED - 1;
}

/* The values of n <= CHUNK channels' filters at the points. */
static void filter_values(double at[POINTS][FILTERED], const float *w, int64_t channels, int64_t n,
                          float values[POINTS][CHUNK])
{
    for (int p = 0; p < POINTS; p++)
        for (int64_t c = 0; c < n; c++) {
            double sum = 0;
            for (int t = 0; t < FILTERED; t++) sum += at[p][t] * w[t * channels + c];
            values[p][c] = (float)sum;
        }
}

static void conv_pack(float *out, const float *w, int64_t outs, int64_t taps, int64_t channels,
                      int64_t panel)
{
    const int64_t products = products_of(taps), left = outs - panel * PANEL;
    const int64_t n = left < PANEL ? left : PANEL;
    float values[POINTS][CHUNK];
    double at[POINTS][FILTERED];
    filter_at_points(at);
    out += panel * PANEL * products * channels;
    memset(out, 0, (size_t)(PANEL * products * channels) * sizeof *out);
    for (int64_t c = 0; c < channels; c += CHUNK) /* what is written at once stays in the cache */
        for (int64_t o = 0; o < n; o++) {
            const float *from = w + o * taps * channels + c;
            const int64_t m = channels - c < CHUNK ? channels - c : CHUNK;
            if (filtered(taps)) filter_values(at, from, channels, m, values);
            for (int64_t p = 0; p < products; p++) {
                const float *v = filtered(taps) ? values[p] : from + p * channels;
                float *row = out + (p * channels + c) * PANEL + o;
                for (int64_t i = 0; i < m; i++) row[i * PANEL] = v[i];
            }
        }
}

/* ---- sums ---- */

/* Rows of x as the sums read them: the i-th of row r and tap t is p[r * row + t * tap + i]. */
typedef struct {
    const float *p;
    int64_t row, tap, taps, k;
} inputs;

/* R rows of a panel to out, [R][PANEL] with `stride` between; each begins with `start`. */
INLINE void sum_rows(float *out, int64_t stride, const inputs *in, int64_t r, const float *w,
                     const float *start, const int R)
{
    vf s[ROWS][2];
    for (int i = 0; i < R; i++) {
        s[i][0] = v_load(start);
        s[i][1] = v_load(start + LANES);
    }
    const int64_t row = in->row;
    for (int64_t t = 0; t < in->taps; t++) {
        /* Few pointers, and offsets that addresses can hold. */
        const float *x0 = in->p + r * row + t * in->tap, *x1 = x0 + 3 * row, *x2 = x1 + 3 * row,
                    *x3 = x2 + 3 * row;
        for (int64_t c = 0; c < in->k; c++, w += PANEL) {
            const vf w0 = v_load(w), w1 = v_load(w + LANES);
            for (int i = 0; i < R; i++) {
                const float *x = i < 3 ? x0 : i < 6 ? x1 : i < 9 ? x2 : x3;
                const vf v = v_set(x[i % 3 * row + c]);
                s[i][0] = v_fma(v, w0, s[i][0]);
                s[i][1] = v_fma(v, w1, s[i][1]);
            }
        }
    }
    for (int i = 0; i < R; i++) {
        v_store(out + i * stride, s[i][0]);
        v_store(out + i * stride + LANES, s[i][1]);
    }
}

static void sum(float *out, int64_t stride, const inputs *in, int64_t rows, const float *w,
                const float *start)
{
    int64_t r = 0;
    for (; r + ROWS <= rows; r += ROWS) sum_rows(out + r * stride, stride, in, r, w, start, ROWS);
    for (; r + ROWS / 3 <= rows; r += ROWS / 3)
        sum_rows(out + r * stride, stride, in, r, w, start, ROWS / 3);
    for (; r < rows; r++) sum_rows(out + r * stride, stride, in, r, w, start, 1);
}

/* The first n <= LANES of v to out, or added to what is there. */
INLINE void leave(const agi_packed_conv1d_args *a, float *out, vf v, int64_t n)
{
    if (n >= LANES) v_store(out, a->accumulate ? v_add(v_load(out), v) : v);
    else if (n > 0) v_store_part(out, a->accumulate ? v_add(v_load_part(out, n), v) : v, n);
}

/* ---- the rows of x ---- */

static int64_t rows_at_once(const agi_packed_conv1d_args *a)
{
    const int64_t fit = CACHED / a->k / 32 * 32;
    return fit < FEW_ROWS ? FEW_ROWS : fit > MANY_ROWS ? MANY_ROWS : fit;
}

/* n rows of x from the first-th, or of its snake, to rows of whole vectors. */
static void copy_rows(const agi_packed_conv1d_args *a, int64_t first, int64_t n, float *to)
{
    const int64_t wide = round_up(a->k, LANES);
    for (int64_t r = 0; r < n; r++, to += wide) {
        const float *x = a->x + (first + r) * a->x_stride;
        if (a->alpha) snake(to, x, a->alpha, a->inv_beta, a->k);
        else memcpy(to, x, (size_t)a->k * sizeof *to);
        for (int64_t c = a->k; c < wide; c++) to[c] = 0;
    }
}

/* ---- minimal filtering ---- */

/* Ten rows of `stride` at x, of which those from the have-th on are zero, to the points:
 * to[p * plane] on, `wide` channels each. */
static void to_points(const float *x, int64_t stride, int64_t have, float *to, int64_t plane,
                      int64_t wide)
{
    for (int64_t c = 0; c < wide; c += LANES) {
        vf v[POINTS];
        for (int i = 0; i < POINTS; i++) v[i] = i < have ? v_load(x + i * stride + c) : v_zero();
        for (int i = 0; i < PAIRS; i++) {
            const vf q0 = v_set(cubic[i][0]), q1 = v_set(cubic[i][1]), q2 = v_set(cubic[i][2]);
            const vf even = v_fma(v[2], q0, v_fma(v[4], q1, v_fma(v[6], q2, v[8])));
            const vf odd = v_mul(v_set((float)sizes[i]),
                                 v_fma(v[1], q0, v_fma(v[3], q1, v_fma(v[5], q2, v[7]))));
            v_store(to + (1 + 2 * i) * plane + c, v_add(even, odd));
            v_store(to + (2 + 2 * i) * plane + c, v_sub(even, odd));
        }
        /* All pairs: (z - d^2) times the cubic of the others, at even places, or at odd ones. */
        const vf d2 = v_set((float)(POINT_D * POINT_D)), q0 = v_set(cubic[3][0]),
                 q1 = v_set(cubic[3][1]), q2 = v_set(cubic[3][2]);
        for (int i = 0; i < 2; i++) {
            const vf low = v_fma(v[i], q0, v_fma(v[2 + i], q1, v_fma(v[4 + i], q2, v[6 + i])));
            const vf high = v_fma(v[2 + i], q0, v_fma(v[4 + i], q1, v_fma(v[6 + i], q2, v[8 + i])));
            v_store(to + (i ? POINTS - 1 : 0) * plane + c, v_fnma(d2, low, high));
        }
    }
}

/* The four outputs of products at the points, in[p * plane]; the first of them begins with `bias`,
 * as the others do. */
INLINE void from_points(const float *in, int64_t plane, vf bias, vf out[OUT])
{
    for (int i = 0; i < OUT; i++) out[i] = bias;
    for (int i = PAIRS - 1; i >= 0; i--) {
        const vf plus = v_load(in + (1 + 2 * i) * plane), minus = v_load(in + (2 + 2 * i) * plane);
        const vf even = v_add(plus, minus), odd = v_sub(plus, minus);
        const double s = sizes[i];
        out[0] = v_add(out[0], even);
        out[1] = v_fma(odd, v_set((float)s), out[1]);
        out[2] = v_fma(even, v_set((float)(s * s)), out[2]);
        out[3] = v_fma(odd, v_set((float)(s * s * s)), out[3]);
    }
    out[0] = v_add(out[0], v_load(in));
    out[3] = v_add(out[3], v_load(in + (POINTS - 1) * plane));
}

/* A tile: its first row of the output, and how many it has, `dilation` apart. */
typedef struct {
    int64_t row, n;
} outputs;

/* The next tile that begins in [.., end); its phase and place in the period. */
typedef struct {
    int64_t begin, phase, at; /* of the period, in the period, in the phase */
} place;

static int64_t period_of(const agi_packed_conv1d_args *a)
{
    return a->period > 0 && a->period < a->rows ? a->period : a->rows;
}

/* Up to `most` tiles that begin in [from, to), from the place on, which moves. */
static int64_t next_tiles(const agi_packed_conv1d_args *a, int64_t from, int64_t to, place *at,
                          outputs *tiles, int64_t most)
{
    const int64_t period = period_of(a), d = a->dilation;
    int64_t count = 0;
    while (count < most && at->begin < to) {
        const int64_t end = at->begin + period < a->rows ? at->begin + period : a->rows;
        const int64_t row = at->begin + at->phase + at->at * d;
        if (row >= from && row < to && row < end) {
            const int64_t n = (end - row + d - 1) / d;
            tiles[count++] = (outputs){row, n < OUT ? n : OUT};
        }
        at->at += OUT;
        if (row + OUT * d < end) continue;
        at->at = 0;
        if (++at->phase < d && at->begin + at->phase < end) continue;
        at->phase = 0;
        at->begin += period;
    }
    return count;
}

/* ---- running ---- */

/* What a worker has: rows of x, then for a filter points of tiles and products of a panel. */
static int64_t most_tiles(int64_t rows) { return rows / OUT + ROWS; }

static int64_t x_rows(const agi_packed_conv1d_args *a, int64_t rows)
{
    return rows + (a->taps - 1 + (filtered(a->taps) ? OUT - 1 : 0)) * a->dilation;
}

static int64_t conv_scratch(const agi_packed_conv1d_args *a)
{
    const int64_t rows = rows_at_once(a), wide = round_up(a->k, LANES);
    int64_t floats = PANEL + x_rows(a, rows) * wide + ROWS * PANEL;
    if (filtered(a->taps)) floats += most_tiles(rows) * POINTS * (wide + PANEL);
    return floats * (int64_t)sizeof(float) + most_tiles(rows) * (int64_t)sizeof(outputs);
}

/* Rows [from, to) of a direct convolution; `x` has the rows that they see. */
static void run_direct(const agi_packed_conv1d_args *a, const float *x, int64_t from, int64_t to,
                       int64_t o0, int64_t o1, float *bias, float *sums)
{
    const int64_t wide = round_up(a->k, LANES), panel_floats = PANEL * a->taps * a->k;
    const inputs in = {x, wide, a->dilation * wide, a->taps, a->k};
    for (int64_t o = o0; o < o1; o += PANEL) {
        const int64_t m = o1 - o < PANEL ? o1 - o : PANEL;
        const float *w = a->w + o / PANEL * panel_floats;
        for (int64_t i = 0; i < PANEL; i++) bias[i] = a->bias && i < m ? a->bias[o + i] : 0;
        float *out = a->out + from * a->out_stride + o;
        if (m == PANEL && !a->accumulate) {
            sum(out, a->out_stride, &in, to - from, w, bias);
            continue;
        }
        for (int64_t r = from; r < to; r += ROWS) {
            const int64_t n = to - r < ROWS ? to - r : ROWS;
            inputs part = in;
            part.p += (r - from) * wide;
            sum(sums, PANEL, &part, n, w, bias);
            for (int64_t i = 0; i < n; i++, out += a->out_stride) {
                leave(a, out, v_load(sums + i * PANEL), m);
                leave(a, out + LANES, v_load(sums + i * PANEL + LANES), m - LANES);
            }
        }
    }
}

/* The outputs of some tiles, whose inputs are at the points. */
static void run_tiles(const agi_packed_conv1d_args *a, const outputs *tiles, int64_t count,
                      const float *points, int64_t plane, int64_t o0, int64_t o1, float *products)
{
    static const float zero[PANEL];
    const int64_t wide = round_up(a->k, LANES);
    for (int64_t o = o0; o < o1; o += PANEL) {
        const int64_t m = o1 - o < PANEL ? o1 - o : PANEL;
        const float *w = a->w + o * POINTS * a->k;
        for (int p = 0; p < POINTS; p++, w += a->k * PANEL) {
            const inputs in = {points + p * plane, wide, 0, 1, a->k};
            sum(products + p * PANEL, POINTS * PANEL, &in, count, w, zero);
        }
        for (int64_t c = 0; c < m; c += LANES) {
            const int64_t n = m - c;
            const vf bias = !a->bias     ? v_zero()
                            : n >= LANES ? v_load(a->bias + o + c)
                                         : v_load_part(a->bias + o + c, n);
            for (int64_t t = 0; t < count; t++) {
                vf y[OUT];
                from_points(products + t * POINTS * PANEL + c, PANEL, bias, y);
                float *out = a->out + tiles[t].row * a->out_stride + o + c;
                for (int i = 0; i < OUT; i++) /* a constant count keeps y in registers */
                    if (i < tiles[t].n) leave(a, out + i * a->dilation * a->out_stride, y[i], n);
            }
        }
    }
}

/* The tiles that begin at rows [from, to); `x` has the rows that they see. */
static void run_filter(const agi_packed_conv1d_args *a, const float *x, int64_t from, int64_t to,
                       int64_t o0, int64_t o1, float *points, outputs *tiles, int64_t most)
{
    const int64_t wide = round_up(a->k, LANES), plane = most * wide;
    place at = {from / period_of(a) * period_of(a), 0, 0};
    for (int64_t n; (n = next_tiles(a, from, to, &at, tiles, most)) > 0;) {
        for (int64_t t = 0; t < n; t++)
            to_points(x + (tiles[t].row - from) * wide, a->dilation * wide,
                      tiles[t].n + FILTERED - 1, points + t * wide, plane, wide);
        run_tiles(a, tiles, n, points, plane, o0, o1, points + POINTS * plane);
    }
}

static void conv_run(const agi_packed_conv1d_args *a, int64_t r0, int64_t r1, int64_t o0,
                     int64_t o1, void *scratch, bool again)
{
    (void)again;
    const int64_t rows = rows_at_once(a), most = most_tiles(rows), wide = round_up(a->k, LANES);
    outputs *tiles = scratch;
    float *bias = (float *)(tiles + most), *sums = bias + PANEL, *x = sums + ROWS * PANEL;
    for (int64_t from = r0; from < r1; from += rows) {
        const int64_t to = from + rows < r1 ? from + rows : r1;
        const int64_t all = a->rows + (a->taps - 1) * a->dilation - from;
        const int64_t want = x_rows(a, to - from);
        copy_rows(a, from, want < all ? want : all, x);
        if (filtered(a->taps))
            run_filter(a, x, from, to, o0, o1, x + x_rows(a, rows) * wide, tiles, most);
        else run_direct(a, x, from, to, o0, o1, bias, sums);
    }
}

static const agi_conv conv = {.size = conv_size,
                              .pack = conv_pack,
                              .panel = PANEL,
                              .scratch = conv_scratch,
                              .run = conv_run,
                              .worth_rows = 96};
