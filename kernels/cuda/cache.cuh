/* cache.cuh: addresses in the key and value caches, as in kernels/cpu/cache.h. `committed` lies in
 * memory that the device sees (runtime/device_cuda.c). */
#ifndef ARGENT_KERNELS_CUDA_CACHE_CUH
#define ARGENT_KERNELS_CUDA_CACHE_CUH

#include "device.h"

DEVICE float *cache_at(const agi_cache *c, int64_t slot, int64_t row, int64_t head)
{
    return c->p + slot * c->slot + row * c->row + head * c->head;
}

DEVICE bool cache_has(const agi_cache *c, int64_t slot, int64_t row, int64_t head, int64_t d)
{
    return (const char *)(cache_at(c, slot, row, head) + d) - c->base <= *c->committed;
}

#endif
