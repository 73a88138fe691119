/*
 * lines.h: what the ops on lines (runtime/ops.def) compute, once for the kernels of both backends:
 * of an element, or of a whole line, which one thread goes along from its first element to its
 * last.
 */
#ifndef ARGENT_KERNELS_LINES_H
#define ARGENT_KERNELS_LINES_H

#include "philox.h"
#include "../runtime/ops.h"

#include <math.h>
#include <stdbool.h>

/* How many elements after the tensor's first one a line begins. */
AGI_BOTH int64_t agi_line_at(const agi_lines *l, const agi_lined *t, int64_t line)
{
    int64_t at = 0;
    for (int d = l->ndim - 1; d >= 0; line /= l->shape[d], d--)
        at += line % l->shape[d] * t->stride[d];
    return at;
}

AGI_BOTH float *agi_line_f32(const agi_lines *l, const agi_lined *t, int64_t line)
{
    return (float *)(void *)t->p + agi_line_at(l, t, line);
}

/* ---- elements ---- */

AGI_BOTH float agi_map_value(int how, float x)
{
    switch (how) {
    case AG_MAP_EXP: return expf(x);
    case AG_MAP_LOG: return logf(x);
    case AG_MAP_SQRT: return sqrtf(x);
    case AG_MAP_ABS: return fabsf(x);
    default: return x;
    }
}

/* Element i of a tensor of floats or whole numbers. */
AGI_BOTH float agi_map_load(const char *p, int dtype, int64_t i)
{
    switch (dtype) {
    case AG_I32: return (float)((const int32_t *)(const void *)p)[i];
    case AG_I8: return (float)((const int8_t *)p)[i];
    case AG_U8: return (float)((const uint8_t *)p)[i];
    default: return ((const float *)(const void *)p)[i];
    }
}

AGI_BOTH float agi_combine_value(int how, float a, float b)
{
    switch (how) {
    case AG_COMBINE_DIV: return a / b;
    case AG_COMBINE_POW: return powf(a, b);
    case AG_COMBINE_EQ: return a == b ? 1.0f : 0.0f;
    case AG_COMBINE_NE: return a != b ? 1.0f : 0.0f;
    case AG_COMBINE_GT: return a > b ? 1.0f : 0.0f;
    default: return a >= b ? 1.0f : 0.0f;
    }
}

/* Number i of the key: four come from one counter, two normal ones from two uniform ones. The last
 * word of the counter is 0 in the draws of `sample`, and never here. */
AGI_BOTH float agi_random_value(const agi_random_args *a, int64_t i)
{
    const int32_t *k = a->key;
    const int64_t s = a->key_stride, block = i / 4;
    const uint32_t key[2] = {(uint32_t)k[0], (uint32_t)k[s]};
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)k[2 * s], (uint32_t)k[3 * s],
                                 1 + (uint32_t)(block >> 32)};
    uint32_t words[4];
    agi_philox(words, counter, key);
    if (!a->normal) return (float)agi_philox_uniform(words[i % 4]);
    const double radius = sqrt(-2 * log(1 - agi_philox_uniform(words[i % 4 / 2 * 2])));
    const double angle = 6.283185307179586 * agi_philox_uniform(words[i % 4 / 2 * 2 + 1]);
    return (float)(radius * (i % 2 ? sin(angle) : cos(angle)));
}

/* ---- lines ---- */

AGI_BOTH double agi_line_sum(const float *x, int64_t step, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i * step];
    return sum;
}

AGI_BOTH double agi_line_squares(const float *x, int64_t step, int64_t n, double shift)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)x[i * step] - shift;
        sum += v * v;
    }
    return sum;
}

AGI_BOTH void agi_reduce_line(const agi_reduce_args *a, int64_t line)
{
    const float *x = agi_line_f32(&a->lines, &a->x, line);
    const int64_t n = a->lines.n, step = a->x.step;
    const double count = (double)n;
    double v;
    switch (a->how) {
    case AG_REDUCE_SUM: v = agi_line_sum(x, step, n); break;
    case AG_REDUCE_MEAN: v = agi_line_sum(x, step, n) / count; break;
    case AG_REDUCE_NORM: v = sqrt(agi_line_squares(x, step, n, 0)); break;
    default: {
        const double mean = agi_line_sum(x, step, n) / count;
        v = agi_line_squares(x, step, n, mean) / (a->how == AG_REDUCE_VAR ? count - 1 : count);
    }
    }
    *agi_line_f32(&a->lines, &a->out, line) = (float)v;
}

AGI_BOTH void agi_softmax_line(const agi_softmax_args *a, int64_t line)
{
    const float *x = agi_line_f32(&a->lines, &a->x, line);
    float *out = agi_line_f32(&a->lines, &a->out, line), top = -INFINITY;
    const int64_t n = a->lines.n, step = a->x.step;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (x[i * step] > top) top = x[i * step];
    for (int64_t i = 0; i < n; i++) sum += (double)expf(x[i * step] - top);
    const float rest = (float)log(sum);
    for (int64_t i = 0; i < n; i++) {
        const float v = x[i * step] - top;
        out[i * a->out.step] = a->how ? v - rest : (float)((double)expf(v) / sum);
    }
}

