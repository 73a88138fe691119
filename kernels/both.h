/* both.h: what CPU kernels and CUDA kernels share is written once, in headers of this folder. */
#ifndef ARGENT_KERNELS_BOTH_H
#define ARGENT_KERNELS_BOTH_H

#ifdef __CUDACC__
#define AGI_BOTH static __device__ __forceinline__
#else
#define AGI_BOTH static inline
#endif

#endif
