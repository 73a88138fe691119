/* front.c: see front.h. */
#include "front.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

agi_front agi_front_begin(enum agi_op op)
{
    return (agi_front){.op = agi_op_names[op], .call = {.op = op}};
}

bool agi_bad(agi_front *f, const char *fmt, ...)
{
    char text[AGI_MESSAGE];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    f->rc = agi_fail(AG_EINVAL, "%s: %s", f->op, text);
    return false;
}

static bool dtype_fits(int dtype, int wanted)
{
    switch (wanted) {
    case AGI_ANY: return true;
    case AGI_WEIGHT: return agi_weight_kind_of(dtype) >= 0;
    case AGI_CACHE: return dtype == AG_F32 || dtype == AG_BF16;
    case AGI_DENSE: return agi_weight_kind_of(dtype) >= 0 && agi_dtype_infinite(dtype);
    default: return dtype == wanted;
    }
}

/* "f32", or "f32, bf16 or q8". */
static const char *dtype_text(int wanted, char buf[64])
{
    if (wanted == AGI_CACHE) return "f32 or bf16";
    if (wanted != AGI_WEIGHT && wanted != AGI_DENSE) return ag_dtype_name(wanted);
    const char *names[AGI_WEIGHTS];
    int count = 0, n = 0;
    for (int i = 0; i < AGI_WEIGHTS; i++)
        if (wanted == AGI_WEIGHT || agi_weight_dense(i)) names[count++] = ag_weight_name(i);
    for (int i = 0; i < count && n < 48; i++) {
        const char *before = i == 0 ? "" : i == count - 1 ? " or " : ", ";
        n += snprintf(buf + n, (size_t)(64 - n), "%s%s", before, names[i]);
    }
    return buf;
}

/* Whether no two indices lead to one element: a stride steps over all that smaller ones reach. */
static bool distinct(const ag_tensor *t)
{
    int64_t reach = 1; /* of the dimensions so far, in elements */
    bool done[AG_MAX_DIMS] = {false};
    for (int k = 0; k < t->ndim; k++) {
        int next = -1;
        for (int i = 0; i < t->ndim; i++) {
            if (t->shape[i] == 0) return true;
            if (!done[i] && (next < 0 || t->stride[i] < t->stride[next])) next = i;
        }
        done[next] = true;
        if (t->shape[next] == 1) continue;
        if (t->stride[next] < reach) return false;
        reach += (t->shape[next] - 1) * t->stride[next];
    }
    return true;
}

static bool take(agi_front *f, const char *name, ag_tensor *t, int dtype, bool write,
                 bool committed)
{
    int64_t lo, hi;
    if (!t) return agi_bad(f, "%s is missing", name);
    if (!t->buf) return agi_bad(f, "%s has been released", name);
    if (!dtype_fits(t->dtype, dtype)) {
        char wanted[64];
        return agi_bad(f, "%s is %s, expected %s", name, ag_dtype_name(t->dtype),
                       dtype_text(dtype, wanted));
    }
    if (f->be && t->buf->be != f->be)
        return agi_bad(f, "%s is on another backend than %s", name, f->names[0]);
    if (write && !distinct(t)) return agi_bad(f, "%s holds an element more than once", name);
    if (f->call.n_access == AGI_MAX_ACCESS) return agi_bad(f, "too many tensors");
    if (write && t->buf->kind == AGI_MAPPED)
        return agi_bad(f, "%s is a mapped file, read only", name);
    agi_tensor_extent(t, &lo, &hi);
    if (committed && !agi_buffer_has(t->buf, lo, hi)) {
        f->rc = agi_fail(AG_ECAPACITY, "%s: %s is not committed that far", f->op, name);
        return false;
    }
    f->be = t->buf->be;
    f->names[f->call.n_access] = name;
    f->tensors[f->call.n_access] = t;
    f->call.access[f->call.n_access++] = (agi_access){t->buf, lo, hi, write};
    return true;
}

bool agi_in(agi_front *f, const char *name, ag_tensor *t, int dtype)
{
    return take(f, name, t, dtype, false, true);
}

bool agi_out(agi_front *f, const char *name, ag_tensor *t, int dtype)
{
    return take(f, name, t, dtype, true, true);
}

