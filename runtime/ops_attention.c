/* ops_attention.c: fronts (validation) of the rotary and attention ops of ops.def. */
#include "front.h"

static float *f32(const ag_tensor *t) { return t ? (float *)(void *)agi_tensor_data(t) : NULL; }

/* [R, T, H, d] with contiguous d. */
static bool heads(agi_front *f, const char *name, const ag_tensor *t, agi_heads *out)
{
    if (!agi_ndim(f, name, t, 4)) return false;
    if (t->shape[3] > 1 && t->stride[3] != 1)
        return agi_bad(f, "%s: its last dimension must be contiguous", name);
    *out = (agi_heads){f32(t), t->stride[0], t->stride[1], t->stride[2]};
    return true;
}

/* pos [S], and which of the S slots the rows of t are. */
static bool positions(agi_front *f, const ag_tensor *pos, const ag_tensor *t, ag_tensor *slots,
                      agi_slots *out)
{
    return agi_ndim(f, "pos", pos, 1) && agi_slots_arg(f, slots, t->shape[0], pos->shape[0], out);
}

int ag_rope_angles(ag_tensor *out, ag_tensor *pos, ag_tensor *inv_freq, ag_tensor *opt_slots)
{
    agi_front f = agi_front_begin(AGI_OP_rope_angles);
    agi_slots slots;
    if (!(agi_in(&f, "pos", pos, AG_I32) && agi_in(&f, "inv_freq", inv_freq, AG_F32) &&
          agi_out(&f, "out", out, AG_F32) && agi_ndim(&f, "out", out, 3) &&
          agi_ndim(&f, "inv_freq", inv_freq, 1) &&
          agi_vector(&f, "inv_freq", inv_freq, inv_freq->shape[0]) &&
          agi_equal(&f, "out", out, "inv_freq", inv_freq, out->shape[2], 2 * inv_freq->shape[0]) &&
          positions(&f, pos, out, opt_slots, &slots) && agi_apart(&f, out, false)))
        return f.rc;
    if (!ag_tensor_contiguous(out)) {
        agi_bad(&f, "out must be contiguous");
        return f.rc;
    }
    agi_rope_angles_args a = {.out = f32(out),
                              .inv_freq = f32(inv_freq),
                              .pos = (int32_t *)(void *)agi_tensor_data(pos),
                              .slots = slots,
                              .rows = out->shape[0],
                              .steps = out->shape[1],
                              .half = inv_freq->shape[0],
                              .pos_stride = pos->stride[0]};
    return agi_front_run(&f, &a, sizeof a, (double)agi_tensor_count(out) * 16);
}

/* The caches agree with each other, with pos in slots and with q in width. */
static bool caches_fit(agi_front *f, const ag_tensor *kc, const ag_tensor *vc, const ag_tensor *pos,
                       const ag_tensor *q)
{
    if (kc->dtype != vc->dtype)
        return agi_bad(f, "k_cache is %s and v_cache %s", ag_dtype_name(kc->dtype),
                       ag_dtype_name(vc->dtype));
    return agi_same_shape(f, "k_cache", kc, "v_cache", vc) &&
           agi_equal(f, "k_cache", kc, "pos", pos, kc->shape[0], pos->shape[0]) &&
           agi_equal(f, "k_cache", kc, "q", q, kc->shape[4], q->shape[3]);
}

static int64_t capacity_of(const ag_tensor *cache) { return cache->shape[1] * cache->shape[2]; }

int ag_rope_append(ag_tensor *q, ag_tensor *k, ag_tensor *v, ag_tensor *angles, ag_tensor *pos,
                   ag_tensor *k_cache, ag_tensor *v_cache, ag_tensor *opt_q_norm,
                   ag_tensor *opt_k_norm, double eps, ag_tensor *opt_slots)
{
    agi_front f = agi_front_begin(AGI_OP_rope_append);
    agi_rope_append_args a = {0};
    if (!(agi_in(&f, "k", k, AG_F32) && agi_in(&f, "v", v, AG_F32) &&
          agi_in(&f, "angles", angles, AG_F32) && agi_in(&f, "pos", pos, AG_I32) &&
          agi_opt(&f, "q_norm", opt_q_norm, AG_F32) && agi_opt(&f, "k_norm", opt_k_norm, AG_F32) &&
          agi_out(&f, "q", q, AG_F32) && agi_cache_arg(&f, "k_cache", k_cache, true, &a.k_cache) &&
          agi_cache_arg(&f, "v_cache", v_cache, true, &a.v_cache) && heads(&f, "q", q, &a.q) &&
          heads(&f, "k", k, &a.k) && heads(&f, "v", v, &a.v) &&
          agi_same_shape(&f, "k", k, "v", v) && positions(&f, pos, q, opt_slots, &a.slots) &&
          caches_fit(&f, k_cache, v_cache, pos, q) &&
          agi_equal(&f, "q", q, "k", k, q->shape[0], k->shape[0]) &&
          agi_equal(&f, "q", q, "k", k, q->shape[1], k->shape[1]) &&
          agi_equal(&f, "q", q, "k", k, q->shape[3], k->shape[3]) &&
          agi_equal(&f, "k_cache", k_cache, "k", k, k_cache->shape[3], k->shape[2]) &&
          agi_ndim(&f, "angles", angles, 3) &&
          agi_equal(&f, "angles", angles, "q", q, angles->shape[0], q->shape[0]) &&
          agi_equal(&f, "angles", angles, "q", q, angles->shape[1], q->shape[1]) &&
          agi_equal(&f, "angles", angles, "q", q, angles->shape[2], q->shape[3]) &&
          agi_vector(&f, "q_norm", opt_q_norm, q->shape[3]) &&
          agi_vector(&f, "k_norm", opt_k_norm, q->shape[3])))
        return f.rc;
    if (!ag_tensor_contiguous(angles) || q->shape[3] % 2) {
        agi_bad(&f, "angles must be contiguous and the head width even");
        return f.rc;
    }
    if (q->shape[1] > capacity_of(k_cache))
        return agi_fail(AG_ECAPACITY, "rope_append: %lld steps do not fit a cache of %lld places",
                        (long long)q->shape[1], (long long)capacity_of(k_cache));
    a.angles = f32(angles);
    a.q_norm = f32(opt_q_norm);
    a.k_norm = f32(opt_k_norm);
    a.pos = (int32_t *)(void *)agi_tensor_data(pos);
    a.rows = q->shape[0];
    a.steps = q->shape[1];
    a.q_heads = q->shape[2];
    a.kv_heads = k->shape[2];
    a.d = q->shape[3];
    a.capacity = capacity_of(k_cache);
    a.pos_stride = pos->stride[0];
    a.eps = (float)eps;
    return agi_front_run(&f, &a, sizeof a, (double)agi_tensor_count(q) * 4);
}

