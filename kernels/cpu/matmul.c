/*
 * matmul.c: the op matmul, in tiles of out. A tile is summed in slices of the depth, each by
 * OpenBLAS where it is there, else by the instruction set's own products. Where the tiles and the
 * slices are cut follows from the shapes alone, so that the number of workers changes no bit.
 */
#include "../lines.h"
#include "isa.h"
#include "scratch.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/blas.h"

#include <limits.h>

enum { TILE = AGI_MATMUL_TILE, DEPTH = AGI_MATMUL_DEPTH, SQUARE = 16 };

/* A part of a matrix as f32: `row` elements from row to row, columns side by side; or the other way
 * round where it is transposed. */
typedef struct {
    const float *p;
    int64_t row;
    bool transposed;
} part;

static bool steps(int64_t stride, int64_t over) { return stride >= over && stride <= INT_MAX; }

/* The rows x cols elements from `at` on: where they lie if that can be read as it is, in either
 * direction where `either`, else copied to `to`. */
static part part_of(const agi_matrix *x, int64_t at, int64_t rows, int64_t cols, bool either,
                    float *to)
{
    const float *p = (const float *)(const void *)x->p + at;
    if (x->dtype == AG_F32 && x->col == 1 && steps(x->row, cols)) return (part){p, x->row, false};
    if (x->dtype == AG_F32 && x->row == 1 && steps(x->col, rows) && either)
        return (part){p, x->col, true};
    /* In squares, so that a transposition uses whole cache lines on both sides. */
    for (int64_t r0 = 0; r0 < rows; r0 += SQUARE)
        for (int64_t c0 = 0; c0 < cols; c0 += SQUARE)
            for (int64_t r = r0; r < rows && r < r0 + SQUARE; r++)
                for (int64_t c = c0; c < cols && c < c0 + SQUARE; c++)
                    to[r * cols + c] = agi_matrix_value(x, at + r * x->row + c * x->col);
    return (part){to, cols, false};
}

static void scale(float *out, int64_t stride, int64_t m, int64_t n, float by)
{
    for (int64_t r = 0; r < m; r++)
        for (int64_t c = 0; c < n; c++)
            out[r * stride + c] = by == 0 ? 0 : out[r * stride + c] * by;
}

/* What the slices of a tile share: m x n of out, and where its rows of a and columns of b begin. */
typedef struct {
    const agi_matmul_args *of;
    float *out;
    int64_t a, b, m, n;
} tile;

static void slice_blas(const tile *t, int64_t from, int64_t depth, float beta, float *scratch)
{
    enum { ROW_MAJOR = 101, AS_IT_IS = 111, TRANSPOSED = 112 };
    const agi_matmul_args *o = t->of;
    const part a = part_of(&o->a, t->a + from * o->a.col, t->m, depth, true, scratch);
    const part b =
        part_of(&o->b, t->b + from * o->b.row, depth, t->n, true, scratch + TILE * DEPTH);
    o->blas->sgemm(ROW_MAJOR, a.transposed ? TRANSPOSED : AS_IT_IS,
                   b.transposed ? TRANSPOSED : AS_IT_IS, (int)t->m, (int)t->n, (int)depth, o->alpha,
                   a.p, (int)a.row, b.p, (int)b.row, beta, t->out, (int)o->out.row);
}

/* As a linear layer whose weights are b's columns. */
static void slice_own(const tile *t, int64_t from, int64_t depth, float beta, float *scratch,
                      const agi_isa *isa)
{
    const agi_matmul_args *o = t->of;
    agi_matrix columns = o->b;
    columns.row = o->b.col;
    columns.col = o->b.row;
    float *sums = scratch + 2 * TILE * DEPTH;
    const part a = part_of(&o->a, t->a + from * o->a.col, t->m, depth, false, scratch);
    const part b =
        part_of(&columns, t->b + from * o->b.row, t->n, depth, false, scratch + TILE * DEPTH);
    const agi_linear_args linear = {
        .out = sums,
        .x = (float *)(uintptr_t)a.p,
        .w = {.p = b.p, .kind = AGI_WEIGHT_F32, .stride = b.row},
        .rows = t->m,
        .outs = t->n,
        .k = depth,
        .out_stride = TILE,
        .x_stride = a.row,
        .taps = 1,
    };
    isa->dot(&linear, 0, t->m, 0, t->n);
    if (beta != 1) scale(t->out, o->out.row, t->m, t->n, beta);
    for (int64_t r = 0; r < t->m; r++)
        for (int64_t c = 0; c < t->n; c++)
            t->out[r * o->out.row + c] += o->alpha * sums[r * TILE + c];
}

int agi_cpu_matmul(const void *args, agi_worker *w)
{
    const agi_matmul_args *a = args;
    const int64_t down = (a->m + TILE - 1) / TILE, across = (a->n + TILE - 1) / TILE;
    const bool blas = a->blas && a->out.row <= INT_MAX;
    int64_t lo, hi;
    agi_share(w, a->batches * down * across, 1, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        const int64_t batch = i / across / down;
        const int64_t r = i / across % down * TILE, c = i % across * TILE;
        const tile t = {.of = a,
                        .out = (float *)(void *)a->out.p + agi_matrix_at(a, &a->out, batch) +
                               r * a->out.row + c,
                        .a = agi_matrix_at(a, &a->a, batch) + r * a->a.row,
                        .b = agi_matrix_at(a, &a->b, batch) + c * a->b.col,
                        .m = a->m - r < TILE ? a->m - r : TILE,
                        .n = a->n - c < TILE ? a->n - c : TILE};
        if (a->k == 0 || a->alpha == 0) scale(t.out, a->out.row, t.m, t.n, a->beta);
        for (int64_t k = 0; k < a->k && a->alpha != 0; k += DEPTH) {
            const int64_t depth = a->k - k < DEPTH ? a->k - k : DEPTH;
            const float beta = k == 0 ? a->beta : 1;
            if (blas) slice_blas(&t, k, depth, beta, w->scratch);
            else slice_own(&t, k, depth, beta, w->scratch, w->isa);
        }
    }
    return AG_OK;
}