bool agi_opt(agi_front *f, const char *name, ag_tensor *t, int dtype)
{
    return !t || take(f, name, t, dtype, false, true);
}

agi_weight agi_weight_of(const ag_tensor *t, int64_t stride)
{
    return (agi_weight){.p = agi_tensor_data(t),
                        .kind = (enum agi_weight_kind)agi_weight_kind_of(t->dtype),
                        .stride = stride};
}

bool agi_shaped(agi_front *f, const char *name, const ag_tensor *t, int ndim, const int64_t *shape)
{
    bool same = t->ndim == ndim && ag_tensor_contiguous(t);
    for (int i = 0; same && i < ndim; i++) same = t->shape[i] == shape[i];
    ag_tensor want = {.ndim = ndim};
    char s[AGI_SHAPE_TEXT], w[AGI_SHAPE_TEXT];
    for (int i = 0; i < ndim; i++) want.shape[i] = shape[i];
    return same || agi_bad(f, "%s %s: expected a contiguous %s", name, agi_shape_text(t, s),
                           agi_shape_text(&want, w));
}

static int64_t panels(int64_t outs) { return (outs + AGI_PANEL - 1) / AGI_PANEL; }
static int64_t chunks(int64_t k) { return (k + AGI_CHUNK - 1) / AGI_CHUNK; }

/* Codes: rows of bytes, or packed ones, which say by their shape how wide they are. */
static bool codes_arg(agi_front *f, ag_tensor *w, ag_tensor *scale, int64_t outs, int64_t k,
                      agi_weight *out)
{
    agi_rows rw, rs;
    int64_t n;
    if (!agi_in(f, "scale", scale, AG_F16)) return false;
    if (!f->be->slots->packed) return agi_bad(f, "quantised weights are for the CPU");
    out->scale = (const uint16_t *)(const void *)agi_tensor_data(scale);
    if (w->ndim == 5) {
        const bool q4 = w->shape[2] == AGI_CHUNK / 8;
        const int64_t want[] = {panels(outs), chunks(k), q4 ? AGI_CHUNK / 8 : AGI_CHUNK / 4,
                                AGI_PANEL, 4};
        out->kind = q4 ? AGI_WEIGHT_Q4 : AGI_WEIGHT_Q8;
        out->chunks = want[1];
        return (w->dtype == AG_U8 || agi_bad(f, "packed codes are u8")) &&
               agi_shaped(f, "w", w, 5, want) &&
               agi_shaped(f, "scale", scale, 3, (int64_t[]){want[0], want[1], AGI_PANEL});
    }
    const bool q4 = out->kind == AGI_WEIGHT_Q4;
    if (!(agi_ndim(f, "w", w, 2) && agi_fold(f, "w", w, &rw, &n) &&
          agi_ndim(f, "scale", scale, 2) && agi_fold(f, "scale", scale, &rs, &n)))
        return false;
    out->stride = q4 ? 2 * rw.stride : rw.stride;
    out->scale_stride = rs.stride;
    char a[AGI_SHAPE_TEXT], b[AGI_SHAPE_TEXT];
    return (w->shape[0] == outs && w->shape[1] == (q4 ? (k + 1) / 2 : k) &&
            scale->shape[0] == outs && scale->shape[1] == chunks(k)) ||
           agi_bad(f, "w %s and scale %s are not %s weights of %lld x %lld", agi_shape_text(w, a),
                   agi_shape_text(scale, b), ag_weight_name((int)out->kind), (long long)outs,
                   (long long)k);
}

bool agi_weight_arg(agi_front *f, ag_tensor *w, ag_tensor *opt_scale, int64_t outs, int64_t k,
                    agi_weight *out)
{
    agi_rows rows;
    int64_t n;
    if (!agi_in(f, "w", w, AGI_WEIGHT)) return false;
    *out = agi_weight_of(w, 0);
    if (!agi_weight_dense((int)out->kind)) {
        if (!opt_scale)
            return agi_bad(f, "w is %s and needs scales", ag_weight_name((int)out->kind));
        return codes_arg(f, w, opt_scale, outs, k, out);
    }
    if (opt_scale)
        return agi_bad(f, "w is %s, which has no scales", ag_weight_name((int)out->kind));
    if (w->ndim == 4 && f->be->slots->packed) {
        out->chunks = chunks(k);
        return agi_shaped(f, "w", w, 4,
                          (int64_t[]){panels(outs), out->chunks, AGI_PANEL, AGI_CHUNK});
    }
    if (!agi_ndim(f, "w", w, 2) || !agi_fold(f, "w", w, &rows, &n)) return false;
    out->stride = rows.stride;
    return true;
}

