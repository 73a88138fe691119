/*
 * attention.cu: the ops attention and attention_probs. A block is one query head at one step of one
 * row; its WARPS warps take every WARPS-th key with a running softmax of their own (the largest score,
 * the sum, and the mix so far), which are merged at the end in the order of the warps. Nothing is as
 * long as the past. A lane holds the elements lane, lane + 32, ... of the head.
 */
#include "cache.cuh"

enum { WARPS = 4, MOST = 16 }; /* heads of up to 32 * MOST elements */

typedef struct {
    int64_t r, t, h, g, first, p;
    const float *q;
    float *out;
} query;

/* Query i; false when it stands where it must not, which is reported. */
DEVICE bool query_of(const agi_attention_args *a, int64_t i, query *v, agi_fault *f, bool tell)
{
    v->t = i % a->steps;
    v->h = i / a->steps % a->q_heads;
    v->r = i / a->steps / a->q_heads;
    const int64_t pos = a->pos[v->r * a->pos_stride];
    v->p = pos + v->t;
    v->g = v->h / (a->q_heads / a->kv_heads);
    v->first = a->window > 0 && v->p >= a->window ? v->p - a->window + 1 : 0;
    v->q = a->q.p + v->r * a->q.row + v->t * a->q.step + v->h * a->q.head;
    v->out = a->out.p + v->r * a->out.row + v->t * a->out.step + v->h * a->out.head;
    if (pos < 0) {
        if (tell) agi_report(f, AG_EVALUE, AGI_FAULT_POSITION, pos, v->r, 0, 0);
        return false;
    }
    if (v->p - v->first >= a->capacity) {
        if (tell) agi_report(f, AG_ECAPACITY, AGI_FAULT_SLOTS, v->p, a->capacity, 0, 0);
        return false;
    }
    /* The highest slot asked for: the last of the cache once the ring has turned within the window. */
    int64_t top =
        v->first / a->capacity != v->p / a->capacity ? a->capacity - 1 : v->p % a->capacity;
    if (!cache_has(&a->k_cache, top, v->r, v->g, a->d) ||
        !cache_has(&a->v_cache, top, v->r, v->g, a->d)) {
        if (tell) agi_report(f, AG_ECAPACITY, AGI_FAULT_COMMIT, v->p, 0, 0, 0);
        return false;
    }
    return true;
}

DEVICE float score_lane(const agi_attention_args *a, const query *v, int64_t key, int lane)
{
    const float *k = cache_at(&a->k_cache, key % a->capacity, v->r, v->g);
    float sum = 0;
    for (int64_t c = lane; c < a->d; c += AGI_WARP_LANES) sum += v->q[c] * k[c];
    return sum;
}

typedef struct {
    float top, sum, mix[MOST];
} state;

DEVICE void state_begin(state *s)
{
    s->top = -INFINITY;
    s->sum = 0;
    UNROLL for (int i = 0; i < MOST; i++) s->mix[i] = 0;
}

/* e^(a - b), 0 for the part of nobody; NaN passes. */
DEVICE float weight(float a, float b) { return a == -INFINITY ? 0.0f : expf(a - b); }

DEVICE void state_add(const agi_attention_args *a, const query *v, int64_t key, int lane,
                      float score, state *s)
{
    const float *x = cache_at(&a->v_cache, key % a->capacity, v->r, v->g);
    float top = score > s->top || score != score ? score : s->top;
    float old = weight(s->top, top), mine = weight(score, top);
    s->sum = s->sum * old + mine;
    UNROLL for (int i = 0; i < MOST; i++)
    {
        int64_t c = lane + (int64_t)i * AGI_WARP_LANES;
        if (c < a->d) s->mix[i] = s->mix[i] * old + mine * x[c];
    }
    s->top = top;
}

/* The output elements of a lane from the states of all warps. */
DEVICE void merge_lane(const agi_attention_args *a, const query *v, int lane,
                       const float top[WARPS], const float sum[WARPS],
                       const float *mix /* [WARPS][32 * MOST] */)
{
    float best = -INFINITY, total = 0;
    for (int w = 0; w < WARPS; w++)
        if (top[w] > best || top[w] != top[w]) best = top[w];
    for (int w = 0; w < WARPS; w++) total += sum[w] * weight(top[w], best);
    for (int64_t c = lane; c < a->d; c += AGI_WARP_LANES) {
        float x = 0;
        for (int w = 0; w < WARPS; w++)
            x += mix[w * AGI_WARP_LANES * MOST + c] * weight(top[w], best);
        v->out[c] = x / total;
    }
}

