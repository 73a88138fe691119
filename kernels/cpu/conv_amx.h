/*
 * conv_amx.h: packed convolutions on AMX tiles, whose products are of bf16. Every number is the sum
 * of two bf16, the nearest one and what is left, which keep 16 bits of it. Of the four products of
 * two such sums the one of both rests is left out: what is lost is about 2^-17 of a product. Where
 * all weights of a panel are bf16, their rests are 0 and are not multiplied, nor is their memory
 * touched, which lies behind the nearest numbers of all panels.
 *
 * A tile of x is 16 rows of 32 channels, one of weights 16 pairs of channels of 16 outputs. A step
 * is one tap of 32 channels; an output adds its steps in the order of channels, then taps, wherever
 * it stands in a tile: the taps of some channels lie in the same rows, which stay in L1.
 */
#include "isa.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

enum {
    STEP = 32,              /* channels of a step, outputs of a panel */
    TILE = 1024,            /* bytes */
    STEP_BYTES = 2 * TILE,  /* of weights of 32 outputs: nearest, or rests */
    HEAD_BYTES = 64,        /* before a panel: whether it has rests */
    ROW_BYTES = 128,        /* of x in a step: nearest, rest */
    BLOCK = 32,             /* rows that are summed at once, in two tiles */
    MOST_ROWS = 512,        /* of x that are split at once, */
    MOST_BYTES = 800 << 10, /* and what they then take, to stay in L2 */
    SECTION = 160 << 10,    /* bytes of weights that all rows go through before the next ones */
    SUMS_BYTES = MOST_ROWS * STEP * 4 + STEP * 4 /* of a panel, and its bias */
};

static int64_t steps_of(int64_t channels) { return (channels + STEP - 1) / STEP; }

/* Of the nearest numbers of a panel, and of its rests. */
static int64_t panel_bytes(int64_t taps, int64_t channels)
{
    return taps * steps_of(channels) * STEP_BYTES;
}

static int64_t conv_size(int64_t outs, int64_t taps, int64_t channels)
{
    return steps_of(outs) * (HEAD_BYTES + 2 * panel_bytes(taps, channels)) / 4;
}

/* Where the panel-th panel is: its head, its nearest numbers behind that, and, behind those of all
 * panels, its rests. `bytes` are panel_bytes. */
static char *head_of(const void *packed, int64_t panel, int64_t bytes)
{
    return (char *)packed + panel * (HEAD_BYTES + bytes);
}

static char *rests_of(const void *packed, int64_t panel, int64_t outs, int64_t bytes)
{
    return head_of(packed, steps_of(outs), bytes) + panel * bytes;
}

/* How many rows are split at once: at most, and of so many, about as many each time. */
static int64_t most_rows(const agi_packed_conv1d_args *a)
{
    const int64_t most = MOST_BYTES / (steps_of(a->k) * ROW_BYTES) / BLOCK * BLOCK;
    return most < BLOCK ? BLOCK : most > MOST_ROWS ? MOST_ROWS : most;
}

static int64_t rows_at_once(const agi_packed_conv1d_args *a, int64_t rows)
{
    const int64_t times = (rows + most_rows(a) - 1) / most_rows(a);
    return ((rows + times - 1) / times + BLOCK - 1) / BLOCK * BLOCK;
}

/* ---- splitting ---- */

INLINE vf nearest_lower(__m512bh h) { return v_widen(_mm512_castsi512_si256((__m512i)h)); }
INLINE vf nearest_upper(__m512bh h) { return v_widen(_mm512_extracti64x4_epi64((__m512i)h, 1)); }

/* The nearest bf16 of the 32 numbers a, b, and what is left of them. */
INLINE __m512i split(vf a, vf b, __m512i *rest)
{
    const __m512bh near = _mm512_cvtne2ps_pbh(b, a);
    *rest =
        (__m512i)_mm512_cvtne2ps_pbh(v_sub(b, nearest_upper(near)), v_sub(a, nearest_lower(near)));
    return (__m512i)near;
}

/* The first n of LANES numbers, then zeros; n may be less than 1. */
INLINE vf part_of(const float *p, int64_t n)
{
    return n >= LANES ? v_load(p) : n > 0 ? v_load_part(p, n) : v_zero();
}

/* ---- packing ---- */

static bool are_bf16(const float *w, int64_t n)
{
    uint32_t low = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, w + i, sizeof bits);
        low |= bits & 0xffff;
    }
    return low == 0;
}

