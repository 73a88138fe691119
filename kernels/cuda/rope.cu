/*
 * rope.cu: the ops rope_angles (a thread a pair) and rope_append (a warp a head: RMS norm,
 * rotation, and for keys and values their way into the cache).
 */
#include "rope.cuh"
#include "small.cuh"

EACH(rope_angles, agi_rope_angles_args, angles_item, a->rows * a->steps * a->half)

/* Item i is a (row, step, head); the query heads come first, then the keys. */
DEVICE float append_phase(const agi_rope_append_args *a, int64_t i, int lane, int k,
                          const float *total)
{
    const int64_t heads = a->q_heads + a->kv_heads, t = i / heads % a->steps,
                  r = i / heads / a->steps;
    int64_t h = i % heads;
    const bool key = h >= a->q_heads;
    const agi_heads *from = key ? &a->k : &a->q;
    (void)k;
    (void)total;
    if (key) h -= a->q_heads;
    if (!(key ? a->k_norm : a->q_norm)) return 0;
    return square_lane(from->p + r * from->row + t * from->step + h * from->head, a->d, lane);
}

DEVICE void append_finish(const agi_rope_append_args *a, int64_t i, int lane, const float *total,
                          agi_fault *f)
{
    const int64_t heads = a->q_heads + a->kv_heads, t = i / heads % a->steps,
                  r = i / heads / a->steps, half = a->d / 2;
    const int64_t slot = agi_slot_of(&a->slots, r);
    if (slot < 0) {
        if (lane == 0) agi_report(f, AGI_FAULT_SLOT, r, 0, 0, 0);
        return;
    }
    const int64_t own = a->pos[slot * a->pos_stride], pos = own + t;
    const float *angles = a->angles + (r * a->steps + t) * a->d;
    const float scale = rms_of(total[0], a->d, a->eps);
    int64_t h = i % heads;
    if (own < 0) {
        if (lane == 0) agi_report(f, AGI_FAULT_APPEND_POSITION, own, r, 0, 0);
        return;
    }
    if (h < a->q_heads) {
        float *q = a->q.p + r * a->q.row + t * a->q.step + h * a->q.head;
        for (int64_t j = lane; j < half; j += AGI_WARP_LANES)
            rotate(a, q, a->q_norm, scale, angles, j, q);
        return;
    }
    h -= a->q_heads;
    const float *k = a->k.p + r * a->k.row + t * a->k.step + h * a->k.head;
    const float *v = a->v.p + r * a->v.row + t * a->v.step + h * a->v.head;
    const int64_t place = pos % a->capacity;
    if (!agi_cache_has(&a->k_cache, slot, place, h, a->d) ||
        !agi_cache_has(&a->v_cache, slot, place, h, a->d)) {
        if (lane == 0) agi_report(f, AGI_FAULT_APPEND_COMMIT, pos, 0, 0, 0);
        return;
    }
    char *key = agi_cache_at(&a->k_cache, slot, place, h),
         *value = agi_cache_at(&a->v_cache, slot, place, h);
    for (int64_t j = lane; j < half; j += AGI_WARP_LANES) {
        const rotated pair = rotate_pair(a, k, a->k_norm, scale, angles, j);
        store_as(key, a->k_cache.dtype, j, pair.first);
        store_as(key, a->k_cache.dtype, j + half, pair.second);
    }
    for (int64_t c = lane; c < a->d; c += AGI_WARP_LANES)
        store_as(value, a->v_cache.dtype, c, v[c]);
}
WARP(rope_append, agi_rope_append_args, 1, append_phase, append_finish,
     a->rows * a->steps * (a->q_heads + a->kv_heads))
