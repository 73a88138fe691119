/*
 * loops_simd.h: norms, attention and activations over the vocabulary of simd_*.h. Functions of one
 * variable run full vectors, then one part of a vector with zeros in its missing lanes, so that an
 * element does not depend on where it stands.
 */
#include "isa.h"

#include <math.h>
#include <stdbool.h>

/* ---- functions ---- */

/* x = *n * ln 2 + *r with |*r| < 0.35, for x in [-87.34, 88.38]; returns p such that e^r = 1 + r +
 * p r^2. Cephes' reduction and polynomial. */
INLINE vf v_exp_parts(vf x, vf *n, vf *r)
{
    *n = v_round(v_mul(x, v_set(1.44269504f)));
    *r = v_fnma(*n, v_set(0.693359375f), x);
    *r = v_fnma(*n, v_set(-2.12194440e-4f), *r);
    vf p = v_set(1.9875691500e-4f);
    p = v_fma(p, *r, v_set(1.3981999507e-3f));
    p = v_fma(p, *r, v_set(8.3334519073e-3f));
    p = v_fma(p, *r, v_set(4.1665795894e-2f));
    p = v_fma(p, *r, v_set(1.6666665459e-1f));
    return v_fma(p, *r, v_set(5.0000001201e-1f));
}

/* e^x to about 1 ulp; 0 below -87.34, e^88.37 above, NaN for NaN. */
INLINE vf v_exp(vf x)
{
    const vf low = v_set(-87.33654f);
    vf n, r, p = v_exp_parts(v_min(v_set(88.37626f), v_max(low, x)), &n, &r);
    p = v_fma(p, v_mul(r, r), v_add(r, v_set(1)));
    return v_zero_below(v_scale2(p, n), x, low);
}

/* e^x - 1 for x <= 0, to about 2 ulp also where x is small; NaN for NaN. */
INLINE vf v_expm1(vf x)
{
    vf n, r, p = v_exp_parts(v_max(v_set(-87.33654f), x), &n, &r), scale = v_scale2(v_set(1), n);
    return v_fma(v_fma(p, v_mul(r, r), r), scale, v_sub(scale, v_set(1)));
}

/* erf to 1.5e-7 absolute: Abramowitz and Stegun 7.1.26. */
INLINE vf v_erf(vf x)
{
    vf a = v_abs(x), t = v_div(v_set(1), v_fma(a, v_set(0.3275911f), v_set(1)));
    vf p = v_set(1.061405429f);
    p = v_fma(p, t, v_set(-1.453152027f));
    p = v_fma(p, t, v_set(1.421413741f));
    p = v_fma(p, t, v_set(-0.284496736f));
    p = v_fma(p, t, v_set(0.254829592f));
    vf e = v_exp(v_fnma(a, a, v_zero()));
    return v_with_sign(v_fnma(v_mul(p, t), e, v_set(1)), x);
}

/* sin(x)^2, by reduction to [-pi/2, pi/2] (the square forgets the sign of the half turn). Accurate
 * for |x| up to about 1e5, bounded beyond. */
INLINE vf v_sin_squared(vf x)
{
    vf n = v_round(v_mul(x, v_set(0.318309886f)));
    vf r = v_fnma(n, v_set(3.140625f), x);
    r = v_fnma(n, v_set(9.67502593994140625e-4f), r);
    r = v_fnma(n, v_set(1.509957990978376432e-7f), r);
    r = v_min(v_set(1.5708f), v_max(v_set(-1.5708f), r));
    vf q = v_mul(r, r), p = v_set(2.6083159809786593e-6f);
    p = v_fma(p, q, v_set(-1.981069071916863e-4f));
    p = v_fma(p, q, v_set(8.33307858556509e-3f));
    p = v_fma(p, q, v_set(-1.6666659712791443e-1f));
    vf s = v_fma(v_mul(q, r), p, r);
    return v_mul(s, s);
}

/* ---- activations ---- */