static void conv_pack(float *out, const float *w, int64_t outs, int64_t taps, int64_t channels,
                      int64_t panel)
{
    /* Where the pairs of channels of one output go: a row of the tile each. */
    const __m512i rows =
        _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                           _mm512_set1_epi32(64));
    const int64_t left = outs - panel * STEP, n = left < STEP ? left : STEP;
    const int64_t bytes = panel_bytes(taps, channels);
    const bool rests = !are_bf16(w, n * taps * channels);
    char *head = head_of(out, panel, bytes), *to = head + HEAD_BYTES;
    char *rest_to = rests_of(out, panel, outs, bytes);
    memset(head, 0, (size_t)(HEAD_BYTES + bytes));
    memcpy(head, &rests, sizeof rests);
    if (rests) memset(rest_to, 0, (size_t)bytes);
    for (int64_t c = 0; c < channels; c += STEP)
        for (int64_t t = 0; t < taps; t++, to += STEP_BYTES, rest_to += STEP_BYTES)
            for (int64_t o = 0; o < n; o++) {
                const float *x = w + (o * taps + t) * channels + c;
                __m512i rest, near = split(part_of(x, channels - c),
                                           part_of(x + LANES, channels - c - LANES), &rest);
                const int64_t place = o / 16 * TILE + o % 16 * 4;
                _mm512_i32scatter_epi32(to + place, rows, near, 1);
                if (rests) _mm512_i32scatter_epi32(rest_to + place, rows, rest, 1);
            }
}

/* ---- the rows of x ---- */

INLINE vf input(const agi_packed_conv1d_args *a, const float *x, int64_t c)
{
    const int64_t n = a->k - c;
    const vf v = part_of(x + c, n);
    return a->alpha ? v_snake(v, part_of(a->alpha + c, n), part_of(a->inv_beta + c, n)) : v;
}

/* n rows of x from the first-th, [steps][rows of a plane][near, rest]. */
static void split_rows(const agi_packed_conv1d_args *a, int64_t first, int64_t n, char *to,
                       int64_t plane)
{
    for (int64_t r = 0; r < n; r++) {
        const float *x = a->x + (first + r) * a->x_stride;
        char *p = to + r * ROW_BYTES;
        for (int64_t c = 0; c < a->k; c += STEP, p += plane) {
            __m512i rest, near = split(input(a, x, c), input(a, x, c + LANES), &rest);
            _mm512_store_si512(p, near);
            _mm512_store_si512(p + 64, rest);
        }
    }
}

/* ---- products ---- */

/* Some steps of a panel: the first of them, and how many. */
typedef struct {
    int64_t first, n;
} section;

/* Weights from some step on: the nearest numbers, and how far behind them their rests are. */
typedef struct {
    const char *p;
    int64_t rests;
} weights;

static weights weights_of(const agi_packed_conv1d_args *a, int64_t panel)
{
    const int64_t bytes = panel_bytes(a->taps, a->k);
    const char *p = head_of(a->w, panel, bytes) + HEAD_BYTES;
    return (weights){p, rests_of(a->w, panel, a->outs, bytes) - p};
}

/* What is known of a panel when the loops over it are compiled: whether its weights have rests, and
 * whether there is one block of rows, which reads each weight once. */
typedef struct {
    bool rests, one;
} shape;

INLINE void load_sums(const float *at, int64_t bytes, int64_t lower, const int R)
{
    _tile_loadd(0, at, bytes);
    _tile_loadd(1, at + 16, bytes);
    if (R > 1) _tile_loadd(2, at + lower, bytes);
    if (R > 1) _tile_loadd(3, at + lower + 16, bytes);
}

INLINE void store_sums(float *at, int64_t stride, const int R)
{
    _tile_stored(0, at, stride * 4);
    _tile_stored(1, at + 16, stride * 4);
    if (R > 1) _tile_stored(2, at + 16 * stride, stride * 4);
    if (R > 1) _tile_stored(3, at + 16 * stride + 16, stride * 4);
}

/* The j-th quarter of `lines` lines of weights, and of as many of their rests; into L1 if they are
 * needed soon. */
