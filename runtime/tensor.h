/* tensor.h: tensors from the inside: a shape over a buffer. */
#ifndef ARGENT_TENSOR_H
#define ARGENT_TENSOR_H

#include "argent.h"
#include "buffer.h"
#include "dtype.h"

#include <stdbool.h>

struct ag_tensor {
    int refs;
    int dtype;
    int ndim;
    agi_buffer *buf; /* NULL after ag_tensor_release */
    int64_t shape[AG_MAX_DIMS];
    int64_t stride[AG_MAX_DIMS]; /* elements, never negative */
    int64_t offset;              /* elements */
};

/* A tensor over memory that somebody else keeps (a mapped file): drop(owner) is called when the
 * last tensor goes, and also when this function fails. */
int agi_tensor_wrap(ag_tensor **out, ag_backend *be, int dtype, int ndim, const int64_t *shape,
                    void *data, void *owner, void (*drop)(void *owner));

/* Elements of a shape and their bytes; false where that overflows or a dim is negative. */
bool agi_shape_count(int ndim, const int64_t *shape, int64_t *count);

/* What ag_tensor_write and _read ask for: the tensor is usable and is exactly `bytes` contiguous
 * bytes. */
int agi_host_copy_check(const char *what, const ag_tensor *t, const void *host, int64_t bytes);
/* First byte and one past the last byte that the tensor can touch, relative to its buffer. Equal
 * for empty tensors. */
void agi_tensor_extent(const ag_tensor *t, int64_t *lo, int64_t *hi);
bool agi_tensor_overlap(const ag_tensor *a, const ag_tensor *b);
int64_t agi_tensor_count(const ag_tensor *t);

/* Writes "[2,3,4]" for messages and returns buf. */
enum { AGI_SHAPE_TEXT = 128 };
const char *agi_shape_text(const ag_tensor *t, char buf[AGI_SHAPE_TEXT]);

/* Address of the first element; NULL where there are none. */
static inline char *agi_tensor_data(const ag_tensor *t)
{
    return t->buf->data ? t->buf->data + t->offset * agi_dtype_size(t->dtype) : NULL;
}

#endif
