/* front.h: the checks that the fronts of the ops (ops_*.c) are made of. Each records the first
 * fault with the op's and the argument's name and returns false, so that a front is one `if
 * (!(... && ...)) return f.rc;`. */
#ifndef ARGENT_FRONT_H
#define ARGENT_FRONT_H

#include "error.h"
#include "ops.h"
#include "plan.h"
#include "tensor.h"

typedef struct {
    const char *op;
    ag_backend *be;
    agi_call call;
    const char *names[AGI_MAX_ACCESS]; /* of the tensors that call.access is about */
    const ag_tensor *tensors[AGI_MAX_ACCESS];
    int rc;
} agi_front;

/* Instead of a dtype: one that is a kind of weights, a float that is, one that keys and values are
 * kept in, and any. */
enum { AGI_WEIGHT = -1, AGI_DENSE = -2, AGI_CACHE = -3, AGI_ANY = -4 };

agi_front agi_front_begin(enum agi_op op);
/* A tensor the op reads, writes, or both: not NULL, not released, of the dtype, on the same
 * backend, committed. */
bool agi_in(agi_front *f, const char *name, ag_tensor *t, int dtype);
bool agi_out(agi_front *f, const char *name, ag_tensor *t, int dtype);
/* Like agi_in, but NULL is fine. */
bool agi_opt(agi_front *f, const char *name, ag_tensor *t, int dtype);
/* What kernels read of a tensor that agi_in has taken as AGI_DENSE; `stride` elements from row to
 * row. */
agi_weight agi_weight_of(const ag_tensor *t, int64_t stride);
/* Whether t has this shape and is contiguous. */
bool agi_shaped(agi_front *f, const char *name, const ag_tensor *t, int ndim, const int64_t *shape);
/* A weight of outs x k, as rows or packed, and the scales that quantised ones have. */
bool agi_weight_arg(agi_front *f, ag_tensor *w, ag_tensor *opt_scale, int64_t outs, int64_t k,
                    agi_weight *out);
/* An attention cache: the kernel checks what is committed when it runs. written: the op appends
 * to it. */
bool agi_cache_arg(agi_front *f, const char *name, ag_tensor *t, bool written, agi_cache *out);
/* The slots of `rows` rows, of `count` that there are: i32 [rows], or NULL: row r is slot r. */
bool agi_slots_arg(agi_front *f, ag_tensor *t, int64_t rows, int64_t count, agi_slots *out);
/* The fault words of `rows` rows, i32 [rows]; NULL is fine. */
bool agi_faults_arg(agi_front *f, ag_tensor *t, int64_t rows, agi_row_faults *out);

bool agi_ndim(agi_front *f, const char *name, const ag_tensor *t, int ndim);
/* Says both shapes when a and b differ somewhere. */
bool agi_same_shape(agi_front *f, const char *an, const ag_tensor *a, const char *bn,
                    const ag_tensor *b);
/* "op: a [..] and b [..]: x != y" unless x == y. */
bool agi_equal(agi_front *f, const char *an, const ag_tensor *a, const char *bn, const ag_tensor *b,
               int64_t x, int64_t y);
/* A vector of n contiguous elements. NULL passes. */
bool agi_vector(agi_front *f, const char *name, const ag_tensor *t, int64_t n);
/* Folds all dims but the last into rows of one stride; the last must be contiguous. */
bool agi_fold(agi_front *f, const char *name, const ag_tensor *t, agi_rows *rows, int64_t *n);
/* out shares no byte with an input; where `elementwise`, it may be exactly the same elements. */
bool agi_apart(agi_front *f, const ag_tensor *out, bool elementwise);
/* An integer argument in range. */
bool agi_range(agi_front *f, const char *name, int64_t v, int64_t lo, int64_t hi);
bool agi_bad(agi_front *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* records a fault, false */

int agi_front_run(agi_front *f, const void *args, size_t size, double work);

#endif