/* Runs `expression` of x (the input at i) for every i; load(p) reads another array at i. */
#define EACH(n, out, expression)                                                                   \
    do {                                                                                           \
        int64_t i = 0;                                                                             \
        for (; i + LANES <= (n); i += LANES) {                                                     \
            const int64_t part = LANES;                                                            \
            v_store((out) + i, (expression));                                                      \
            (void)part;                                                                            \
        }                                                                                          \
        if (i < (n)) {                                                                             \
            const int64_t part = (n)-i;                                                            \
            v_store_part((out) + i, (expression), part);                                           \
        }                                                                                          \
    } while (0)
#define AT(p) (part == LANES ? v_load((p) + i) : v_load_part((p) + i, part))

INLINE vf v_silu(vf x) { return v_div(x, v_add(v_set(1), v_exp(v_sub(v_zero(), x)))); }

INLINE vf v_gelu(vf x)
{
    return v_mul(v_mul(v_set(0.5f), x), v_add(v_set(1), v_erf(v_mul(x, v_set(0.70710678f)))));
}

/* max(x, 0) + (e^min(x, 0) - 1): one of the two is zero. */
INLINE vf v_elu(vf x) { return v_add(v_max(v_zero(), x), v_expm1(v_min(v_zero(), x))); }

INLINE vf v_snake(vf x, vf alpha, vf inv_beta)
{
    return v_fma(v_sin_squared(v_mul(alpha, x)), inv_beta, x);
}

static void silu(float *out, const float *x, int64_t n) { EACH(n, out, v_silu(AT(x))); }

static void silu_mul(float *out, const float *gate, const float *up, int64_t n)
{
    EACH(n, out, v_mul(v_silu(AT(gate)), AT(up)));
}

static void gelu(float *out, const float *x, int64_t n) { EACH(n, out, v_gelu(AT(x))); }

static void elu(float *out, const float *x, int64_t n) { EACH(n, out, v_elu(AT(x))); }

static void snake(float *out, const float *x, const float *alpha, const float *inv_beta, int64_t n)
{
    EACH(n, out, v_snake(AT(x), AT(alpha), AT(inv_beta)));
}

static void depthwise(float *out, const float *x, int64_t x_stride, const float *w,
                      const float *bias, int64_t taps, int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES) {
        const int64_t part = n - i < LANES ? n - i : LANES;
        vf s = v_zero();
        for (int64_t j = 0; j < taps; j++) s = v_fma(AT(x + j * x_stride), AT(w + j * n), s);
        if (bias) s = v_add(s, AT(bias));
        if (part == LANES) v_store(out + i, s);
        else v_store_part(out + i, s, part);
    }
}

/* ---- norms ---- */

/* The sum of f over four accumulators, in an order that n alone decides. */
#define SUM(n, total, expression)                                                                  \
    do {                                                                                           \
        vf acc[4] = {v_zero(), v_zero(), v_zero(), v_zero()};                                      \
        for (int64_t i = 0, turn = 0; i < (n); i += LANES, turn++) {                               \
            const int64_t part = (n)-i < LANES ? (n)-i : LANES;                                    \
            acc[turn & 3] = v_add(acc[turn & 3], (expression));                                    \
        }                                                                                          \
        total = v_sum(v_add(v_add(acc[0], acc[1]), v_add(acc[2], acc[3])));                        \
    } while (0)

INLINE vf v_square(vf x) { return v_mul(x, x); }

static void rms_norm(float *out, const float *x, const float *w, int64_t n, float eps)
{
    float sum;
    SUM(n, sum, v_square(AT(x)));
    const vf scale = v_set(1 / sqrtf(sum / (float)n + eps));
    EACH(n, out, v_mul(v_mul(AT(x), scale), AT(w)));
}

/* x - mean, but zero in the lanes that are not there. */
INLINE vf v_centred(vf x, vf mean, int64_t part)
{
    vf c = v_sub(x, mean);
    return part == LANES ? c : v_keep_part(c, v_zero(), part);
}

