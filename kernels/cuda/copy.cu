/* copy.cu: the ops copy and fill, see small.cuh. */
#include "small.cuh"

EACH(copy, agi_copy_args, copy_item, elements(a->shape, a->ndim))
EACH(fill, agi_fill_args, fill_item, elements(a->shape, a->ndim))
