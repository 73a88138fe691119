/* both.h: what host code and CUDA kernels share is written once, in headers of plain C. */
#ifndef ARGENT_BOTH_H
#define ARGENT_BOTH_H

#ifdef __CUDACC__
#define AGI_BOTH static __host__ __device__ __forceinline__
#else
#define AGI_BOTH static inline
#endif

#endif