AGI_BOTH void agi_cumsum_line(const agi_cumsum_args *a, int64_t line)
{
    const float *x = agi_line_f32(&a->lines, &a->x, line);
    float *out = agi_line_f32(&a->lines, &a->out, line);
    double sum = 0;
    for (int64_t i = 0; i < a->lines.n; i++) {
        sum += (double)x[i * a->x.step];
        out[i * a->out.step] = (float)sum;
    }
}

/* ---- sort ---- */

/* A line's k best so far, in out and ids. */
typedef struct {
    float *v;
    int32_t *id;
    int64_t v_step, id_step;
    bool descending;
} agi_heap;

AGI_BOTH bool agi_less(float a, float b) { return a < b || (b != b && a == a); }

/* Whether (a, i) comes before (b, j). */
AGI_BOTH bool agi_sorts_before(bool descending, float a, int32_t i, float b, int32_t j)
{
    if (descending ? agi_less(b, a) : agi_less(a, b)) return true;
    if (descending ? agi_less(a, b) : agi_less(b, a)) return false;
    return i < j;
}

/* Puts an element into a heap of n whose last one is on top, from place `at` downwards. */
AGI_BOTH void agi_heap_sink(const agi_heap *h, int64_t n, int64_t at, float v, int32_t id)
{
    for (;;) {
        int64_t child = 2 * at + 1;
        if (child >= n) break;
        const int64_t next = child + 1;
        if (next < n &&
            agi_sorts_before(h->descending, h->v[child * h->v_step], h->id[child * h->id_step],
                             h->v[next * h->v_step], h->id[next * h->id_step]))
            child = next;
        const float w = h->v[child * h->v_step];
        const int32_t j = h->id[child * h->id_step];
        if (!agi_sorts_before(h->descending, v, id, w, j)) break;
        h->v[at * h->v_step] = w;
        h->id[at * h->id_step] = j;
        at = child;
    }
    h->v[at * h->v_step] = v;
    h->id[at * h->id_step] = id;
}

/* A heap of k elements takes in the line, each that comes before its last one in place of that;
 * then its last one goes to the end, again and again. It needs no memory beside out and ids. */
AGI_BOTH void agi_sort_line(const agi_sort_args *a, int64_t line)
{
    const float *x = agi_line_f32(&a->lines, &a->x, line);
    const int64_t n = a->lines.n, k = a->k;
    const agi_heap h = {agi_line_f32(&a->lines, &a->out, line),
                        (int32_t *)(void *)a->ids.p + agi_line_at(&a->lines, &a->ids, line),
                        a->out.step, a->ids.step, a->descending != 0};
    if (k == 0) return;
    for (int64_t i = 0; i < k; i++) {
        h.v[i * h.v_step] = x[i * a->x.step];
        h.id[i * h.id_step] = (int32_t)i;
    }
    for (int64_t i = k / 2 - 1; i >= 0; i--)
        agi_heap_sink(&h, k, i, h.v[i * h.v_step], h.id[i * h.id_step]);
    for (int64_t i = k; i < n; i++) {
        const float v = x[i * a->x.step];
        if (agi_sorts_before(h.descending, v, (int32_t)i, h.v[0], h.id[0]))
            agi_heap_sink(&h, k, 0, v, (int32_t)i);
    }
    for (int64_t i = k - 1; i > 0; i--) {
        const float v = h.v[i * h.v_step];
        const int32_t id = h.id[i * h.id_step];
        h.v[i * h.v_step] = h.v[0];
        h.id[i * h.id_step] = h.id[0];
        agi_heap_sink(&h, i, 0, v, id);
    }
    for (int64_t i = 0; i < k; i++) h.id[i * h.id_step] += a->first;
}

/* ---- gather ---- */

/* Copies an element of a line; false where there is none. */
AGI_BOTH bool agi_gather_element(const agi_gather_args *a, int64_t line, int64_t i, int64_t *id)
{
    const int32_t *ids = (const int32_t *)(const void *)a->ids.p;
    *id = ids[agi_line_at(&a->lines, &a->ids, line) + i * a->ids.step];
    const int64_t at = *id - a->first;
    if (at < 0 || at >= a->n) return false;
    const char *x = a->x.p + (agi_line_at(&a->lines, &a->x, line) + at * a->x.step) * a->size;
    char *out = a->out.p + (agi_line_at(&a->lines, &a->out, line) + i * a->out.step) * a->size;
    for (int64_t b = 0; b < a->size; b++) out[b] = x[b];
    return true;
}

/* ---- matrices ---- */

/* The first element of a matrix of batch i, counted in elements. */
AGI_BOTH int64_t agi_matrix_at(const agi_matmul_args *a, const agi_matrix *x, int64_t i)
{
    int64_t at = 0;
    for (int d = a->ndim - 1; d >= 0; i /= a->shape[d], d--) at += i % a->shape[d] * x->batch[d];
    return at;
}

AGI_BOTH float agi_matrix_value(const agi_matrix *x, int64_t at)
{
    return x->dtype == AG_BF16 ? agi_f32_from_bf16(((const uint16_t *)(const void *)x->p)[at])
                               : ((const float *)(const void *)x->p)[at];
}

#endif
