/*
 * small.cu: several small ops, one after the other in one block, where a launch for each would cost
 * more than they do: the ends of a frame's steps are made of them.
 */
#include "small.cuh"

enum { THREADS = 512 };

typedef struct {
    agi_small_args of;
    agi_fault *fault;
} small_args;

#define RUN(name, item)                                                                            \
    case AGI_OP_##name:                                                                            \
        for (int64_t i = threadIdx.x; i < count; i += THREADS)                                     \
            item(&a->of.op[k].args.name, i, a->fault);                                             \
        break;

KERNEL(small, small_args, THREADS, 1)
{
    BEGIN();
    for (int k = 0; k < a->of.n; k++) {
        const int64_t count = a->of.op[k].count;
        switch (a->of.op[k].op) {
            RUN(copy, copy_item)
            RUN(fill, fill_item)
            RUN(add, add_item)
            RUN(embedding, embedding_item)
            RUN(advance, advance_item)
            RUN(rope_angles, angles_item)
        default: break;
        }
        __syncthreads(); /* the next op may read what this one wrote */
    }
}

int64_t agi_cuda_small_count(enum agi_op op, const void *args)
{
    switch (op) {
    case AGI_OP_copy: {
        const agi_copy_args *a = (const agi_copy_args *)args;
        return elements(a->shape, a->ndim);
    }
    case AGI_OP_fill: {
        const agi_fill_args *a = (const agi_fill_args *)args;
        return elements(a->shape, a->ndim);
    }
    case AGI_OP_add: {
        const agi_add_args *a = (const agi_add_args *)args;
        return a->rows * a->n;
    }
    case AGI_OP_embedding: {
        const agi_embedding_args *a = (const agi_embedding_args *)args;
        return a->rows * a->n;
    }
    case AGI_OP_advance: return ((const agi_advance_args *)args)->n;
    case AGI_OP_rope_angles: {
        const agi_rope_angles_args *a = (const agi_rope_angles_args *)args;
        return a->rows * a->steps * a->half;
    }
    default: return -1;
    }
}

const void *agi_cuda_a_kernel(void) { return (const void *)small; }

LAUNCHER(small)
{
    small_args a;
    memset(&a, 0, sizeof a);
    a.of = *(const agi_small_args *)args;
    a.fault = l->fault;
    return START(l, small, 1, 1, THREADS, &a);
}
