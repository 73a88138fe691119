/* tensor.c: tensors: shapes over buffers. No arithmetic on elements here. */
#include "tensor.h"
#include "backend.h"
#include "error.h"
#include "mapped.h"
#include "size.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- shapes ---- */

bool agi_shape_count(int ndim, const int64_t *shape, int64_t *count)
{
    /* `bound` ignores zeros: [0, 2^62, 2^62] is refused, as its strides would overflow. */
    int64_t n = 1, bound = 1;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0 || !agi_mul(bound, shape[i] ? shape[i] : 1, &bound)) return false;
        n *= shape[i];
    }
    if (!agi_mul(bound, 8, &bound)) return false;
    *count = n;
    return true;
}

int64_t agi_tensor_count(const ag_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++) n *= t->shape[i];
    return n;
}

const char *agi_shape_text(const ag_tensor *t, char buf[AGI_SHAPE_TEXT])
{
    int n = snprintf(buf, AGI_SHAPE_TEXT, "[");
    for (int i = 0; i < t->ndim && n < AGI_SHAPE_TEXT - 24; i++)
        n += snprintf(buf + n, (size_t)(AGI_SHAPE_TEXT - n), i ? ",%lld" : "%lld",
                      (long long)t->shape[i]);
    snprintf(buf + n, (size_t)(AGI_SHAPE_TEXT - n), "]");
    return buf;
}

void agi_tensor_extent(const ag_tensor *t, int64_t *lo, int64_t *hi)
{
    int64_t size = agi_dtype_size(t->dtype), last = t->offset;
    *lo = *hi = t->offset * size;
    for (int i = 0; i < t->ndim; i++) {
        if (t->shape[i] == 0) return;
        last += (t->shape[i] - 1) * t->stride[i];
    }
    *hi = (last + 1) * size;
}

/* Where t is columns of rows `stride` bytes apart: its first column's byte in the row and one past
 * its last. False for tensors of other forms. */
static bool columns(const ag_tensor *t, int64_t stride, int64_t *first, int64_t *end)
{
    int64_t size = agi_dtype_size(t->dtype);
    if (t->ndim != 2 || t->stride[1] != 1 || t->stride[0] * size != stride) return false;
    *first = t->offset * size % stride;
    *end = *first + t->shape[1] * size;
    return *end <= stride;
}

/* The dimensions of more than one step, the widest steps first; returns how many. */
static int by_width(const ag_tensor *t, int order[AG_MAX_DIMS])
{
    int n = 0;
    for (int i = 0; i < t->ndim; i++) {
        if (t->shape[i] == 1) continue;
        int at = n++;
        for (; at > 0 && t->stride[order[at - 1]] < t->stride[i]; at--) order[at] = order[at - 1];
        order[at] = i;
    }
    return n;
}

/* Whether two tensors of one form lie in each other's gaps, as the layers of a session's cache do:
 * where some dimension's steps are so wide that what is inside both of them fits into one step. */
static bool interleaved(const ag_tensor *a, const ag_tensor *b)
{
    if (a->ndim != b->ndim || a->dtype != b->dtype) return false;
    for (int i = 0; i < a->ndim; i++)
        if (a->shape[i] != b->shape[i] || a->stride[i] != b->stride[i]) return false;
    const int64_t apart = a->offset < b->offset ? b->offset - a->offset : a->offset - b->offset;
    int64_t inside = 1; /* elements from the first to the last of the narrower dimensions */
    int order[AG_MAX_DIMS];
    for (int i = by_width(a, order) - 1; i >= 0; i--) {
        const int64_t steps = a->shape[order[i]] - 1, stride = a->stride[order[i]];
        if (stride < inside) return false;
        if (inside <= apart && apart + inside <= stride) {
            /* And the wider dimensions do not fold back into the step. */
            int64_t span = steps * stride + stride;
            bool nested = true;
            for (int j = i - 1; nested && j >= 0; j--) {
                nested = a->stride[order[j]] >= span;
                span = (a->shape[order[j]] - 1) * a->stride[order[j]] + span;
            }
            if (nested) return true;
        }
        inside += steps * stride;
    }
    return false;
}

/* By their extents, but different columns of the same rows are told apart, and so are tensors that
 * lie in each other's gaps. */
bool agi_tensor_overlap(const ag_tensor *a, const ag_tensor *b)
{
    int64_t alo, ahi, blo, bhi;
    if (a->buf != b->buf) return false;
    agi_tensor_extent(a, &alo, &ahi);
    agi_tensor_extent(b, &blo, &bhi);
    if (alo >= bhi || blo >= ahi || interleaved(a, b)) return false;
    int64_t stride = a->ndim == 2 ? a->stride[0] * agi_dtype_size(a->dtype) : 0, af, ae, bf, be;
    if (stride <= 0 || !columns(a, stride, &af, &ae) || !columns(b, stride, &bf, &be)) return true;
    return af < be && bf < ae;
}

