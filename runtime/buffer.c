/* buffer.c: see buffer.h. */
#include "buffer.h"
#include "backend.h"
#include "error.h"

#include <stdlib.h>

void agi_buffer_retain(agi_buffer *b) { b->refs++; }

void agi_buffer_free(agi_buffer *b)
{
    if (!b || --b->refs > 0) return;
    ag_backend *be = b->be;
    if (b->kind == AGI_HEAP && b->data) be->slots->free(be, b->data, b->bytes);
    if (b->kind == AGI_RESERVED && b->data) be->slots->unreserve(be, b->data, b->reserved);
    if (b->kind == AGI_MAPPED) b->drop(b->owner);
    if (b->told) be->slots->free(be, b->told, sizeof b->bytes);
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
    agi_backend_retain(be);
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
    b->bytes = b->reserved = bytes;
    be->live += bytes;
    return AG_OK;
}

int agi_buffer_reserve(agi_buffer **out, ag_backend *be, int64_t bytes)
{
    agi_buffer *b = *out = empty(be);
    if (!b) return AG_ENOMEM;
    b->kind = AGI_RESERVED;
    int rc = bytes > 0 ? be->slots->reserve(be, bytes, &b->data) : AG_OK;
    if (rc == AG_OK) b->reserved = bytes;
    /* Kernels read how far a cache is committed. */
    if (rc == AG_OK && be->slots->far) rc = be->slots->alloc(be, sizeof b->bytes, &b->told);
    if (rc) {
        agi_buffer_free(b);
        *out = NULL;
    }
    return rc;
}

int agi_buffer_commit(agi_buffer *b, int64_t bytes)
{
    if (bytes <= b->bytes) return AG_OK;
    int rc = b->be->slots->commit(b->be, b->data, b->bytes, bytes);
    if (rc) return rc;
    b->be->live += bytes - b->bytes;
    b->bytes = bytes;
    return b->told ? b->be->slots->upload(b->be, b->told, &b->bytes, sizeof b->bytes) : AG_OK;
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
    b->bytes = b->reserved = bytes;
    b->owner = owner;
    b->drop = drop;
    return AG_OK;
}
