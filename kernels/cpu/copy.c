/*
 * copy.c: the ops copy and fill: any strides, and conversions between the dtypes. Both walk the
 * tensor in tiles of two dimensions, the last one and the one along which the other tensor is
 * closest to contiguous, so that repacking a weight ([O, C, K] to [O, K, C], or a transposition)
 * uses whole cache lines on both sides.
 */
#include "../../runtime/backend_cpu.h"
#include "../../runtime/convert.h"
#include "../../runtime/dtype.h"
#include "../../runtime/ops.h"

#include <string.h>

typedef struct {
    int64_t size, os, xs;
} dim;

typedef struct {
    int n; /* at least 2 */
    dim d[AG_MAX_DIMS + 1];
} walk;

/* The dims with those of size 1 dropped and those joined that both tensors step through as one. */
static walk simplify(const agi_copy_args *a)
{
    walk v = {0};
    for (int i = 0; i < a->ndim; i++) {
        dim d = {a->shape[i], a->out_stride[i], a->x_stride[i]};
        dim *last = v.n ? &v.d[v.n - 1] : NULL;
        if (d.size == 1) continue;
        if (last && last->os == d.os * d.size && last->xs == d.xs * d.size) {
            *last = (dim){last->size * d.size, d.os, d.xs};
            continue;
        }
        v.d[v.n++] = d;
    }
    while (v.n < 2) {
        memmove(v.d + 1, v.d, (size_t)v.n * sizeof *v.d);
        v.d[0] = (dim){1, 0, 0};
        v.n++;
    }
    return v;
}

/*
 * Moves next to the last dim the one that is worth walking with it: where one tensor jumps along
 * the last dim, the dim along which that tensor jumps least.
 */
static void choose_tile(walk *v)
{
    const dim in = v->d[v->n - 1];
    int best = v->n - 2;
    for (int i = v->n - 3; i >= 0; i--) {
        if (in.xs > in.os && v->d[i].xs < v->d[best].xs) best = i;
        if (in.os > in.xs && v->d[i].os < v->d[best].os) best = i;
    }
    dim d = v->d[best];
    v->d[best] = v->d[v->n - 2];
    v->d[v->n - 2] = d;
}

int agi_cpu_copy(const void *args, agi_worker *w)
{
    const agi_copy_args *a = args;
    walk v = simplify(a);
    choose_tile(&v);
    const dim in = v.d[v.n - 1], by = v.d[v.n - 2];
    const int64_t out_size = agi_dtype_size(a->out_dtype), x_size = agi_dtype_size(a->x_dtype);
    const int64_t tile_by = 16, tile_in = in.os == 1 && in.xs <= 1 ? 4096 : 64;
    const int64_t n_by = (by.size + tile_by - 1) / tile_by;
    const int64_t n_in = (in.size + tile_in - 1) / tile_in;
    int64_t tiles = n_by * n_in, lo, hi;
    for (int i = 0; i < v.n - 2; i++) tiles *= v.d[i].size;
    agi_share(w, tiles, 1, &lo, &hi);
    for (int64_t t = lo; t < hi; t++) {
        const int64_t c = t % n_in * tile_in, r = t / n_in % n_by * tile_by;
        const int64_t rows = by.size - r < tile_by ? by.size - r : tile_by;
        const int64_t n = in.size - c < tile_in ? in.size - c : tile_in;
        int64_t rest = t / n_in / n_by, o = r * by.os + c * in.os, x = r * by.xs + c * in.xs;
        for (int i = v.n - 3; i >= 0; rest /= v.d[i].size, i--) {
            o += rest % v.d[i].size * v.d[i].os;
            x += rest % v.d[i].size * v.d[i].xs;
        }
        for (int64_t i = 0; i < rows; i++)
            agi_convert(a->out + (o + i * by.os) * out_size, a->out_dtype, in.os,
                        a->x + (x + i * by.xs) * x_size, a->x_dtype, in.xs, n);
    }
    return AG_OK;
}

/* A copy from one element that every index finds again. */
int agi_cpu_fill(const void *args, agi_worker *w)
{
    const agi_fill_args *a = args;
    char cell[sizeof(int64_t)];
    if (agi_dtype_infinite(a->dtype)) {
        const float value = (float)a->value;
        agi_convert(cell, a->dtype, 1, (const char *)&value, AG_F32, 1, 1);
    } else {
        const int64_t value = (int64_t)a->value; /* its low bytes come first */
        memcpy(cell, &value, sizeof cell);
    }
    agi_copy_args c = {
        .out = a->out, .x = cell, .out_dtype = a->dtype, .x_dtype = a->dtype, .ndim = a->ndim};
    memcpy(c.shape, a->shape, sizeof c.shape);
    memcpy(c.out_stride, a->stride, sizeof c.out_stride);
    return agi_cpu_copy(&c, w);
}