/* What attention and attention_probs share once their tensors have been checked. */
static bool attend(agi_front *f, agi_attention_args *a, const ag_tensor *q,
                   const ag_tensor *k_cache, const ag_tensor *pos, double scale, int32_t window)
{
    a->rows = q->shape[0];
    a->steps = q->shape[1];
    a->q_heads = q->shape[2];
    a->kv_heads = k_cache->shape[3];
    a->d = q->shape[3];
    a->capacity = capacity_of(k_cache);
    a->window = window;
    a->pos = (int32_t *)(void *)agi_tensor_data(pos);
    a->pos_stride = pos->stride[0];
    a->scale = (float)scale;
    if (a->kv_heads < 1 || a->q_heads % a->kv_heads)
        return agi_bad(f, "%lld query heads do not divide into %lld key heads",
                       (long long)a->q_heads, (long long)a->kv_heads);
    /* A ring must still hold the oldest key of the first of these queries after the last of them
     * has been appended. */
    if (window > 0 && window - 1 + a->steps > a->capacity)
        return agi_bad(f, "a window of %d and %lld steps need a capacity of %lld, k_cache has %lld",
                       window, (long long)a->steps, (long long)(window - 1 + a->steps),
                       (long long)a->capacity);
    return true;
}

int ag_attention(ag_tensor *out, ag_tensor *q, ag_tensor *k_cache, ag_tensor *v_cache,
                 ag_tensor *pos, double scale, int32_t window, ag_tensor *opt_slots)
{
    agi_front f = agi_front_begin(AGI_OP_attention);
    agi_attention_args a = {0};
    if (!(agi_in(&f, "q", q, AG_F32) && agi_in(&f, "pos", pos, AG_I32) &&
          agi_out(&f, "out", out, AG_F32) &&
          agi_cache_arg(&f, "k_cache", k_cache, false, &a.k_cache) &&
          agi_cache_arg(&f, "v_cache", v_cache, false, &a.v_cache) && heads(&f, "q", q, &a.q) &&
          heads(&f, "out", out, &a.out) && agi_same_shape(&f, "out", out, "q", q) &&
          positions(&f, pos, q, opt_slots, &a.slots) && caches_fit(&f, k_cache, v_cache, pos, q) &&
          agi_range(&f, "window", window, 0, INT32_MAX) && agi_apart(&f, out, true) &&
          attend(&f, &a, q, k_cache, pos, scale, window)))
        return f.rc;
    return agi_front_run(&f, &a, sizeof a, (double)agi_tensor_count(q) * 64);
}

int ag_attention_probs(ag_tensor *out, ag_tensor *q, ag_tensor *k_cache, ag_tensor *pos,
                       double scale, int32_t window, ag_tensor *opt_slots)
{
    agi_front f = agi_front_begin(AGI_OP_attention_probs);
    agi_attention_probs_args a = {0};
    if (!(agi_in(&f, "q", q, AG_F32) && agi_in(&f, "pos", pos, AG_I32) &&
          agi_out(&f, "out", out, AG_F32) &&
          agi_cache_arg(&f, "k_cache", k_cache, false, &a.of.k_cache) &&
          heads(&f, "q", q, &a.of.q) && heads(&f, "out", out, &a.of.out) &&
          agi_equal(&f, "out", out, "q", q, out->shape[0], q->shape[0]) &&
          agi_equal(&f, "out", out, "q", q, out->shape[1], q->shape[2]) &&
          agi_equal(&f, "out", out, "q", q, out->shape[2], q->shape[1]) &&
          positions(&f, pos, q, opt_slots, &a.of.slots) &&
          caches_fit(&f, k_cache, k_cache, pos, q) &&
          agi_range(&f, "window", window, 0, INT32_MAX) && agi_apart(&f, out, false) &&
          attend(&f, &a.of, q, k_cache, pos, scale, window)))
        return f.rc;
    /* out is [R, H, T, P]: heads() read its second dimension as the step. */
    a.of.out = (agi_heads){a.of.out.p, out->stride[0], out->stride[2], out->stride[1]};
    a.of.v_cache = a.of.k_cache;
    a.keys = out->shape[3];
    return agi_front_run(&f, &a, sizeof a, (double)agi_tensor_count(q) * 64);
}
