/*
 * nearest.cu: the op nearest: a warp a row of x; each lane takes every 32nd entry of the table and keeps
 * its first nearest, then the nearest of the lanes wins, of equals the first in the table.
 */
#include "device.h"

typedef struct {
    float distance;
    int64_t at; /* -1: none */
} candidate;

DEVICE candidate nearest_lane(const agi_nearest_args *a, int64_t r, int lane)
{
    candidate best = {INFINITY, -1};
    const float *x = a->x + r * a->x_stride;
    for (int64_t e = lane; e < a->vocab; e += AGI_WARP_LANES) {
        const float *row = a->table + e * a->table_stride;
        float sum = 0;
        for (int64_t c = 0; c < a->n; c++) sum += (x[c] - row[c]) * (x[c] - row[c]);
        if (sum < best.distance) {
            best.distance = sum;
            best.at = e;
        }
    }
    return best;
}

/* Whether b comes before a. */
DEVICE bool nearer(candidate a, candidate b)
{
    if (b.at < 0) return false;
    return a.at < 0 || b.distance < a.distance || (b.distance == a.distance && b.at < a.at);
}

DEVICE void nearest_store(const agi_nearest_args *a, int64_t r, candidate best, agi_fault *f)
{
    if (best.at < 0) agi_report(f, AG_EVALUE, AGI_FAULT_NEAREST, r, 0, 0, 0);
    else a->out[r * a->out_stride] = (int32_t)best.at;
}

#ifdef __CUDACC__
static __global__ void nearest_kernel(agi_nearest_args a, agi_fault *f)
{
    int64_t r = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / AGI_WARP_LANES;
    int lane = threadIdx.x % AGI_WARP_LANES;
    if (r >= a.rows) return;
    candidate best = nearest_lane(&a, r, lane);
    for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2) {
        candidate other;
        other.distance = __shfl_xor_sync(~0u, best.distance, off);
        other.at = __shfl_xor_sync(~0u, best.at, off);
        if (nearer(best, other)) best = other;
    }
    if (lane == 0) nearest_store(&a, r, best, f);
}

AGI_KERNEL(nearest)
{
    const agi_nearest_args *a = (const agi_nearest_args *)args;
    if (a->rows == 0) return 0;
    nearest_kernel<<<agi_blocks(a->rows * AGI_WARP_LANES, AGI_BLOCK_THREADS), AGI_BLOCK_THREADS, 0,
                     (cudaStream_t)l->stream>>>(*a, l->fault);
    return agi_launched();
}
#else
AGI_KERNEL(nearest)
{
    const agi_nearest_args *a = (const agi_nearest_args *)args;
    for (int64_t r = 0; r < a->rows; r++) {
        candidate best[AGI_WARP_LANES];
        for (int lane = 0; lane < AGI_WARP_LANES; lane++) best[lane] = nearest_lane(a, r, lane);
        for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2) {
            candidate next[AGI_WARP_LANES];
            for (int i = 0; i < AGI_WARP_LANES; i++)
                next[i] = nearer(best[i], best[i ^ off]) ? best[i ^ off] : best[i];
            memcpy(best, next, sizeof best);
        }
        nearest_store(a, r, best[0], l->fault);
    }
    return 0;
}
#endif