/* ---- tensors ---- */

/* A shell with checked, contiguous shape and no buffer yet. */
static int tensor_shell(ag_tensor **out, int dtype, int ndim, const int64_t *shape, int64_t *bytes)
{
    *out = NULL;
    if (!agi_dtype_valid(dtype)) return agi_fail(AG_EINVAL, "tensor: unknown dtype %d", dtype);
    if (ndim < 0 || ndim > AG_MAX_DIMS)
        return agi_fail(AG_EINVAL, "tensor: %d dimensions; at most %d", ndim, AG_MAX_DIMS);
    int64_t count;
    if (!agi_shape_count(ndim, shape, &count))
        return agi_fail(AG_EINVAL, "tensor: the shape is negative or its size overflows");
    ag_tensor *t = calloc(1, sizeof *t);
    if (!t) return agi_fail(AG_ENOMEM, "tensor: out of memory");
    t->refs = 1;
    t->dtype = dtype;
    t->ndim = ndim;
    int64_t stride = 1;
    for (int i = ndim - 1; i >= 0; i--) {
        t->shape[i] = shape[i];
        t->stride[i] = stride;
        stride *= shape[i] ? shape[i] : 1;
    }
    *bytes = count * agi_dtype_size(dtype);
    *out = t;
    return AG_OK;
}

/* *out = the shell, if its buffer came to be. */
static int complete(ag_tensor **out, ag_tensor *t, int rc)
{
    if (rc) ag_tensor_free(t);
    else *out = t;
    return rc;
}

int ag_tensor_new(ag_tensor **out, ag_backend *be, int dtype, int ndim, const int64_t *shape)
{
    ag_tensor *t;
    int64_t bytes;
    *out = NULL;
    if (!be) return agi_fail(AG_EINVAL, "tensor: no backend");
    int rc = tensor_shell(&t, dtype, ndim, shape, &bytes);
    if (rc) return rc;
    return complete(out, t, agi_buffer_alloc(&t->buf, be, bytes));
}

int ag_tensor_reserve(ag_tensor **out, ag_backend *be, int dtype, int ndim, const int64_t *shape)
{
    ag_tensor *t;
    int64_t bytes;
    *out = NULL;
    if (!be) return agi_fail(AG_EINVAL, "tensor: no backend");
    if (ndim < 2)
        return agi_fail(AG_EINVAL,
                        "tensor: a reserved tensor needs rows and a dimension to grow in");
    int rc = tensor_shell(&t, dtype, ndim, shape, &bytes);
    if (rc) return rc;
    rc = agi_buffer_reserve(&t->buf, be, shape[0], shape[0] ? bytes / shape[0] : 0);
    if (rc == AG_OK && bytes > 0) t->stride[0] = t->buf->row_bytes / agi_dtype_size(dtype);
    return complete(out, t, rc);
}

int ag_tensor_commit(ag_tensor *t, int64_t row, int64_t n)
{
    int64_t bytes;
    if (!t || !t->buf || t->buf->kind != AGI_RESERVED || t->offset != 0 || t->ndim < 2 ||
        t->shape[0] != t->buf->rows)
        return agi_fail(AG_EINVAL, "commit: not a reserved tensor");
    if (row < 0 || row >= t->shape[0])
        return agi_fail(AG_EINVAL, "commit: row %lld of %lld", (long long)row,
                        (long long)t->shape[0]);
    if (n < 0 || n > t->shape[1])
        return agi_fail(AG_ECAPACITY, "commit: %lld of at most %lld", (long long)n,
                        (long long)t->shape[1]);
    if (agi_tensor_count(t) == 0) return AG_OK;
    if (!agi_mul(n, t->stride[1] * agi_dtype_size(t->dtype), &bytes) || bytes > t->buf->row_size)
        return agi_fail(AG_EINVAL, "commit: not a reserved tensor");
    return agi_buffer_commit(t->buf, row, bytes);
}

int ag_tensor_decommit(ag_tensor *t, int64_t row)
{
    if (!t || !t->buf || t->buf->kind != AGI_RESERVED || t->offset != 0 || t->ndim < 2 ||
        t->shape[0] != t->buf->rows)
        return agi_fail(AG_EINVAL, "decommit: not a reserved tensor");
    if (row < 0 || row >= t->shape[0])
        return agi_fail(AG_EINVAL, "decommit: row %lld of %lld", (long long)row,
                        (long long)t->shape[0]);
    return agi_buffer_decommit(t->buf, row);
}

