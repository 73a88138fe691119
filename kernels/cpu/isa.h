/*
 * isa.h: the hot loops of the CPU kernels, one table per instruction set. The table `plain` defines
 * what they compute; the others sum in other orders and agree with it within rounding
 * (lua/argent/doctor.lua has the bound, and `argent doctor` looks).
 *
 * What each order must keep: an element's value depends on its own inputs only, never on how many
 * rows, outputs or workers there are, or on where a tile begins. Equality of batch and single row,
 * of prefill and steps, of one pass and stream, of one thread and two rests on it, bit for bit.
 */
#ifndef ARGENT_KERNELS_CPU_ISA_H
#define ARGENT_KERNELS_CPU_ISA_H

#include "../../runtime/ops.h"
#include "blocks.h"

/* Keys or values of one head, as attention keeps them: n of d elements of AG_F32 or AG_BF16, each
 * `stride` elements behind the one before; and how many query heads read them. */
typedef struct {
    const void *p;
    int dtype, heads;
    int64_t n, d, stride;
} agi_kept;

/* Convolutions over weights that lie in the table's own order, see packed_conv1d in ops.def. */
typedef struct {
    /* Floats that the packed weights take. */
    int64_t (*size)(int64_t outs, int64_t taps, int64_t channels);
    int64_t panel; /* outputs that are packed, and dealt out to workers, together */
    /* The panel-th of `outs` outputs, whose weights [panel, taps, channels] are at w, to its place
     * behind `out`. */
    void (*pack)(float *out, const float *w, int64_t outs, int64_t taps, int64_t channels,
                 int64_t panel);
    int64_t (*scratch)(const agi_packed_conv1d_args *a); /* bytes that run needs */
    /* The outputs [o0, o1), of whole panels, of rows [r0, r1). `again`: scratch is as another part
     * of the same op has left it. */
    void (*run)(const agi_packed_conv1d_args *a, int64_t r0, int64_t r1, int64_t o0, int64_t o1,
                void *scratch, bool again);
    int64_t worth_rows; /* so many are worth another pass through the weights */
} agi_conv;

typedef struct agi_isa {
    const char *name;
    const agi_blocks *blocks; /* products of quantised weights */
    /* The outputs [o0, o1) of rows [r0, r1) of a product. */
    void (*dot)(const agi_linear_args *a, int64_t r0, int64_t r1, int64_t o0, int64_t o1);

    /* out = x / sqrt(mean(x^2) + eps) * w; out may be x. */
    void (*rms_norm)(float *out, const float *x, const float *w, int64_t n, float eps);
    void (*layer_norm)(float *out, const float *x, const float *w, const float *b, int64_t n,
                       float eps);

    /* Of each of k.heads query heads h: s[h * s_row + i] = scale * q[h * q_row ..] . k[i]. */
    void (*scores)(float *s, int64_t s_row, const float *q, int64_t q_row, const agi_kept *k,
                   float scale);
    /* s = e^(s - max s), returns the sum; the division is left to mix's caller. */
    float (*softmax)(float *s, int64_t n);
    /* Of each of v.heads query heads h: out[h * out_row + c] += sum_i p[h * p_row + i] * v[i][c],
     * added in the order of i. */
    void (*mix)(float *out, int64_t out_row, const float *p, int64_t p_row, const agi_kept *v);
    /* s[i] = sum_c (x[c] - rows[i * stride + c])^2, i < n; d elements each. */
    void (*distances)(float *s, const float *x, const float *rows, int64_t stride, int64_t n,
                      int64_t d);

    void (*silu)(float *out, const float *x, int64_t n);
    void (*silu_mul)(float *out, const float *gate, const float *up, int64_t n);
    void (*gelu)(float *out, const float *x, int64_t n);
    void (*elu)(float *out, const float *x, int64_t n);
    void (*snake)(float *out, const float *x, const float *alpha, const float *inv_beta, int64_t n);
    /* out[c] = bias[c] + sum_{j < taps} x[j * x_stride + c] * w[j * n + c]; bias may be NULL. */
    void (*depthwise)(float *out, const float *x, int64_t x_stride, const float *w,
                      const float *bias, int64_t taps, int64_t n);
    const agi_conv *conv;
} agi_isa;

/* Defines the table of an instruction set from the static functions of its file, which are named
 * as the slots are; the products of quantised weights are those of `quantized`. */
#define AGI_ISA_TABLE(isa, quantized)                                                              \
    const agi_isa agi_isa_##isa = {.name = #isa,                                                   \
                                   .blocks = &agi_blocks_##quantized,                              \
                                   .dot = dot,                                                     \
                                   .rms_norm = rms_norm,                                           \
                                   .layer_norm = layer_norm,                                       \
                                   .scores = scores,                                               \
                                   .softmax = softmax,                                             \
                                   .mix = mix,                                                     \
                                   .distances = distances,                                         \
                                   .silu = silu,                                                   \
                                   .silu_mul = silu_mul,                                           \
                                   .gelu = gelu,                                                   \
                                   .elu = elu,                                                     \
                                   .snake = snake,                                                 \
                                   .depthwise = depthwise,                                         \
                                   .conv = &conv}

extern const agi_isa agi_isa_plain;
#if defined(__x86_64__)
extern const agi_isa agi_isa_avx2;
extern const agi_isa agi_isa_avx512;
extern const agi_isa agi_isa_avx2vnni;
extern const agi_isa agi_isa_avx512vnni;
extern const agi_isa agi_isa_amx;
#elif defined(__aarch64__)
extern const agi_isa agi_isa_neon;
extern const agi_isa agi_isa_neondot;
#endif

/* The i-th table of this build by name, from plain, 0, to the fastest; NULL beyond. */
const char *agi_isa_name(int i);
/* NULL when this build or this CPU does not have it. */
const agi_isa *agi_isa_find(const char *name);
const agi_isa *agi_isa_best(void);

#endif