static void layer_norm(float *out, const float *x, const float *w, const float *b, int64_t n,
                       float eps)
{
    float sum, squares;
    SUM(n, sum, AT(x));
    const vf mean = v_set(sum / (float)n);
    SUM(n, squares, v_square(v_centred(AT(x), mean, part)));
    const vf scale = v_set(1 / sqrtf(squares / (float)n + eps));
    EACH(n, out, v_fma(v_mul(v_sub(AT(x), mean), scale), AT(w), AT(b)));
}

/* ---- attention ---- */

/* Elements i .. i + part of keys or values; dtype is a constant wherever this is inlined. */
INLINE vf v_kept(const void *p, int64_t i, int64_t part, const int dtype)
{
    if (dtype == AG_BF16) {
        const uint16_t *h = (const uint16_t *)p + i;
        return part == LANES ? v_load_bf16(h) : v_load_bf16_part(h, part);
    }
    const float *f = (const float *)p + i;
    return part == LANES ? v_load(f) : v_load_part(f, part);
}

/* H heads with K keys from the first-th on: memory gives a key once, however many heads read it. */
INLINE void score4(float *s, int64_t s_row, const float *q, int64_t q_row, const agi_kept *k,
                   int64_t first, float scale, const int H, const int K, const int dtype)
{
    vf acc[2][4];
    for (int h = 0; h < H; h++)
        for (int j = 0; j < 4; j++) acc[h][j] = v_zero();
    for (int64_t i = 0; i < k->d; i += LANES) {
        const int64_t part = k->d - i < LANES ? k->d - i : LANES;
        vf qv[2];
        for (int h = 0; h < H; h++) qv[h] = AT(q + h * q_row);
        for (int j = 0; j < K; j++) {
            const vf key = v_kept(k->p, (first + j) * k->stride + i, part, dtype);
            for (int h = 0; h < H; h++) acc[h][j] = v_fma(qv[h], key, acc[h][j]);
        }
    }
    for (int h = 0; h < H; h++) {
        float four[4];
        v4_store(four, v_sum4(acc[h][0], acc[h][1], acc[h][2], acc[h][3]));
        for (int j = 0; j < K; j++) s[h * s_row + first + j] = scale * four[j];
    }
}

INLINE void score(float *s, int64_t s_row, const float *q, int64_t q_row, const agi_kept *k,
                  float scale, const int H, const int dtype)
{
    int64_t i = 0;
    for (; i + 4 <= k->n; i += 4) score4(s, s_row, q, q_row, k, i, scale, H, 4, dtype);
    for (; i < k->n; i++) score4(s, s_row, q, q_row, k, i, scale, H, 1, dtype);
}

static void scores(float *s, int64_t s_row, const float *q, int64_t q_row, const agi_kept *k,
                   float scale)
{
    for (int h = 0; h < k->heads; h += 2) {
        float *to = s + h * s_row;
        const float *of = q + h * q_row;
        const bool two = h + 1 < k->heads;
        if (k->dtype == AG_BF16 && two) score(to, s_row, of, q_row, k, scale, 2, AG_BF16);
        else if (k->dtype == AG_BF16) score(to, s_row, of, q_row, k, scale, 1, AG_BF16);
        else if (two) score(to, s_row, of, q_row, k, scale, 2, AG_F32);
        else score(to, s_row, of, q_row, k, scale, 1, AG_F32);
    }
}

static float softmax(float *s, int64_t n)
{
    vf top = v_set(-INFINITY);
    for (int64_t i = 0; i < n; i += LANES) {
        const int64_t part = n - i < LANES ? n - i : LANES;
        vf x = part == LANES ? v_load(s + i) : v_keep_part(v_load_part(s + i, part), top, part);
        top = v_max(top, x);
    }
    const vf max = v_set(v_hmax(top));
    vf sum = v_zero();
    for (int64_t i = 0; i < n; i += LANES) {
        const int64_t part = n - i < LANES ? n - i : LANES;
        vf e = v_exp(v_sub(AT(s), max));
        if (part == LANES) {
            v_store(s + i, e);
            sum = v_add(sum, e);
        } else {
            v_store_part(s + i, e, part);
            sum = v_add(sum, v_keep_part(e, v_zero(), part));
        }
    }
    return v_sum(sum);
}

