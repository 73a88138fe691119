/* buffer.c: see buffer.h. */
#include "buffer.h"
#include "backend.h"
#include "error.h"
#include "size.h"

#include <stdlib.h>

void agi_buffer_retain(agi_buffer *b) { b->refs++; }

void agi_buffer_free(agi_buffer *b)
{
    if (!b || --b->refs > 0) return;
    ag_backend *be = b->be;
    if (b->kind == AGI_HEAP && b->data) be->slots->free(be, b->data, b->bytes);
    if (b->kind == AGI_RESERVED && b->data)
        be->slots->unreserve(be, b->data, b->rows * b->row_bytes);
    if (b->kind == AGI_MAPPED) b->drop(b->owner);
    if (b->told) be->slots->free(be, b->told, b->rows * (int64_t)sizeof *b->committed);
    free(b->committed);
    if (b->kind != AGI_MAPPED) be->live -= b->bytes;
    free(b);
    ag_backend_free(be);
}

static agi_buffer *empty(ag_backend *be)
{
    agi_buffer *b = calloc(1, sizeof *b);
    if (!b) {
        agi_fail(AG_ENOMEM, "tensor: out of memory");
        return NULL;
    }
    b->be = be;
    b->refs = 1;
    ag_backend_retain(be);
    return b;
}

int agi_buffer_alloc(agi_buffer **out, ag_backend *be, int64_t bytes)
{
    agi_buffer *b = *out = empty(be);
    if (!b) return AG_ENOMEM;
    b->kind = AGI_HEAP;
    int rc = bytes > 0 ? be->slots->alloc(be, bytes, &b->data) : AG_OK;
    if (rc) {
        agi_buffer_free(b);
        *out = NULL;
        return rc;
    }
    b->bytes = bytes;
    be->live += bytes;
    return AG_OK;
}

int agi_buffer_reserve(agi_buffer **out, ag_backend *be, int64_t rows, int64_t row_size)
{
    agi_buffer *b = *out = empty(be);
    if (!b) return AG_ENOMEM;
    b->kind = AGI_RESERVED;
    b->rows = rows;
    b->row_size = row_size;
    /* Each row begins where memory can be committed apart from the row before. */
    const int64_t step = be->slots->page(be), size = (int64_t)sizeof *b->committed;
    int64_t whole = 0, counts = 0;
    int rc = AG_OK;
    if (!agi_add(row_size, step - 1, &whole) || !agi_mul(whole / step * step, rows, &whole) ||
        !agi_mul(rows, size, &counts))
        rc = agi_fail(AG_EINVAL, "tensor: the shape is too large to be reserved");
    else if (rows > 0 && !(b->committed = calloc((size_t)rows, (size_t)size)))
        rc = agi_fail(AG_ENOMEM, "tensor: out of memory");
    if (rc == AG_OK && whole > 0) rc = be->slots->reserve(be, whole, &b->data);
    if (rc == AG_OK && rows > 0) b->row_bytes = whole / rows;
    /* Kernels read how far a cache is committed. */
    if (rc == AG_OK && rows > 0 && be->slots->far) rc = be->slots->alloc(be, counts, &b->told);
    if (rc) {
        agi_buffer_free(b);
        *out = NULL;
    }
    return rc;
}

int agi_buffer_commit(agi_buffer *b, int64_t row, int64_t bytes)
{
    const int64_t has = b->committed[row], start = row * b->row_bytes;
    if (bytes <= has) return AG_OK;
    int rc = b->be->slots->commit(b->be, b->data, start + has, start + bytes);
    if (rc) return rc;
    b->be->live += bytes - has;
    b->bytes += bytes - has;
    b->committed[row] = bytes;
    const int64_t at = row * (int64_t)sizeof bytes;
    return b->told ? b->be->slots->upload(b->be, b->told + at, &bytes, sizeof bytes) : AG_OK;
}

int agi_buffer_decommit(agi_buffer *b, int64_t row)
{
    const int64_t has = b->committed[row], start = row * b->row_bytes, none = 0;
    if (has == 0 || !b->be->slots->decommit) return AG_OK;
    int rc = b->be->slots->decommit(b->be, b->data, start, start + has);
    if (rc) return rc;
    b->be->live -= has;
    b->bytes -= has;
    b->committed[row] = 0;
    const int64_t at = row * (int64_t)sizeof none;
    return b->told ? b->be->slots->upload(b->be, b->told + at, &none, sizeof none) : AG_OK;
}

bool agi_buffer_has(const agi_buffer *b, int64_t lo, int64_t hi)
{
    if (b->kind != AGI_RESERVED) return hi <= b->bytes;
    for (int64_t row = lo < hi ? lo / b->row_bytes : 0; lo < hi; row++) {
        const int64_t start = row * b->row_bytes, end = start + b->row_size;
        if (start + b->committed[row] < (hi < end ? hi : end)) return false;
        lo = start + b->row_bytes;
    }
    return true;
}

int agi_buffer_wrap(agi_buffer **out, ag_backend *be, void *data, int64_t bytes, void *owner,
                    void (*drop)(void *owner))
{
    agi_buffer *b = *out = empty(be);
    if (!b) {
        drop(owner);
        return AG_ENOMEM;
    }
    b->kind = AGI_MAPPED;
    b->data = data;
    b->bytes = bytes;
    b->owner = owner;
    b->drop = drop;
    return AG_OK;
}
