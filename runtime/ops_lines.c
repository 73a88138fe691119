/* ops_lines.c: fronts (validation) of the ops on lines, and of matmul. */
#include "front.h"

/* The lines of t; one without dimensions is a line of one element. */
static agi_lines lines_of(const ag_tensor *t)
{
    agi_lines l = {.n = t->ndim ? t->shape[t->ndim - 1] : 1, .count = 1};
    for (; l.ndim < t->ndim - 1; l.ndim++) {
        l.shape[l.ndim] = t->shape[l.ndim];
        l.count *= t->shape[l.ndim];
    }
    return l;
}

static agi_lined lined(const ag_tensor *t)
{
    agi_lined r = {.p = agi_tensor_data(t), .step = t->ndim ? t->stride[t->ndim - 1] : 1};
    for (int i = 0; i < t->ndim - 1; i++) r.stride[i] = t->stride[i];
    return r;
}

/* Whether all dimensions but the last are the same. */
static bool same_lines(agi_front *f, const char *an, const ag_tensor *a, const char *bn,
                       const ag_tensor *b)
{
    char as[AGI_SHAPE_TEXT], bs[AGI_SHAPE_TEXT];
    bool same = a->ndim == b->ndim && a->ndim > 0;
    for (int i = 0; same && i < a->ndim - 1; i++) same = a->shape[i] == b->shape[i];
    return same || agi_bad(f, "%s %s and %s %s: all dimensions but the last must be the same", an,
                           agi_shape_text(a, as), bn, agi_shape_text(b, bs));
}

static double elements(const agi_lines *l) { return (double)l->count * (double)l->n; }

int ag_map(ag_tensor *out, ag_tensor *x, enum ag_map how)
{
    agi_front f = agi_front_begin(AGI_OP_map);
    const bool whole = x && x->buf && !agi_dtype_infinite(x->dtype) && how == AG_MAP_FLOAT;
    if (!(agi_in(&f, "x", x, whole ? AGI_ANY : AG_F32) && agi_out(&f, "out", out, AG_F32) &&
          agi_same_shape(&f, "out", out, "x", x) && agi_apart(&f, out, true) &&
          agi_range(&f, "how", (int64_t)how, AG_MAP_EXP, AG_MAP_FLOAT)))
        return f.rc;
    agi_map_args a = {lines_of(x), lined(out), lined(x), (int)how, x->dtype};
    return agi_front_run(&f, &a, sizeof a, elements(&a.lines) * 8);
}

int ag_combine(ag_tensor *out, ag_tensor *a, ag_tensor *b, enum ag_combine how)
{
    agi_front f = agi_front_begin(AGI_OP_combine);
    if (!(agi_in(&f, "a", a, AG_F32) && agi_in(&f, "b", b, AG_F32) &&
          agi_out(&f, "out", out, AG_F32) && agi_same_shape(&f, "a", a, "b", b) &&
          agi_same_shape(&f, "out", out, "a", a) && agi_apart(&f, out, true) &&
          agi_range(&f, "how", (int64_t)how, AG_COMBINE_DIV, AG_COMBINE_GE)))
        return f.rc;
    agi_combine_args args = {lines_of(a), lined(out), lined(a), lined(b), (int)how};
    return agi_front_run(&f, &args, sizeof args, elements(&args.lines) * 4);
}

int ag_where(ag_tensor *out, ag_tensor *mask, ag_tensor *a, ag_tensor *b)
{
    agi_front f = agi_front_begin(AGI_OP_where);
    if (!(agi_in(&f, "mask", mask, AG_F32) && agi_in(&f, "a", a, AG_F32) &&
          agi_in(&f, "b", b, AG_F32) && agi_out(&f, "out", out, AG_F32) &&
          agi_same_shape(&f, "mask", mask, "a", a) && agi_same_shape(&f, "a", a, "b", b) &&
          agi_same_shape(&f, "out", out, "a", a) && agi_apart(&f, out, true)))
        return f.rc;
    agi_where_args args = {lines_of(a), lined(out), lined(mask), lined(a), lined(b)};
    return agi_front_run(&f, &args, sizeof args, elements(&args.lines));
}

/* reduce, softmax and cumsum; out has x's lines, of one element or as long. */
static int along(enum agi_op op, ag_tensor *out, ag_tensor *x, int how, int most, bool one)
{
    agi_front f = agi_front_begin(op);
    if (!(agi_in(&f, "x", x, AG_F32) && agi_out(&f, "out", out, AG_F32) &&
          (one ? same_lines(&f, "out", out, "x", x) : agi_same_shape(&f, "out", out, "x", x)) &&
          (!one || agi_range(&f, "the last dimension of out", out->shape[out->ndim - 1], 1, 1)) &&
          agi_range(&f, "how", how, 0, most) && agi_apart(&f, out, !one)))
        return f.rc;
    agi_reduce_args a = {lines_of(x), lined(out), lined(x), how};
    return agi_front_run(&f, &a, sizeof a, elements(&a.lines) * 4);
}

int ag_reduce(ag_tensor *out, ag_tensor *x, enum ag_reduce how)
{
    return along(AGI_OP_reduce, out, x, (int)how, AG_REDUCE_NORM, true);
}

int ag_softmax(ag_tensor *out, ag_tensor *x, int32_t log)
{
    return along(AGI_OP_softmax, out, x, log, 1, false);
}

int ag_cumsum(ag_tensor *out, ag_tensor *x) { return along(AGI_OP_cumsum, out, x, 0, 0, false); }

