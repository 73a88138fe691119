/*
 * rope.cu: the ops rope_angles (a thread a pair) and rope_append (a warp a head: RMS norm, rotation,
 * and for keys and values their way into the cache).
 */
#include "cache.cuh"

/* The angle is an f32 product, as in the reference; cosine and sine are of its f64 value. */
DEVICE void angles_item(const agi_rope_angles_args *a, int64_t i, agi_fault *f)
{
    int64_t row = i / a->half, j = i % a->half;
    int64_t pos = a->pos[row / a->steps * a->pos_stride] + row % a->steps;
    float angle = (float)pos * a->inv_freq[j], *out = a->out + row * 2 * a->half;
    (void)f;
    out[j] = (float)cos((double)angle);
    out[a->half + j] = (float)sin((double)angle);
}
AGI_EACH(rope_angles, agi_rope_angles_args, angles_item, a->rows * a->steps * a->half)

/* Where item i, a (row, step, head), reads and writes; the query heads come first, then the keys. */
typedef struct {
    const float *x, *norm, *angles;
    float *out; /* NULL: its slot cannot be written */
    int64_t r, t, h, pos;
    bool key;
} place;

DEVICE place place_of(const agi_rope_append_args *a, int64_t i)
{
    const int64_t heads = a->q_heads + a->kv_heads;
    place p;
    p.h = i % heads;
    p.t = i / heads % a->steps;
    p.r = i / heads / a->steps;
    p.pos = a->pos[p.r * a->pos_stride] + p.t;
    p.angles = a->angles + (p.r * a->steps + p.t) * a->d;
    p.key = p.h >= a->q_heads;
    if (!p.key) {
        p.out = a->q.p + p.r * a->q.row + p.t * a->q.step + p.h * a->q.head;
        p.x = p.out;
        p.norm = a->q_norm;
        return p;
    }
    p.h -= a->q_heads;
    p.x = a->k.p + p.r * a->k.row + p.t * a->k.step + p.h * a->k.head;
    p.norm = a->k_norm;
    int64_t slot = p.pos >= 0 ? p.pos % a->capacity : 0;
    bool fits = cache_has(&a->k_cache, slot, p.r, p.h, a->d) &&
                cache_has(&a->v_cache, slot, p.r, p.h, a->d);
    p.out = fits ? cache_at(&a->k_cache, slot, p.r, p.h) : NULL;
    return p;
}

DEVICE float append_phase(const agi_rope_append_args *a, int64_t i, int lane, int k,
                          const float *total)
{
    place p = place_of(a, i);
    float sum = 0;
    (void)k;
    (void)total;
    for (int64_t c = lane; p.norm && c < a->d; c += AGI_WARP_LANES) sum += p.x[c] * p.x[c];
    return sum;
}

DEVICE void append_finish(const agi_rope_append_args *a, int64_t i, int lane, const float *total,
                          agi_fault *f)
{
    place p = place_of(a, i);
    const int64_t half = a->d / 2;
    if (p.pos < p.t) { /* the row's own position is below zero */
        if (lane == 0) agi_report(f, AG_EVALUE, AGI_FAULT_APPEND_POSITION, p.pos - p.t, p.r, 0, 0);
        return;
    }
    if (!p.out) {
        if (lane == 0) agi_report(f, AG_ECAPACITY, AGI_FAULT_APPEND_COMMIT, p.pos, 0, 0, 0);
        return;
    }
    float scale = p.norm ? 1.0f / sqrtf(total[0] / (float)a->d + a->eps) : 1.0f;
    for (int64_t j = lane; j < half; j += AGI_WARP_LANES) {
        float u = p.x[j], v = p.x[j + half], c = p.angles[j], s = p.angles[j + half];
        if (p.norm) {
            u = u * scale * p.norm[j];
            v = v * scale * p.norm[j + half];
        }
        p.out[j] = u * c - v * s;
        p.out[j + half] = v * c + u * s;
    }
    if (!p.key) return;
    float *to = cache_at(&a->v_cache, p.pos % a->capacity, p.r, p.h);
    const float *from = a->v.p + p.r * a->v.row + p.t * a->v.step + p.h * a->v.head;
    for (int64_t c = lane; c < a->d; c += AGI_WARP_LANES) to[c] = from[c];
}
AGI_WARP(rope_append, agi_rope_append_args, 1, append_phase, append_finish,
         a->rows * a->steps * (a->q_heads + a->kv_heads))
