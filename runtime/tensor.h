/* tensor.h: buffers and tensors from the inside. A buffer is refcounted memory of one backend; a
 * tensor is a shape over it. */
#ifndef ARGENT_TENSOR_H
#define ARGENT_TENSOR_H

#include "argent.h"

#include <stdbool.h>

typedef struct agi_buffer agi_buffer;

struct agi_buffer {
    ag_backend *be; /* retained */
    int refs;
    char *data;
    int64_t bytes;    /* usable now: allocated or committed */
    int64_t reserved; /* addresses held; equals bytes but for reserved buffers */
    enum { AGI_HEAP, AGI_RESERVED, AGI_MAPPED } kind;
    char *told;  /* AGI_RESERVED where kernels cannot read `bytes`: a copy of it that they can */
    void *owner; /* AGI_MAPPED: what keeps the mapping, given back by drop(owner) */
    void (*drop)(void *owner);
};

struct ag_tensor {
    int refs;
    int dtype;
    int ndim;
    agi_buffer *buf; /* NULL after ag_tensor_release */
    int64_t shape[AG_MAX_DIMS];
    int64_t stride[AG_MAX_DIMS]; /* elements, never negative */
    int64_t offset;              /* elements */
};

void agi_buffer_retain(agi_buffer *b);
void agi_buffer_free(agi_buffer *b);

/* A tensor over memory that somebody else keeps (a mapped file): drop(owner) is called when the
 * last tensor goes, and also when this function fails. */
int agi_tensor_wrap(ag_tensor **out, ag_backend *be, int dtype, int ndim, const int64_t *shape,
                    void *data, void *owner, void (*drop)(void *owner));

/* Elements of a shape and their bytes; false where that overflows or a dim is negative. */
bool agi_shape_count(int ndim, const int64_t *shape, int64_t *count);

static inline char *agi_tensor_data(const ag_tensor *t);

/* What ag_tensor_write and _read ask for: the tensor is usable and is exactly `bytes` contiguous
 * bytes. */
int agi_host_copy_check(const char *what, const ag_tensor *t, int64_t bytes);
/* First byte and one past the last byte that the tensor can touch, relative to its buffer. Equal
 * for empty tensors. */
void agi_tensor_extent(const ag_tensor *t, int64_t *lo, int64_t *hi);
bool agi_tensor_overlap(const ag_tensor *a, const ag_tensor *b);
int64_t agi_tensor_count(const ag_tensor *t);

/* Writes "[2,3,4]" for messages and returns buf. */
enum { AGI_SHAPE_TEXT = 128 };
const char *agi_shape_text(const ag_tensor *t, char buf[AGI_SHAPE_TEXT]);

#include "dtype.h"
static inline char *agi_tensor_data(const ag_tensor *t)
{
    return t->buf->data ? t->buf->data + t->offset * agi_dtype_size(t->dtype) : NULL;
}

#endif