int ag_sort(ag_tensor *out, ag_tensor *ids, ag_tensor *x, int32_t descending, int32_t first)
{
    agi_front f = agi_front_begin(AGI_OP_sort);
    if (!(agi_in(&f, "x", x, AG_F32) && agi_out(&f, "out", out, AG_F32) &&
          agi_out(&f, "ids", ids, AG_I32) && same_lines(&f, "out", out, "x", x) &&
          agi_same_shape(&f, "ids", ids, "out", out)))
        return f.rc;
    agi_sort_args a = {.lines = lines_of(x),
                       .out = lined(out),
                       .ids = lined(ids),
                       .x = lined(x),
                       .k = out->shape[out->ndim - 1],
                       .descending = descending,
                       .first = first};
    if (!(agi_range(&f, "the last dimension of out", a.k, 0, a.lines.n) &&
          agi_range(&f, "the last dimension of x", a.lines.n, 0, 1 << 30) &&
          agi_range(&f, "descending", descending, 0, 1) && agi_range(&f, "first", first, 0, 1) &&
          agi_apart(&f, out, false)))
        return f.rc;
    return agi_front_run(&f, &a, sizeof a, elements(&a.lines) * 16);
}

int ag_gather(ag_tensor *out, ag_tensor *x, ag_tensor *ids, int32_t first)
{
    agi_front f = agi_front_begin(AGI_OP_gather);
    if (!(agi_in(&f, "x", x, AGI_ANY) && agi_in(&f, "ids", ids, AG_I32) &&
          agi_out(&f, "out", out, x->dtype) && same_lines(&f, "ids", ids, "x", x) &&
          agi_same_shape(&f, "out", out, "ids", ids) && agi_range(&f, "first", first, 0, 1) &&
          agi_apart(&f, out, false)))
        return f.rc;
    agi_gather_args a = {.lines = lines_of(ids),
                         .out = lined(out),
                         .x = lined(x),
                         .ids = lined(ids),
                         .n = x->shape[x->ndim - 1],
                         .size = agi_dtype_size(x->dtype),
                         .first = first};
    return agi_front_run(&f, &a, sizeof a, elements(&a.lines) * 4);
}

int ag_random(ag_tensor *out, ag_tensor *key, int32_t normal)
{
    agi_front f = agi_front_begin(AGI_OP_random);
    if (!(agi_in(&f, "key", key, AG_I32) && agi_out(&f, "out", out, AG_F32) &&
          agi_ndim(&f, "key", key, 1) && agi_range(&f, "elements of key", key->shape[0], 4, 4) &&
          agi_range(&f, "normal", normal, 0, 1) && agi_apart(&f, out, false)))
        return f.rc;
    agi_random_args a = {.lines = lines_of(out),
                         .out = lined(out),
                         .key = (const int32_t *)(const void *)agi_tensor_data(key),
                         .key_stride = key->stride[0],
                         .normal = normal};
    return agi_front_run(&f, &a, sizeof a, elements(&a.lines) * 32);
}

/* ---- matmul ---- */

static agi_matrix matrix(const ag_tensor *t)
{
    const int n = t->ndim;
    agi_matrix r = {.p = agi_tensor_data(t),
                    .row = t->stride[n - 2],
                    .col = t->stride[n - 1],
                    .dtype = t->dtype};
    for (int i = 0; i < n - 2; i++) r.batch[i] = t->stride[i];
    return r;
}

static bool same_batches(agi_front *f, const char *an, const ag_tensor *a, const char *bn,
                         const ag_tensor *b)
{
    bool same = a->ndim == b->ndim && a->ndim >= 2;
    char as[AGI_SHAPE_TEXT], bs[AGI_SHAPE_TEXT];
    for (int i = 0; same && i < a->ndim - 2; i++) same = a->shape[i] == b->shape[i];
    return same || agi_bad(f, "%s %s and %s %s: the dimensions before the matrices differ", an,
                           agi_shape_text(a, as), bn, agi_shape_text(b, bs));
}

int ag_matmul(ag_tensor *out, ag_tensor *a, ag_tensor *b, double alpha, double beta)
{
    agi_front f = agi_front_begin(AGI_OP_matmul);
    if (!(agi_in(&f, "a", a, AGI_DENSE) && agi_in(&f, "b", b, AGI_DENSE) &&
          agi_out(&f, "out", out, AG_F32) && same_batches(&f, "a", a, "b", b) &&
          same_batches(&f, "out", out, "a", a)))
        return f.rc;
    const int r = a->ndim - 2, c = a->ndim - 1;
    if (!(agi_equal(&f, "a", a, "b", b, a->shape[c], b->shape[r]) &&
          agi_equal(&f, "out", out, "a", a, out->shape[r], a->shape[r]) &&
          agi_equal(&f, "out", out, "b", b, out->shape[c], b->shape[c]) &&
          agi_apart(&f, out, false)))
        return f.rc;
    if (out->shape[c] > 1 && out->stride[c] != 1) {
        agi_bad(&f, "out: its last dimension must be contiguous");
        return f.rc;
    }
    agi_matmul_args args = {.out = matrix(out),
                            .a = matrix(a),
                            .b = matrix(b),
                            .m = a->shape[r],
                            .n = b->shape[c],
                            .k = a->shape[c],
                            .batches = 1,
                            .ndim = r,
                            .alpha = (float)alpha,
                            .beta = (float)beta};
    if (f.be->slots->blas) args.blas = f.be->slots->blas(f.be);
    for (int i = 0; i < r; i++) {
        args.shape[i] = a->shape[i];
        args.batches *= a->shape[i];
    }
    const double outs = (double)args.batches * (double)args.m * (double)args.n;
    return agi_front_run(&f, &args, sizeof args, outs * (double)(args.k + 1));
}