int agi_tensor_wrap(ag_tensor **out, ag_backend *be, int dtype, int ndim, const int64_t *shape,
                    void *data, void *owner, void (*drop)(void *owner))
{
    ag_tensor *t;
    int64_t bytes;
    *out = NULL;
    int rc = tensor_shell(&t, dtype, ndim, shape, &bytes);
    if (rc) {
        drop(owner);
        return rc;
    }
    return complete(out, t, agi_buffer_wrap(&t->buf, be, data, bytes, owner, drop));
}

int ag_tensor_view(ag_tensor **out, ag_tensor *t, int ndim, const int64_t *shape,
                   const int64_t *stride, int64_t offset)
{
    *out = NULL;
    if (!t || !t->buf) return agi_fail(AG_EINVAL, "view: the tensor has been released");
    if (ndim < 0 || ndim > AG_MAX_DIMS)
        return agi_fail(AG_EINVAL, "view: %d dimensions; at most %d", ndim, AG_MAX_DIMS);
    int64_t count, last;
    if (!agi_shape_count(ndim, shape, &count))
        return agi_fail(AG_EINVAL, "view: the shape is negative or overflows");
    if (offset < 0 || !agi_add(t->offset, offset, &last))
        return agi_fail(AG_EINVAL, "view: bad offset");
    int64_t start = last, lo, hi;
    /* Every stride must fit in bytes, that of a dimension of size 1 too: checks multiply by it. */
    for (int i = 0; i < ndim; i++) {
        int64_t step;
        if (stride[i] < 0 || !agi_mul(stride[i], 8, &step) ||
            !agi_mul(shape[i] ? shape[i] - 1 : 0, stride[i], &step) || !agi_add(last, step, &last))
            return agi_fail(AG_EINVAL, "view: strides overflow");
    }
    /* A view stays inside what its parent can touch: a view of a view cannot grow back. */
    agi_tensor_extent(t, &lo, &hi);
    int64_t size = agi_dtype_size(t->dtype);
    if (count > 0 && (start < lo / size || last >= hi / size))
        return agi_fail(AG_EINVAL, "view: reaches beyond the tensor it is a view of");
    ag_tensor *v = calloc(1, sizeof *v);
    if (!v) return agi_fail(AG_ENOMEM, "view: out of memory");
    v->refs = 1;
    v->dtype = t->dtype;
    v->ndim = ndim;
    v->buf = t->buf;
    v->offset = count > 0 ? start : t->offset;
    for (int i = 0; i < ndim; i++) {
        v->shape[i] = shape[i];
        v->stride[i] = stride[i];
    }
    agi_buffer_retain(v->buf);
    *out = v;
    return AG_OK;
}

void ag_tensor_release(ag_tensor *t)
{
    if (!t || !t->buf) return;
    agi_buffer_free(t->buf);
    t->buf = NULL;
}

void ag_tensor_free(ag_tensor *t)
{
    if (!t || --t->refs > 0) return;
    ag_tensor_release(t);
    free(t);
}

int ag_tensor_ndim(const ag_tensor *t) { return t->ndim; }

int ag_tensor_dtype(const ag_tensor *t) { return t->dtype; }

int ag_tensor_released(const ag_tensor *t) { return t->buf == NULL; }

int ag_tensor_contiguous(const ag_tensor *t)
{
    int64_t stride = 1;
    for (int i = t->ndim - 1; i >= 0; i--) {
        if (t->shape[i] == 0) return 1;
        if (t->shape[i] != 1 && t->stride[i] != stride) return 0;
        stride *= t->shape[i];
    }
    return 1;
}

void ag_tensor_shape(const ag_tensor *t, int64_t *shape)
{
    memcpy(shape, t->shape, (size_t)t->ndim * sizeof *shape);
}

void ag_tensor_stride(const ag_tensor *t, int64_t *stride)
{
    memcpy(stride, t->stride, (size_t)t->ndim * sizeof *stride);
}

ag_backend *ag_tensor_backend(const ag_tensor *t) { return t->buf ? t->buf->be : NULL; }

/* ---- host access ---- */

