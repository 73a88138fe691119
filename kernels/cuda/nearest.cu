/*
 * nearest.cu: the op nearest: a warp a row of x; each lane takes every 32nd entry of the table and
 * keeps its first nearest, then the nearest of the lanes wins, of equals the first in the table.
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
    if (best.at < 0) agi_report(f, AGI_FAULT_NEAREST, r, 0, 0, 0);
    else a->out[r * a->out_stride] = (int32_t)best.at;
}

typedef struct {
    agi_nearest_args of;
    agi_fault *fault;
} nearest_args;

KERNEL(nearest, nearest_args, AGI_BLOCK_THREADS, 1)
{
    const int64_t r = ((int64_t)blockIdx.x * AGI_BLOCK_THREADS + threadIdx.x) / AGI_WARP_LANES;
    const int lane = threadIdx.x % AGI_WARP_LANES;
    BEGIN();
    if (r >= a->of.rows) return; /* a whole warp */
    candidate best = nearest_lane(&a->of, r, lane);
    for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2) {
        candidate other;
        other.distance = shuffle(best.distance, lane ^ off);
        other.at = shuffle_int(best.at, lane ^ off);
        if (nearer(best, other)) best = other;
    }
    if (lane == 0) nearest_store(&a->of, r, best, a->fault);
}

LAUNCHER(nearest)
{
    const nearest_args a = {*(const agi_nearest_args *)args, l->fault};
    if (a.of.rows == 0) return 0;
    return START(l, nearest, blocks_of(a.of.rows * AGI_WARP_LANES, AGI_BLOCK_THREADS), 1,
                 AGI_BLOCK_THREADS, &a);
}