bool agi_cache_arg(agi_front *f, const char *name, ag_tensor *t, bool written, agi_cache *out)
{
    if (!take(f, name, t, AGI_CACHE, written, false) || !agi_ndim(f, name, t, 5)) return false;
    if (t->shape[4] > 1 && t->stride[4] != 1)
        return agi_bad(f, "%s: its last dimension must be contiguous", name);
    const int64_t blocks = t->shape[1], size = t->shape[2];
    if (blocks > 1 && (size < 1 || (size & (size - 1)) || size > 1 << 30))
        return agi_bad(f, "%s: several blocks must each hold a power of two, not %lld", name,
                       (long long)size);
    const int64_t element = agi_dtype_size(t->dtype);
    *out = (agi_cache){.p = agi_tensor_data(t),
                       .dtype = t->dtype,
                       .slot = t->stride[0] * element,
                       .block = t->stride[1] * element,
                       .place = t->stride[2] * element,
                       .head = t->stride[3] * element,
                       .shift = blocks > 1 ? __builtin_ctzll((unsigned long long)size) : 40};
    const agi_buffer *b = t->buf;
    if (b->kind != AGI_RESERVED) return true;
    out->committed = b->be->slots->far ? (const int64_t *)(const void *)b->told : b->committed;
    out->base = b->data;
    out->slot_bytes = b->row_bytes;
    if (t->shape[0] != b->rows)
        return agi_bad(f, "%s: of a reserved tensor all rows are wanted", name);
    /* Kernels check only that the highest place of a slot is committed. That covers the lower
     * places where they lie before it, in the slot's own row. */
    if ((b->rows > 1 && t->stride[0] * element != b->row_bytes) ||
        (blocks > 1 && t->stride[1] < (size - 1) * t->stride[2]))
        return agi_bad(f, "%s: slots and places of a reserved tensor must lie in their order",
                       name);
    return true;
}

bool agi_slots_arg(agi_front *f, ag_tensor *t, int64_t rows, int64_t count, agi_slots *out)
{
    *out = (agi_slots){.count = count};
    if (!t)
        return rows <= count || agi_bad(f, "%lld rows need slots, there are %lld", (long long)rows,
                                        (long long)count);
    char s[AGI_SHAPE_TEXT];
    if (!agi_in(f, "slots", t, AG_I32) || !agi_ndim(f, "slots", t, 1)) return false;
    if (t->shape[0] != rows)
        return agi_bad(f, "slots %s: expected [%lld]", agi_shape_text(t, s), (long long)rows);
    out->p = (const int32_t *)(const void *)agi_tensor_data(t);
    out->stride = t->stride[0];
    return true;
}

bool agi_faults_arg(agi_front *f, ag_tensor *t, int64_t rows, agi_row_faults *out)
{
    char s[AGI_SHAPE_TEXT];
    *out = (agi_row_faults){0};
    if (!t) return true;
    if (!agi_out(f, "fault", t, AG_I32) || !agi_ndim(f, "fault", t, 1)) return false;
    if (t->shape[0] != rows)
        return agi_bad(f, "fault %s: expected [%lld]", agi_shape_text(t, s), (long long)rows);
    out->p = (int32_t *)(void *)agi_tensor_data(t);
    out->stride = t->stride[0];
    return true;
}

bool agi_ndim(agi_front *f, const char *name, const ag_tensor *t, int ndim)
{
    char a[AGI_SHAPE_TEXT];
    return t->ndim == ndim ||
           agi_bad(f, "%s %s: expected %d dimensions", name, agi_shape_text(t, a), ndim);
}

bool agi_equal(agi_front *f, const char *an, const ag_tensor *a, const char *bn, const ag_tensor *b,
               int64_t x, int64_t y)
{
    char as[AGI_SHAPE_TEXT], bs[AGI_SHAPE_TEXT];
    return x == y || agi_bad(f, "%s %s and %s %s: %lld != %lld", an, agi_shape_text(a, as), bn,
                             agi_shape_text(b, bs), (long long)x, (long long)y);
}

