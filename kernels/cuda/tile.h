/* tile.h: when a product goes by tiles (tile.cu), and what vector loads need of its tensors. */
#ifndef ARGENT_KERNELS_CUDA_TILE_H
#define ARGENT_KERNELS_CUDA_TILE_H

#include "../weight.h"
#include "device.h"

enum { AGI_TILE_OUTS = 16 };

/* Rows of whole vectors that begin on 16 bytes. */
static inline bool agi_tile_input_fits(const agi_linear_args *a)
{
    return a->k % 8 == 0 && (uintptr_t)a->x % 16 == 0 && a->x_stride % 4 == 0 && a->x_tap % 4 == 0;
}

static inline bool agi_tile_weights_fit(const agi_linear_args *a)
{
    return (uintptr_t)a->w.p % 16 == 0 && agi_weight_bytes(a->w.kind, a->w.stride) % 16 == 0;
}

/* Whether the product has enough rows and outputs for tiles, and tensors that they can read. */
static inline bool agi_tile_fits(const agi_linear_args *a)
{
    return a->rows > AGI_PRODUCT_ROWS && a->outs >= AGI_TILE_OUTS && agi_tile_input_fits(a) &&
           agi_tile_weights_fit(a);
}

#ifdef __cplusplus
extern "C"
#endif
    int
    agi_cuda_tile(const void *args, const agi_launch *l);

#endif
