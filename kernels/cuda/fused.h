/*
 * fused.h: what the host hands to the kernels: where a launch goes, and the arguments of the
 * launches that stand for several ops (runtime/device/fuse.c finds them in a plan). Each writes
 * every tensor that its ops write, with the same bits.
 */
#ifndef ARGENT_KERNELS_CUDA_FUSED_H
#define ARGENT_KERNELS_CUDA_FUSED_H

#include "../../runtime/backend.h"
#include "../../runtime/fault.h"
#include "../../runtime/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a launcher returns where no kernel of it fits the call; other than 0, all else is an error
 * of the machine. */
enum { AGI_NO_KERNEL = -2 };

/* Where a launch goes. */
typedef struct {
    void *stream;     /* cudaStream_t */
    agi_fault *fault; /* memory that host and device both see; the first fault stays */
    void *scratch;    /* of the size that the op asks for (agi_cuda_scratch) */
    int dependent;    /* may begin before the launch before it has ended */
    int *started;     /* set to 1 once a kernel is launched: an op of no elements launches none */
} agi_launch;

/* Bytes of scratch that a launch of the op wants, zeroed once and left as it was found. */
int64_t agi_cuda_attention_scratch(const agi_attention_args *a);
int64_t agi_cuda_sample_scratch(const agi_sample_args *a);

/* ---- products of a few rows ---- */

/* The most rows that one reading of the weights serves. */
enum { AGI_PRODUCT_ROWS = 8, AGI_PRODUCT_PARTS = 3 };

/* Several matrices of one kind on the same rows x, with what comes before and after. */
typedef struct {
    int parts;
    agi_linear_args part[AGI_PRODUCT_PARTS]; /* x, rows, k, taps are those of part[0] */
    /* rms_norm before: x is normalised on its way, and written to normed. */
    float *normed, *norm_w;
    int64_t normed_stride;
    float eps;
    /* The residual stream that takes in part[0]'s result: sum += scale * out; NULL: none. */
    float *sum, *scale;
    int64_t sum_stride;
    /* silu_mul of part[0], the gate, and part[1]; the result replaces the gate. */
    int gated;
} agi_product_args;

/* ---- attention of one step ---- */

/* rope_append of one step per row and the attention that follows it. */
typedef struct {
    agi_attention_args attention;
    agi_rope_append_args rope;
} agi_attend_args;

/* ---- small ops ---- */

/* Ops of few elements, one after the other in one block. */
enum { AGI_SMALL_OPS = 8, AGI_SMALL_ELEMENTS = 8192 };

typedef struct {
    int n;
    struct {
        enum agi_op op;
        int64_t count; /* of its threads */
        union {
            agi_copy_args copy;
            agi_fill_args fill;
            agi_add_args add;
            agi_embedding_args embedding;
            agi_advance_args advance;
            agi_rope_angles_args rope_angles;
        } args;
    } op[AGI_SMALL_OPS];
} agi_small_args;

/* Threads that op takes as a small one, -1: it is none. */
int64_t agi_cuda_small_count(enum agi_op op, const void *args);

/* The address of one of the kernels, by which the runtime tells what the card runs of them. */
const void *agi_cuda_a_kernel(void);

/* The launches; 0, a cudaError_t, or AGI_NO_KERNEL. */
int agi_cuda_product(const void *args, const agi_launch *l);
int agi_cuda_attend(const void *args, const agi_launch *l);
int agi_cuda_small(const void *args, const agi_launch *l);

#ifdef __cplusplus
}
#endif

#endif