INLINE void ask(weights ahead, int64_t lines, int j, const shape of)
{
    const char *p = of.rests && j > 1 ? ahead.p + ahead.rests : ahead.p;
    const int part = of.rests ? j % 2 : j, parts = of.rests ? 2 : 4;
    for (int64_t l = lines * part / parts; l < lines * (part + 1) / parts; l++)
        if (of.one) _mm_prefetch(p + l * 64, _MM_HINT_T0);
        else _mm_prefetch(p + l * 64, _MM_HINT_T1);
}

/* Adds a section to the sums in tiles 0 to 3: R tiles of rows times two of outputs. Asks for
 * `lines` lines from `ahead` on in each step, some before each tile of weights, as memory has few
 * requests open at once. R and of are constants. */
INLINE void add_section(const agi_packed_conv1d_args *a, const char *x, int64_t plane, weights w,
                        section s, const int R, weights ahead, int64_t lines, const shape of)
{
    const int64_t taps = a->taps, on = a->dilation * ROW_BYTES;
    int64_t tap = s.first % taps;
    const char *p = x + s.first / taps * plane + tap * on;
    for (int64_t i = 0; i < s.n; i++, w.p += STEP_BYTES, ahead.p += lines * 64) {
        _tile_loadd(4, p + 64, ROW_BYTES); /* rest of x, nearest of w */
        if (R > 1) _tile_loadd(5, p + 16 * ROW_BYTES + 64, ROW_BYTES);
        ask(ahead, lines, 0, of);
        _tile_loadd(6, w.p, 64);
        ask(ahead, lines, 1, of);
        _tile_loadd(7, w.p + TILE, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (R > 1) _tile_dpbf16ps(2, 5, 6);
        if (R > 1) _tile_dpbf16ps(3, 5, 7);
        _tile_loadd(4, p, ROW_BYTES); /* nearest of both */
        if (R > 1) _tile_loadd(5, p + 16 * ROW_BYTES, ROW_BYTES);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (R > 1) _tile_dpbf16ps(2, 5, 6);
        if (R > 1) _tile_dpbf16ps(3, 5, 7);
        ask(ahead, lines, 2, of);
        if (of.rests) _tile_loadd(6, w.p + w.rests, 64); /* nearest of x, rest of w */
        ask(ahead, lines, 3, of);
        if (of.rests) {
            _tile_loadd(7, w.p + w.rests + TILE, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            if (R > 1) _tile_dpbf16ps(2, 5, 6);
            if (R > 1) _tile_dpbf16ps(3, 5, 7);
        }
        p += on;
        if (++tap == taps) {
            tap = 0;
            p += plane - taps * on;
        }
    }
}

/* The sums of n <= BLOCK rows to [r, r + n) of m <= STEP outputs from the o-th. */
static void leave(const agi_packed_conv1d_args *a, const float *sums, int64_t r, int64_t n,
                  int64_t o, int64_t m)
{
    float *out = a->out + r * a->out_stride + o;
    for (int64_t i = 0; i < n; i++, out += a->out_stride, sums += STEP)
        for (int64_t c = 0; c < m; c += LANES) {
            const int64_t part = m - c;
            vf s = v_load(sums + c);
            if (a->accumulate) s = v_add(part_of(out + c, part), s);
            if (part >= LANES) v_store(out + c, s);
            else v_store_part(out + c, s, part);
        }
}

/* The rows [from, to), of which x is split at `x`, of the panel of the o-th output; whether more
 * follow. One block asks for each weight a step ahead, and for the first of the next panel; many
 * ask for the next section together, while they go through this one. `of` is a constant. */
INLINE void sum_panel(const agi_packed_conv1d_args *a, const char *x, int64_t plane, int64_t from,
                      int64_t to, int64_t o, int64_t m, float *sums, bool more, const shape of)
{
    const int64_t steps = a->taps * steps_of(a->k), blocks = (to - from + BLOCK - 1) / BLOCK;
    const int64_t bytes = steps * (of.rests ? 2 * STEP_BYTES : STEP_BYTES);
    const int64_t sections = of.one ? 1 : (bytes + SECTION - 1) / SECTION;
    const int64_t lines = of.one ? STEP_BYTES / 64 : (STEP_BYTES / 64 + blocks - 1) / blocks;
    const weights w = weights_of(a, o / STEP), next = weights_of(a, o / STEP + more);
    float *bias = sums + MOST_ROWS * STEP;
    for (int j = 0; of.one && more && j < 4; j++) ask(next, lines, j, of);
    for (int64_t i = 0; i < STEP; i++) bias[i] = a->bias && i < m ? a->bias[o + i] : 0;
    for (int64_t k = 0; k < sections; k++) {
        const section s = {steps * k / sections, steps * (k + 1) / sections - steps * k / sections};
        const bool first = k == 0, last = k + 1 == sections;
        const weights now = {w.p + s.first * STEP_BYTES, w.rests};
        const int64_t wanted = of.one || !last || more ? lines : 0;
        weights ahead = next;
        if (of.one || !last) ahead = (weights){now.p + (of.one ? 1 : s.n) * STEP_BYTES, w.rests};
        for (int64_t r = from; r < to; r += BLOCK, ahead.p += wanted * 64 * s.n) {
            const char *p = x + (r - from) * ROW_BYTES;
            const int64_t n = to - r < BLOCK ? to - r : BLOCK;
            float *mine = sums + (r - from) * STEP;
            const bool direct = last && !a->accumulate && n == BLOCK && m == STEP;
            if (n > 16) {
                if (first) load_sums(bias, 0, 0, 2);
                else load_sums(mine, STEP * 4, 16 * STEP, 2);
                add_section(a, p, plane, now, s, 2, ahead, wanted, of);
                if (direct) store_sums(a->out + r * a->out_stride + o, a->out_stride, 2);
                else store_sums(mine, STEP, 2);
            } else {
                if (first) load_sums(bias, 0, 0, 1);
                else load_sums(mine, STEP * 4, 16 * STEP, 1);
                add_section(a, p, plane, now, s, 1, ahead, wanted, of);
                store_sums(mine, STEP, 1);
            }
            if (last && !direct) leave(a, mine, r, n, o, m);
        }
    }
}

/* The same, by what is known of the panel. */
static void sum_rows(const agi_packed_conv1d_args *a, const char *x, int64_t plane, int64_t from,
                     int64_t to, int64_t o, int64_t m, float *sums, bool more)
{
    const bool one = to - from <= BLOCK;
    bool rests;
    memcpy(&rests, head_of(a->w, o / STEP, panel_bytes(a->taps, a->k)), sizeof rests);
    if (rests && one) sum_panel(a, x, plane, from, to, o, m, sums, more, (shape){true, true});
    else if (rests) sum_panel(a, x, plane, from, to, o, m, sums, more, (shape){true, false});
    else if (one) sum_panel(a, x, plane, from, to, o, m, sums, more, (shape){false, true});
    else sum_panel(a, x, plane, from, to, o, m, sums, more, (shape){false, false});
}

/* What lies before the rows that are split: the sums, and which rows they are. */
typedef struct {
    float sums[SUMS_BYTES / 4];
    int64_t from, to, zero[6];
} before_rows;

static int64_t conv_scratch(const agi_packed_conv1d_args *a)
{
    const int64_t most = most_rows(a), rows = a->rows < most ? a->rows : most;
    const int64_t room = rows + (a->taps - 1) * a->dilation + 2 * BLOCK;
    return (int64_t)sizeof(before_rows) + steps_of(a->k) * room * ROW_BYTES;
}

static void conv_run(const agi_packed_conv1d_args *a, int64_t r0, int64_t r1, int64_t o0,
                     int64_t o1, void *scratch, bool again)
{
    static const struct {
        uint8_t palette, start, zero[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } tiles = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    before_rows *head = scratch;
    char *x = (char *)(head + 1);
    const int64_t past = (a->taps - 1) * a->dilation, rows = rows_at_once(a, r1 - r0);
    _tile_loadconfig(&tiles);
    for (int64_t from = r0; from < r1; from += rows) {
        const int64_t to = from + rows < r1 ? from + rows : r1;
        const int64_t plane = (to - from + past + BLOCK) * ROW_BYTES;
        if (!again || head->from != from || head->to != to)
            split_rows(a, from, to - from + past, x, plane);
        head->from = from;
        head->to = to;
        for (int64_t o = o0; o < o1; o += STEP) {
            const int64_t m = o1 - o < STEP ? o1 - o : STEP;
            sum_rows(a, x, plane, from, to, o, m, head->sums, o + STEP < o1);
        }
    }
    _tile_release();
}

static const agi_conv conv = {.size = conv_size,
                              .pack = conv_pack,
                              .panel = STEP,
                              .scratch = conv_scratch,
                              .run = conv_run,
                              .worth_rows = 256};
