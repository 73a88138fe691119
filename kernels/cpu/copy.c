/*
 * copy.c: the ops copy and fill: any strides, and conversions between the dtypes. Both walk the
 * tensor in tiles of two dimensions, the last one and the one along which the other tensor is
 * closest to contiguous, so that repacking a weight ([O, C, K] to [O, K, C], or a transposition)
 * uses whole cache lines on both sides.
 */
#include "../../runtime/backend_cpu.h"
#include "../../runtime/dtype.h"
#include "../../runtime/error.h"
#include "../../runtime/ops.h"

#include <string.h>

/* ---- one run of n elements; strides in elements ---- */

typedef void run_fn(char *out, int64_t os, const char *x, int64_t xs, int64_t n);

#define RUN(name, out_t, x_t, convert)                                                             \
    static void name(char *out_bytes, int64_t os, const char *x_bytes, int64_t xs, int64_t n)      \
    {                                                                                              \
        out_t *out = (out_t *)(void *)out_bytes;                                                   \
        const x_t *x = (const x_t *)(const void *)x_bytes;                                         \
        if (os == 1 && xs == 1)                                                                    \
            for (int64_t i = 0; i < n; i++) out[i] = convert(x[i]);                                \
        else                                                                                       \
            for (int64_t i = 0; i < n; i++) out[i * os] = convert(x[i * xs]);                      \
    }

static uint16_t bf16_from_f16(uint16_t h) { return agi_bf16_from_f32(agi_f32_from_f16(h)); }

static uint16_t f16_from_bf16(uint16_t h) { return agi_f16_from_f32(agi_f32_from_bf16(h)); }

RUN(same_16, uint16_t, uint16_t, )
RUN(same_32, uint32_t, uint32_t, )
RUN(f32_to_bf16, uint16_t, float, agi_bf16_from_f32)
RUN(f32_to_f16, uint16_t, float, agi_f16_from_f32)
RUN(bf16_to_f32, float, uint16_t, agi_f32_from_bf16)
RUN(f16_to_f32, float, uint16_t, agi_f32_from_f16)
RUN(bf16_to_f16, uint16_t, uint16_t, f16_from_bf16)
RUN(f16_to_bf16, uint16_t, uint16_t, bf16_from_f16)

static run_fn *run_of(int out, int x)
{
    static run_fn *const same[] = {[2] = same_16, [4] = same_32};
    static run_fn *const converting[AG_DTYPES][AG_DTYPES] = {
        /* [out][x] */
        [AG_F32] = {[AG_BF16] = bf16_to_f32, [AG_F16] = f16_to_f32},
        [AG_BF16] = {[AG_F32] = f32_to_bf16, [AG_F16] = f16_to_bf16},
        [AG_F16] = {[AG_F32] = f32_to_f16, [AG_BF16] = bf16_to_f16},
    };
    return out == x ? same[agi_dtype_size(out)] : converting[out][x];
}

/* ---- the walk ---- */

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
    run_fn *run = run_of(a->out_dtype, a->x_dtype);
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
            run(a->out + (o + i * by.os) * out_size, in.os, a->x + (x + i * by.xs) * x_size, in.xs,
                n);
    }
    return AG_OK;
}

/* A copy from one element that every index finds again. */
int agi_cpu_fill(const void *args, agi_worker *w)
{
    const agi_fill_args *a = args;
    const float value = a->dtype == AG_I32 ? 0 : (float)a->value;
    union {
        float f32;
        int32_t i32;
        uint16_t u16;
    } cell = {.f32 = value};
    if (a->dtype == AG_I32) cell.i32 = (int32_t)a->value;
    else if (a->dtype == AG_BF16) cell.u16 = agi_bf16_from_f32(value);
    else if (a->dtype == AG_F16) cell.u16 = agi_f16_from_f32(value);
    agi_copy_args c = {.out = a->out,
                       .x = (char *)&cell,
                       .out_dtype = a->dtype,
                       .x_dtype = a->dtype,
                       .ndim = a->ndim};
    memcpy(c.shape, a->shape, sizeof c.shape);
    memcpy(c.out_stride, a->stride, sizeof c.out_stride);
    return agi_cpu_copy(&c, w);
}