#ifdef __CUDACC__
static __global__ void attention_kernel(agi_attention_args a, agi_fault *f)
{
    __shared__ float top[WARPS], sum[WARPS], mix[WARPS * AGI_WARP_LANES * MOST];
    const int warp = threadIdx.x / AGI_WARP_LANES, lane = threadIdx.x % AGI_WARP_LANES;
    query v;
    if (!query_of(&a, blockIdx.x, &v, f, threadIdx.x == 0)) return; /* the whole block */
    state s;
    state_begin(&s);
    for (int64_t key = v.first + warp; key <= v.p; key += WARPS)
        state_add(&a, &v, key, lane, agi_warp_sum(score_lane(&a, &v, key, lane)) * a.scale, &s);
    UNROLL for (int i = 0; i < MOST; i++) mix[(warp * MOST + i) * AGI_WARP_LANES + lane] = s.mix[i];
    if (lane == 0) {
        top[warp] = s.top;
        sum[warp] = s.sum;
    }
    __syncthreads(); /* out may be q: nobody reads q any more */
    if (warp == 0) merge_lane(&a, &v, lane, top, sum, mix);
}

AGI_KERNEL(attention)
{
    const agi_attention_args *a = (const agi_attention_args *)args;
    int64_t blocks = a->rows * a->q_heads * a->steps;
    if (blocks == 0) return 0;
    if (a->d > AGI_WARP_LANES * MOST) return -2;
    attention_kernel<<<(unsigned)blocks, WARPS * AGI_WARP_LANES, 0, (cudaStream_t)l->stream>>>(
        *a, l->fault);
    return agi_launched();
}
#else
AGI_KERNEL(attention)
{
    const agi_attention_args *a = (const agi_attention_args *)args;
    if (a->d > AGI_WARP_LANES * MOST) return -2;
    for (int64_t block = 0; block < a->rows * a->q_heads * a->steps; block++) {
        query v;
        float top[WARPS], sum[WARPS], mix[WARPS * AGI_WARP_LANES * MOST];
        if (!query_of(a, block, &v, l->fault, true)) continue;
        for (int warp = 0; warp < WARPS; warp++) {
            state s[AGI_WARP_LANES];
            for (int lane = 0; lane < AGI_WARP_LANES; lane++) state_begin(&s[lane]);
            for (int64_t key = v.first + warp; key <= v.p; key += WARPS) {
                float part[AGI_WARP_LANES];
                for (int lane = 0; lane < AGI_WARP_LANES; lane++)
                    part[lane] = score_lane(a, &v, key, lane);
                agi_warp_exchange(part);
                for (int lane = 0; lane < AGI_WARP_LANES; lane++)
                    state_add(a, &v, key, lane, part[lane] * a->scale, &s[lane]);
            }
            for (int lane = 0; lane < AGI_WARP_LANES; lane++)
                for (int i = 0; i < MOST; i++)
                    mix[(warp * MOST + i) * AGI_WARP_LANES + lane] = s[lane].mix[i];
            top[warp] = s[0].top;
            sum[warp] = s[0].sum;
        }
        for (int lane = 0; lane < AGI_WARP_LANES; lane++) merge_lane(a, &v, lane, top, sum, mix);
    }
    return 0;
}
#endif

/* The weights for whoever wants to look: a thread a query, in three walks over the keys. */
DEVICE float whole_score(const agi_attention_args *a, const query *v, int64_t key)
{
    const float *k = cache_at(&a->k_cache, key % a->capacity, v->r, v->g);
    float sum = 0;
    for (int64_t c = 0; c < a->d; c++) sum += v->q[c] * k[c];
    return sum * a->scale;
}

DEVICE void probs_item(const agi_attention_probs_args *b, int64_t i, agi_fault *f)
{
    const agi_attention_args *a = &b->of;
    query v;
    if (!query_of(a, i, &v, f, true)) return;
    if (v.p >= b->keys) {
        agi_report(f, AG_ECAPACITY, AGI_FAULT_KEYS, v.p, b->keys, 0, 0);
        return;
    }
    float top = -INFINITY, sum = 0;
    for (int64_t key = 0; key < b->keys; key++) {
        bool seen = key >= v.first && key <= v.p;
        v.out[key] = seen ? whole_score(a, &v, key) : 0;
        if (seen && v.out[key] > top) top = v.out[key];
    }
    for (int64_t key = v.first; key <= v.p; key++) {
        v.out[key] = expf(v.out[key] - top);
        sum += v.out[key];
    }
    for (int64_t key = v.first; key <= v.p; key++) v.out[key] /= sum;
}
AGI_EACH(attention_probs, agi_attention_probs_args, probs_item,
         a->of.rows * a->of.q_heads * a->of.steps)
