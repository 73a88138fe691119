/* ops.h: the argument structs that validated ops hand to kernels. Kernels trust them: shapes
 * agree, strides are in elements, memory is committed (but for attention caches, whose
 * `committed` is read when the op runs). `rows of n` is {pointer, rows, stride}. */
#ifndef ARGENT_OPS_H
#define ARGENT_OPS_H

#include "argent.h"
#include "dtype.h"

typedef struct {
    char *p;
    int64_t rows, stride;
} agi_rows;

/* Packed weights are panels of AGI_PANEL rows, each panel its chunks of AGI_CHUNK columns one after
 * the other, so that a product reads memory in one line (see the op pack). */
enum { AGI_PANEL = 16, AGI_CHUNK = 32 };

/* A matrix of weights: rows of numbers of a kind, `stride` of them from row to row, or packed. A
 * kind that is quantised in blocks has the blocks' scales in a plane of their own; the others have
 * none. */
typedef struct {
    const void *p;
    const uint16_t *scale; /* f16; NULL: none */
    enum agi_weight_kind kind;
    int64_t stride, scale_stride;
    int64_t chunks; /* of a panel; 0: not packed */
} agi_weight;

/* ---- elementwise and movement ---- */
typedef struct {
    char *out;
    const char *x;
    int out_dtype, x_dtype, ndim;
    int64_t shape[AG_MAX_DIMS], out_stride[AG_MAX_DIMS], x_stride[AG_MAX_DIMS];
} agi_copy_args;

typedef struct {
    char *out;
    int dtype, ndim;
    int64_t shape[AG_MAX_DIMS], stride[AG_MAX_DIMS];
    double value;
} agi_fill_args;

/* b_stride 0: the same row is added to every row of a. */
typedef struct {
    float *out, *a, *b;
    int64_t rows, n, out_stride, a_stride, b_stride;
    float alpha;
} agi_add_args;
typedef agi_add_args agi_mul_args; /* alpha unused */

/* out = f(x): affine (p = scale, q = shift), clamp (p = lo, q = hi), and silu, gelu, elu, sigmoid,
 * tanh. */
typedef struct {
    float *out, *x;
    int64_t rows, n, out_stride, x_stride;
    float p, q;
} agi_unary_args;
typedef agi_unary_args agi_affine_args, agi_clamp_args, agi_silu_args, agi_gelu_args;
typedef agi_unary_args agi_elu_args, agi_sigmoid_args, agi_tanh_args;

typedef struct {
    float *out, *gate, *up;
    int64_t rows, n, out_stride, gate_stride, up_stride;
} agi_silu_mul_args;

typedef struct {
    float *out, *x, *alpha, *inv_beta;
    int64_t rows, n, out_stride, x_stride;
} agi_snake_args;

/* Which slot a row is: p[r * stride], or r where p is NULL. */
typedef struct {
    const int32_t *p;
    int64_t stride, count; /* slots that there are */
} agi_slots;

/* n elements x[slot * stride]; limit_stride 0: one limit for all; limit NULL: none. */
typedef struct {
    int32_t *x, *limit;
    int64_t n, stride, limit_stride;
    agi_slots slots;
    int32_t by;
} agi_advance_args;

/* ---- products ---- */
/* out[r * out_stride + o] = bias[o] + sum over taps j < taps and c < k of x[r * x_stride + j *
 * x_tap + c] * w[o * w.stride + j * k + c]. A linear layer has one tap; a convolution has K taps of
 * C channels. bias may be NULL. */
typedef struct {
    float *out, *x, *bias;
    agi_weight w;
    int64_t rows, outs, k, out_stride, x_stride, taps, x_tap;
} agi_linear_args;
typedef agi_linear_args agi_conv1d_args;

typedef struct {
    float *out, *x, *w, *bias;
    int64_t rows, n, taps, out_stride, x_stride;
} agi_depthwise_conv1d_args;

/* w [outs, k], rows `stride` elements apart, as packed weights; or codes, of which k are in a row,
 * or scales, of which k are for a row. */
enum agi_packing { AGI_PACK_DENSE, AGI_PACK_Q8, AGI_PACK_Q4, AGI_PACK_SCALES };
typedef struct {
    char *out;
    const char *w;
    enum agi_packing packing;
    int out_dtype, w_dtype;
    int64_t outs, k, stride;
} agi_pack_args;

/* Codes of w [outs, k], q8 or q4, and a scale for each block of AGI_CHUNK columns. */
typedef struct {
    char *code;
    uint16_t *scale;
    const char *w;
    int w_dtype;
    enum agi_weight_kind kind;
    int64_t outs, k, stride, code_stride, scale_stride; /* code_stride in bytes */
} agi_quantize_args;

/* w [outs, taps, k] is contiguous. */
typedef struct {
    float *out;
    const char *w;
    int w_dtype;
    int64_t outs, taps, k;
} agi_pack_conv1d_args;

/* w lies as pack_conv1d leaves it. bias, alpha and inv_beta may be NULL, the last two together. */
typedef struct {
    float *out, *x, *w, *bias, *alpha, *inv_beta;
    int64_t rows, outs, taps, k, dilation, period, out_stride, x_stride;
    int accumulate;
} agi_packed_conv1d_args;

/* ---- norms ---- */
typedef struct {
    float *out, *x, *w, *add, *scale; /* add, scale may be NULL */
    int64_t rows, n, out_stride, x_stride, add_stride;
    float eps;
} agi_rms_norm_args;