bool agi_same_shape(agi_front *f, const char *an, const ag_tensor *a, const char *bn,
                    const ag_tensor *b)
{
    char as[AGI_SHAPE_TEXT], bs[AGI_SHAPE_TEXT];
    bool same = a->ndim == b->ndim;
    for (int i = 0; same && i < a->ndim; i++) same = a->shape[i] == b->shape[i];
    return same || agi_bad(f, "%s %s and %s %s: the shapes differ", an, agi_shape_text(a, as), bn,
                           agi_shape_text(b, bs));
}

bool agi_vector(agi_front *f, const char *name, const ag_tensor *t, int64_t n)
{
    char s[AGI_SHAPE_TEXT];
    if (!t) return true;
    if (t->ndim == 1 && t->shape[0] == n && (n <= 1 || t->stride[0] == 1)) return true;
    return agi_bad(f, "%s %s: expected a contiguous [%lld]", name, agi_shape_text(t, s),
                   (long long)n);
}

bool agi_fold(agi_front *f, const char *name, const ag_tensor *t, agi_rows *rows, int64_t *n)
{
    char s[AGI_SHAPE_TEXT];
    *n = t->ndim ? t->shape[t->ndim - 1] : 1;
    rows->p = agi_tensor_data(t);
    rows->rows = 1;
    rows->stride = *n;
    if (*n > 1 && t->stride[t->ndim - 1] != 1)
        return agi_bad(f, "%s %s: its last dimension must be contiguous", name,
                       agi_shape_text(t, s));
    if (*n > 0 && agi_tensor_count(t) == 0) { /* nothing to walk, whatever the strides */
        rows->rows = 0;
        return true;
    }
    bool first = true;
    for (int i = t->ndim - 2; i >= 0; i--) {
        if (t->shape[i] == 1) continue;
        if (first) rows->stride = t->stride[i];
        else if (t->shape[i] && t->stride[i] != rows->stride * rows->rows)
            return agi_bad(f, "%s %s: its rows do not have one stride; use contiguous()", name,
                           agi_shape_text(t, s));
        rows->rows *= t->shape[i];
        first = false;
    }
    return true;
}

static bool same_elements(const ag_tensor *a, const ag_tensor *b)
{
    bool same = a->offset == b->offset && a->ndim == b->ndim && a->dtype == b->dtype;
    for (int i = 0; same && i < a->ndim; i++)
        same = a->shape[i] == b->shape[i] && (a->shape[i] <= 1 || a->stride[i] == b->stride[i]);
    return same;
}

bool agi_apart(agi_front *f, const ag_tensor *out, bool elementwise)
{
    for (int i = 0; i < f->call.n_access; i++) {
        const ag_tensor *t = f->tensors[i];
        bool itself = !strcmp(f->names[i], "out");
        if (itself || !agi_tensor_overlap(t, out) || (elementwise && same_elements(t, out)))
            continue;
        return agi_bad(f, "out overlaps %s", f->names[i]);
    }
    return true;
}

/* What an op writes beside `out` is apart from everything else it is given. */
static bool others_apart(agi_front *f)
{
    for (int i = 0; i < f->call.n_access; i++) {
        if (!f->call.access[i].write || !strcmp(f->names[i], "out")) continue;
        for (int j = 0; j < f->call.n_access; j++)
            if (j != i && agi_tensor_overlap(f->tensors[i], f->tensors[j]))
                return agi_bad(f, "%s overlaps %s", f->names[i], f->names[j]);
    }
    return true;
}

bool agi_range(agi_front *f, const char *name, int64_t v, int64_t lo, int64_t hi)
{
    return (v >= lo && v <= hi) || agi_bad(f, "%s is %lld, expected %lld to %lld", name,
                                           (long long)v, (long long)lo, (long long)hi);
}

int agi_front_run(agi_front *f, const void *args, size_t size, double work)
{
    if (!others_apart(f)) return f->rc;
    f->call.args = args;
    f->call.args_size = size;
    f->call.work = work;
    return agi_dispatch(f->be, &f->call);
}