/* V vectors of H heads' out from c on, the last of `part` lanes. */
INLINE void mix_block(float *out, int64_t out_row, const float *p, int64_t p_row, const agi_kept *v,
                      int64_t c, const int H, const int V, int64_t part, const int dtype)
{
    vf acc[2][8];
    for (int h = 0; h < H; h++)
        for (int j = 0; j < V; j++) {
            const int64_t i = c + j * LANES;
            acc[h][j] = AT(out + h * out_row);
        }
    for (int64_t r = 0; r < v->n; r++) {
        vf weight[2];
        for (int h = 0; h < H; h++) weight[h] = v_set(p[h * p_row + r]);
        for (int j = 0; j < V; j++) {
            const vf value = v_kept(v->p, r * v->stride + c + j * LANES, part, dtype);
            for (int h = 0; h < H; h++) acc[h][j] = v_fma(weight[h], value, acc[h][j]);
        }
    }
    for (int h = 0; h < H; h++)
        for (int j = 0; j < V; j++) {
            float *to = out + h * out_row + c + j * LANES;
            if (part == LANES) v_store(to, acc[h][j]);
            else v_store_part(to, acc[h][j], part);
        }
}

/* As many vectors at a time as there are registers for their sums. */
INLINE void mix_heads(float *out, int64_t out_row, const float *p, int64_t p_row, const agi_kept *v,
                      const int H, const int dtype)
{
    const int most = 8 * LANES / H, half = 4 * LANES / H;
    int64_t c = 0;
    for (; c + most <= v->d; c += most)
        mix_block(out, out_row, p, p_row, v, c, H, most / LANES, LANES, dtype);
    for (; c + half <= v->d; c += half)
        mix_block(out, out_row, p, p_row, v, c, H, half / LANES, LANES, dtype);
    for (; c + LANES <= v->d; c += LANES)
        mix_block(out, out_row, p, p_row, v, c, H, 1, LANES, dtype);
    if (c < v->d) mix_block(out, out_row, p, p_row, v, c, H, 1, v->d - c, dtype);
}

static void mix(float *out, int64_t out_row, const float *p, int64_t p_row, const agi_kept *v)
{
    for (int h = 0; h < v->heads; h += 2) {
        float *to = out + h * out_row;
        const float *of = p + h * p_row;
        const bool two = h + 1 < v->heads;
        if (v->dtype == AG_BF16 && two) mix_heads(to, out_row, of, p_row, v, 2, AG_BF16);
        else if (v->dtype == AG_BF16) mix_heads(to, out_row, of, p_row, v, 1, AG_BF16);
        else if (two) mix_heads(to, out_row, of, p_row, v, 2, AG_F32);
        else mix_heads(to, out_row, of, p_row, v, 1, AG_F32);
    }
}

/* ---- nearest ---- */

INLINE void distance4(float *s, const float *x, const float *rows, int64_t stride, int64_t d,
                      const int K)
{
    vf acc[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    for (int64_t i = 0; i < d; i += LANES) {
        const int64_t part = d - i < LANES ? d - i : LANES;
        vf xv = AT(x);
        for (int j = 0; j < K; j++) {
            vf gap = v_sub(xv, AT(rows + j * stride));
            acc[j] = v_fma(gap, gap, acc[j]);
        }
    }
    float four[4];
    v4_store(four, v_sum4(acc[0], acc[1], acc[2], acc[3]));
    for (int j = 0; j < K; j++) s[j] = four[j];
}

static void distances(float *s, const float *x, const float *rows, int64_t stride, int64_t n,
                      int64_t d)
{
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) distance4(s + i, x, rows + i * stride, stride, d, 4);
    for (; i < n; i++) distance4(s + i, x, rows + i * stride, stride, d, 1);
}