typedef struct {
    float *out, *x, *w, *b;
    int64_t rows, n, out_stride, x_stride;
    float eps;
} agi_layer_norm_args;

typedef struct {
    float *out, *x, *logits; /* logits may be NULL: equal weights */
    int64_t outs, rows, n;   /* outs 1: means; 2: deviations too */
    int64_t out_stride, x_stride, logits_stride;
    float floor;
} agi_pool_args;

/* ---- tokens ---- */
/* The word of row r is p[r * stride]; p NULL: a fault fails the op. */
typedef struct {
    int32_t *p;
    int64_t stride;
} agi_row_faults;

typedef struct {
    float *out;
    int32_t *ids;
    agi_weight table; /* of group 0; the others follow, each group_stride behind the one before */
    agi_row_faults faults;
    int accumulate;
    int64_t rows, n, groups, vocab; /* groups 1 for a plain table */
    int64_t out_stride, group_stride, ids_row, ids_group;
} agi_embedding_args;

typedef struct {
    int32_t *out;
    float *x, *table;
    int64_t rows, n, vocab, out_stride, x_stride, table_stride;
} agi_nearest_args;

typedef struct {
    int32_t *out, *key, *seen; /* seen may be NULL */
    float *logits, *params;
    int64_t rows, vocab, out_stride, logits_stride, key_stride, params_stride, seen_stride;
    agi_row_faults faults;
    int32_t settings; /* of each row: 4, or 5 with min-p */
    int32_t group, suppress_from, eos, minimum;
} agi_sample_args;

/* ---- attention ---- */
typedef struct {
    float *out, *inv_freq;
    int32_t *pos;
    agi_slots slots;
    int64_t rows, steps, half, pos_stride; /* out is contiguous [rows, steps, 2 * half] */
} agi_rope_angles_args;

/* [R, T, H, d] tensors: element (r, t, h, c) at r * row + t * step + h * head + c. */
typedef struct {
    float *p;
    int64_t row, step, head;
} agi_heads;

/* [slots, blocks, 2^shift, K, d], see kernels/cache.h; only the first committed[slot] bytes after
 * base + slot * slot_bytes exist. */
typedef struct {
    char *p;
    int dtype;                        /* AG_F32 or AG_BF16 */
    int64_t slot, block, place, head; /* strides in bytes */
    int64_t slot_bytes;
    const int64_t *committed; /* NULL: all exists */
    const char *base;
    int shift;
} agi_cache;

typedef struct {
    agi_heads q, k, v;
    agi_cache k_cache, v_cache;
    float *angles, *q_norm, *k_norm; /* angles contiguous [R, T, d]; norms may be NULL */
    int32_t *pos;
    agi_slots slots;
    int64_t rows, steps, q_heads, kv_heads, d, capacity, pos_stride;
    float eps;
} agi_rope_append_args;

typedef struct {
    agi_heads out, q;
    agi_cache k_cache, v_cache;
    int32_t *pos;
    agi_slots slots;
    int64_t rows, steps, q_heads, kv_heads, d, capacity, window, pos_stride;
    float scale;
} agi_attention_args;

/* out.p + r * out.row + h * out.head + t * out.step: `keys` weights; v_cache is not used. */
typedef struct {
    agi_attention_args of;
    int64_t keys;
} agi_attention_probs_args;

/* ---- lines ---- */
/* `count` lines of n elements: the last dimension, and the ndim dimensions before it. */
typedef struct {
    int64_t n, count, shape[AG_MAX_DIMS];
    int ndim;
} agi_lines;

/* Where a tensor has them: `step` elements from one of a line to the next. */
typedef struct {
    char *p;
    int64_t step, stride[AG_MAX_DIMS];
} agi_lined;

typedef struct {
    agi_lines lines;
    agi_lined out, x;
    int how, dtype; /* of x */
} agi_map_args;

typedef struct {
    agi_lines lines;
    agi_lined out, a, b;
    int how;
} agi_combine_args;

typedef struct {
    agi_lines lines;
    agi_lined out, mask, a, b;
} agi_where_args;

/* lines are those of x; how is an ag_reduce, of softmax whether it is the logarithm. */
typedef struct {
    agi_lines lines;
    agi_lined out, x;
    int how;
} agi_reduce_args;
typedef agi_reduce_args agi_softmax_args, agi_cumsum_args;

typedef struct {
    agi_lines lines;
    agi_lined out, ids, x;
    int64_t k;
    int32_t descending, first;
} agi_sort_args;

/* lines are those of ids; x has n elements in each. */
typedef struct {
    agi_lines lines;
    agi_lined out, x, ids;
    int64_t n, size; /* bytes of an element */
    int32_t first;
} agi_gather_args;

typedef struct {
    agi_lines lines;
    agi_lined out;
    const int32_t *key;
    int64_t key_stride;
    int normal;
} agi_random_args;

/* A matrix of each batch: `row` elements from one row to the next, `col` within one. */
typedef struct {
    char *p;
    int64_t row, col, batch[AG_MAX_DIMS];
    int dtype;
} agi_matrix;

/* out [m, n] = alpha a [m, k] b [k, n] + beta out; `batches` of the ndim dimensions `shape`. */
typedef struct {
    agi_matrix out, a, b;
    int64_t m, n, k, batches, shape[AG_MAX_DIMS];
    int ndim;
    float alpha, beta;
    const struct agi_blas *blas; /* blas.h; NULL: none, or not on the CPU */
} agi_matmul_args;

#endif