int agi_host_copy_check(const char *what, const ag_tensor *t, const void *host, int64_t bytes)
{
    int64_t lo, hi;
    if (!t || !t->buf) return agi_fail(AG_EINVAL, "%s: the tensor has been released", what);
    if (t->buf->be->recording)
        return agi_fail(AG_EINVAL, "%s: not while a plan is being captured", what);
    if (!ag_tensor_contiguous(t))
        return agi_fail(AG_EINVAL, "%s: the tensor is not contiguous", what);
    agi_tensor_extent(t, &lo, &hi);
    if (hi - lo != bytes)
        return agi_fail(AG_EINVAL, "%s: %lld bytes for a tensor of %lld", what, (long long)bytes,
                        (long long)(hi - lo));
    if (!agi_buffer_has(t->buf, lo, hi))
        return agi_fail(AG_ECAPACITY, "%s: the tensor is not committed that far", what);
    if (!host && bytes > 0) return agi_fail(AG_EINVAL, "%s: no host memory", what);
    return AG_OK;
}

int ag_tensor_write(ag_tensor *t, const void *src, int64_t bytes)
{
    int rc = agi_host_copy_check("write", t, src, bytes);
    if (rc || bytes == 0) return rc;
    if (t->buf->kind == AGI_MAPPED)
        return agi_fail(AG_EINVAL, "write: the tensor is a mapped file, read only");
    return t->buf->be->slots->upload(t->buf->be, agi_tensor_data(t), src, bytes);
}

int ag_tensor_read(const ag_tensor *t, void *dst, int64_t bytes)
{
    int rc = agi_host_copy_check("read", t, dst, bytes);
    if (rc || bytes == 0) return rc;
    return t->buf->be->slots->download(t->buf->be, dst, agi_tensor_data(t), bytes);
}

void ag_canonical_nan(float *x, int64_t n)
{
    const uint32_t canonical = 0xffc00000u;
    for (int64_t i = 0; i < n; i++) {
        uint32_t u = agi_bits_from_f32(x[i]);
        x[i] = agi_f32_from_bits((u & 0x7fffffffu) > 0x7f800000u ? canonical : u);
    }
}

const void *ag_tensor_host(const ag_tensor *t)
{
    if (!t || !t->buf || t->buf->be->slots->far) return NULL;
    return agi_tensor_data(t);
}

void ag_tensor_forget(const ag_tensor *t)
{
    int64_t lo, hi;
    if (!t || !t->buf || t->buf->kind != AGI_MAPPED) return;
    agi_tensor_extent(t, &lo, &hi);
    agi_mapped_drop(t->buf->data + lo, hi - lo);
}

int ag_tensor_scan(const ag_tensor *t, int streams, int ahead, uint32_t *seen)
{
    int64_t lo, hi;
    if (!t || !t->buf) return agi_fail(AG_EINVAL, "scan: the tensor has been released");
    if (!ag_tensor_contiguous(t)) return agi_fail(AG_EINVAL, "scan: the tensor is not contiguous");
    agi_tensor_extent(t, &lo, &hi);
    if (!agi_buffer_has(t->buf, lo, hi))
        return agi_fail(AG_ECAPACITY, "scan: the tensor is not committed that far");
    ag_backend *be = t->buf->be;
    if (!be->slots->scan) return agi_fail(AG_EUNSUPPORTED, "scan: not on backend '%s'", be->kind);
    return be->slots->scan(be, agi_tensor_data(t), hi - lo, streams, ahead, seen);
}

double ag_tensor_count_nonfinite(const ag_tensor *t)
{
    enum { CHUNK = 1 << 16 };
    if (!t || !t->buf) return agi_fail(AG_EINVAL, "count_nonfinite: the tensor has been released");
    int64_t left = agi_tensor_count(t), size = agi_dtype_size(t->dtype), bad = 0, lo, hi;
    if (!ag_dtype_float(t->dtype) || left == 0) return 0;
    if (!ag_tensor_contiguous(t))
        return agi_fail(AG_EINVAL, "count_nonfinite: the tensor is not contiguous");
    agi_tensor_extent(t, &lo, &hi);
    if (!agi_buffer_has(t->buf, lo, hi))
        return agi_fail(AG_ECAPACITY, "count_nonfinite: not committed that far");
    const char *host = ag_tensor_host(t), *p = agi_tensor_data(t);
    if (host) return (double)agi_count_nonfinite(host, left, t->dtype);
    char *chunk = malloc((size_t)(CHUNK * size));
    if (!chunk) return agi_fail(AG_ENOMEM, "count_nonfinite: out of memory");
    for (int rc; left > 0; left -= CHUNK, p += CHUNK * size) {
        int64_t n = left < CHUNK ? left : CHUNK;
        if ((rc = t->buf->be->slots->download(t->buf->be, chunk, p, n * size)) != AG_OK) {
            free(chunk);
            return rc;
        }
        bad += agi_count_nonfinite(chunk, n, t->dtype);
    }
    free(chunk);
    return (double)bad;
}
