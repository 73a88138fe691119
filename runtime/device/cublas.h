/* cublas.h: cuBLAS for the op matmul, opened at run time where it is there. */
#ifndef ARGENT_DEVICE_CUBLAS_H
#define ARGENT_DEVICE_CUBLAS_H

#include "../ops.h"

#include <cuda_runtime_api.h>
#include <stdbool.h>

/* What cuBLAS calls CUBLAS_OP_N, ...: its headers are a package that a build can do without. */
enum { AGI_CUBLAS_N = 0, AGI_CUBLAS_T = 1, AGI_CUBLAS_F32 = 68, AGI_CUBLAS_DEFAULT = -1 };

typedef struct agi_cublas agi_cublas;

/* libcublas of this CUDA's version, or the file that ARGENT_CUBLAS names ("off": none), for the
 * current device and a stream; NULL where there is none. workspace: `bytes` of the device, 256-byte
 * aligned, that products may use: cuBLAS would allocate its own, which a capture forbids. Not while
 * the stream is captured. */
agi_cublas *agi_cublas_open(cudaStream_t stream, void *workspace, size_t bytes);
void agi_cublas_close(agi_cublas *b);

/* Whether it takes this product: one dtype for both operands, each with rows or columns whose
 * elements lie side by side, sizes that fit its integers. */
bool agi_cublas_takes(const agi_matmul_args *a);
/* Asks the stream for the product; 0, or cuBLAS's status. */
int agi_cublas_matmul(agi_cublas *b, const agi_matmul_args *a);

#endif
