/*
 * rope.c: the ops rope_angles and rope_append: rotary positions (half-split), the norms of queries
 * and keys that come before them, and the keys' and values' way into the cache. Positions are data,
 * so they are checked here.
 */
#include "../cache.h"
#include "isa.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/fault.h"

#include <math.h>
#include <string.h>

/* The angle is an f32 product, as in the reference; its cosine and sine are correctly rounded. */
int agi_cpu_rope_angles(const void *args, agi_worker *w)
{
    const agi_rope_angles_args *a = args;
    int64_t lo, hi;
    agi_share(w, a->rows * a->steps, 1, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        int64_t slot = agi_slot_of(&a->slots, i / a->steps);
        if (slot < 0) return agi_fault_fail(AGI_FAULT_SLOT, i / a->steps, 0, 0, 0);
        int64_t pos = a->pos[slot * a->pos_stride] + i % a->steps;
        float *out = a->out + i * 2 * a->half;
        for (int64_t j = 0; j < a->half; j++) {
            float angle = (float)pos * a->inv_freq[j];
            out[j] = (float)cos((double)angle);
            out[a->half + j] = (float)sin((double)angle);
        }
    }
    return AG_OK;
}

/* x[j], x[j + d / 2] are a pair; angles: d / 2 cosines, d / 2 sines. */
static void rotate(float *x, const float *angles, int64_t d)
{
    int64_t half = d / 2;
    for (int64_t j = 0; j < half; j++) {
        float u = x[j], v = x[j + half], c = angles[j], s = angles[j + half];
        x[j] = u * c - v * s;
        x[j + half] = v * c + u * s;
    }
}

static void norm_rotate(float *out, const float *x, const float *norm, const float *angles,
                        const agi_rope_append_args *a, const agi_worker *w)
{
    if (norm) w->isa->rms_norm(out, x, norm, a->d, a->eps);
    else if (out != x) memcpy(out, x, (size_t)a->d * sizeof *x);
    rotate(out, angles, a->d);
}

/* d elements in the cache's dtype. */
static void keep(const agi_cache *c, char *to, const float *x, int64_t d)
{
    if (c->dtype == AG_F32) memcpy(to, x, (size_t)d * sizeof *x);
    else
        for (int64_t i = 0; i < d; i++) ((uint16_t *)(void *)to)[i] = agi_bf16_from_f32(x[i]);
}

static int append(const agi_rope_append_args *a, const agi_worker *w, int64_t r, int64_t t,
                  int64_t h, int64_t slot, const float *angles)
{
    int64_t pos = a->pos[slot * a->pos_stride] + t, place = pos % a->capacity;
    if (!agi_cache_has(&a->k_cache, slot, place, h, a->d) ||
        !agi_cache_has(&a->v_cache, slot, place, h, a->d))
        return agi_fault_fail(AGI_FAULT_APPEND_COMMIT, pos, 0, 0, 0);
    float *rotated = w->scratch;
    norm_rotate(rotated, a->k.p + r * a->k.row + t * a->k.step + h * a->k.head, a->k_norm, angles,
                a, w);
    keep(&a->k_cache, agi_cache_at(&a->k_cache, slot, place, h), rotated, a->d);
    keep(&a->v_cache, agi_cache_at(&a->v_cache, slot, place, h),
         a->v.p + r * a->v.row + t * a->v.step + h * a->v.head, a->d);
    return AG_OK;
}

/* The items are (row, step, head): the query heads, then the key heads with their values. */
int agi_cpu_rope_append(const void *args, agi_worker *w)
{
    const agi_rope_append_args *a = args;
    const int64_t heads = a->q_heads + a->kv_heads;
    int64_t lo, hi;
    agi_share(w, a->rows * a->steps * heads, 1, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        int64_t h = i % heads, t = i / heads % a->steps, r = i / heads / a->steps;
        const float *angles = a->angles + (r * a->steps + t) * a->d;
        const int64_t slot = agi_slot_of(&a->slots, r);
        if (slot < 0) return agi_fault_fail(AGI_FAULT_SLOT, r, 0, 0, 0);
        if (a->pos[slot * a->pos_stride] < 0)
            return agi_fault_fail(AGI_FAULT_APPEND_POSITION, a->pos[slot * a->pos_stride], r, 0, 0);
        if (h < a->q_heads) {
            float *q = a->q.p + r * a->q.row + t * a->q.step + h * a->q.head;
            norm_rotate(q, q, a->q_norm, angles, a, w);
        } else {
            int rc = append(a, w, r, t, h - a->q_heads, slot, angles);
            if (rc) return rc;
        }
    }
    return AG_OK;
}
