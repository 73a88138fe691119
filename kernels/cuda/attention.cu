/*
 * attention.cu: the ops attention and attention_probs, and attention with the rope_append of one
 * step in front of it (fused.h).
 *
 * A block is one query: a head at a step of a row; where rows are single steps and the past can be
 * long, up to SPLITS blocks share a query's keys, and the last of them to end merges what they
 * found. A warp takes KEYS keys at a time, four lanes to a key, with a running softmax of its own:
 * the largest score, the sum, and the mix so far. Nothing is as long as the past, and every merge
 * has one order.
 */
#include "rope.cuh"
#include "small.cuh"

enum {
    THREADS = 256,
    WARPS = THREADS / AGI_WARP_LANES,
    KEYS = 8,             /* of a warp at a time */
    BATCH = WARPS * KEYS, /* of a block at a time; a split has whole batches */
    SPLITS = 8,
    WIDE = 4 * AGI_WARP_LANES, /* elements of a head that a warp's vectors hold */
    MOST = 4                   /* heads of up to MOST * WIDE elements */
};

/* In 32 bits, without a sign, what is divided: positions and their sums with steps fit. */
typedef struct {
    uint32_t r, t, h, g; /* row, step, head, head of keys */
    bool leads;          /* the first head of those that share one of keys */
    uint32_t first, p;   /* the positions that it sees */
    uint32_t place;      /* of p in the cache */
    int64_t slot;
    const float *q;
    float *out;
} query;

DEVICE uint32_t capacity_of(const agi_attention_args *a)
{
    return a->capacity < UINT32_MAX ? (uint32_t)a->capacity : UINT32_MAX;
}

/* Query i; false when it stands where it must not, which is reported, `negative` where its row's
 * position is below 0. */
DEVICE bool query_of(const agi_attention_args *a, uint32_t i, query *v, agi_fault *f, bool tell,
                     int32_t negative)
{
    const uint32_t steps = (uint32_t)a->steps, heads = (uint32_t)a->q_heads, head = i / steps,
                   group = heads / (uint32_t)a->kv_heads, window = (uint32_t)a->window,
                   capacity = capacity_of(a);
    v->t = i - head * steps;
    v->r = head / heads;
    v->h = head - v->r * heads;
    v->g = v->h / group;
    v->leads = v->h == v->g * group;
    v->slot = agi_slot_of(&a->slots, v->r);
    if (v->slot < 0) {
        if (tell) agi_report(f, AGI_FAULT_SLOT, v->r, 0, 0, 0);
        return false;
    }
    const int32_t pos = a->pos[v->slot * a->pos_stride];
    if (pos < 0) {
        if (tell) agi_report(f, negative, pos, v->r, 0, 0);
        return false;
    }
    v->p = (uint32_t)pos + v->t;
    v->first = window > 0 && v->p >= window ? v->p - window + 1 : 0;
    v->q = a->q.p + v->r * a->q.row + v->t * a->q.step + v->h * a->q.head;
    v->out = a->out.p + v->r * a->out.row + v->t * a->out.step + v->h * a->out.head;
    if (v->p - v->first >= capacity) {
        if (tell) agi_report(f, AGI_FAULT_PLACES, v->p, a->capacity, 0, 0);
        return false;
    }
    v->place = v->p < capacity ? v->p : v->p % capacity;
    /* The highest place asked for: the last of the cache once the ring has turned on the way. */
    const uint32_t top = v->place < v->p - v->first ? capacity - 1 : v->place;
    if (!agi_cache_has(&a->k_cache, v->slot, top, v->g, a->d) ||
        !agi_cache_has(&a->v_cache, v->slot, top, v->g, a->d)) {
        if (tell) agi_report(f, AGI_FAULT_COMMIT, v->p, 0, 0, 0);
        return false;
    }
    return true;
}

/* The place of a key that the query sees. */
DEVICE uint32_t place_of(const agi_attention_args *a, const query *v, uint32_t key)
{
    const uint32_t back = v->p - key;
    return v->place >= back ? v->place - back : v->place + capacity_of(a) - back;
}

typedef struct {
    agi_attend_args of;
    bool append;  /* with the rope_append */
    bool vectors; /* keys and values begin on vectors of four and are whole ones */
    int splits;
    int *tickets;   /* of each query: how many of its blocks have ended; 0 between launches */
    float *partial; /* [query, split, 2 + d]: top, sum, mix */
    agi_fault *fault;
} attend_args;

/* What a block has of the newest position when the kernel appends it, and of its query. */
typedef struct {
    float *q, *key, *value;
} newest;

/* A key or a value: d elements of the cache's dtype, or of f32 what the kernel itself appends. */
typedef struct {
    const char *p;
    int dtype;
} kept;

DEVICE kept row_of(const agi_attention_args *a, const agi_cache *cache, const query *v,
                   uint32_t key, const float *fresh)
{
    kept row;
    const bool own = fresh && key == v->p;
    row.p = own ? (const char *)fresh : agi_cache_at(cache, v->slot, place_of(a, v, key), v->g);
    row.dtype = own ? AG_F32 : cache->dtype;
    return row;
}

/* Elements c .. c + 3; zeros behind the last. */
DEVICE void load_four(kept x, int64_t c, int64_t d, bool vectors, float out[4])
{
    if (!vectors) {
        UNROLL for (int i = 0; i < 4; i++) out[i] = c + i < d ? load_as(x.p, x.dtype, c + i) : 0;
    } else if (x.dtype == AG_F32) {
        const float4 f = *(const float4 *)(const void *)((const float *)(const void *)x.p + c);
        out[0] = f.x, out[1] = f.y, out[2] = f.z, out[3] = f.w;
    } else {
        const uint32_t *two = (const uint32_t *)(const void *)x.p + c / 2;
        const uint32_t lo = two[0], hi = two[1];
        out[0] = agi_f32_from_bits(lo << 16), out[1] = agi_f32_from_bits(lo & 0xffff0000u);
        out[2] = agi_f32_from_bits(hi << 16), out[3] = agi_f32_from_bits(hi & 0xffff0000u);
    }
}

/* Larger, NaN before all. */
DEVICE float larger(float a, float b) { return a != a || a > b ? a : b; }

/* e^(a - b), 0 for the part of nobody; NaN passes. */
DEVICE float weight(float a, float b) { return a == -INFINITY ? 0.0f : expf(a - b); }

/* What lane t of a key's four adds to its score. */
DEVICE float score_part(const float *q, kept k, int64_t d, int t, bool vectors)
{
    float sum = 0;
    for (int64_t c = 4 * t; c < d; c += 16) {
        float y[4];
        load_four(k, c, d, vectors, y);
        for (int i = 0; i < 4 && c + i < d; i++) sum = FMA(q[c + i], y[i], sum);
    }
    return sum;
}

/* A warp's softmax: lanes have elements 4 * lane + i of every WIDE of the mix. */
typedef struct {
    float top, sum, mix[MOST][4];
} state;

/* Takes in the keys first .. first + KEYS, of which those up to `last` are there. */
DEVICE void take_keys(const agi_attention_args *a, const query *v, const newest *fresh,
                      uint32_t first, uint32_t last, int lane, bool vectors, state *s)
{
    const uint32_t own = first + (uint32_t)lane / 4, mine = own <= last ? own : last;
    const kept k = row_of(a, &a->k_cache, v, mine, fresh->key);
    float score = score_part(fresh->q, k, a->d, lane % 4, vectors);
    score += shuffle(score, lane ^ 1);
    score += shuffle(score, lane ^ 2);
    score = own <= last ? score * a->scale : -INFINITY;
    float top = score;
    UNROLL for (int off = 4; off < AGI_WARP_LANES; off *= 2) top =
        larger(top, shuffle(top, lane ^ off));
    top = larger(s->top, top);
    const float old = weight(s->top, top), part = weight(score, top);
    float w[KEYS];
    s->top = top;
    s->sum *= old;
    UNROLL for (int u = 0; u < KEYS; u++)
    {
        w[u] = shuffle(part, 4 * u);
        s->sum += w[u];
    }
    UNROLL for (int m = 0; m < MOST; m++)
    {
        const int64_t c = m * WIDE + 4 * lane;
        if (c >= a->d) continue;
        UNROLL for (int i = 0; i < 4; i++) s->mix[m][i] *= old;
        UNROLL for (int u = 0; u < KEYS; u++)
        {
            float x[4];
            const uint32_t key = first + (uint32_t)u;
            if (key > last) continue;
            load_four(row_of(a, &a->v_cache, v, key, fresh->value), c, a->d, vectors, x);
            UNROLL for (int i = 0; i < 4; i++) s->mix[m][i] = FMA(w[u], x[i], s->mix[m][i]);
        }
    }
}

/* A number as the cache keeps it. */
DEVICE float rounded(const agi_cache *c, float x)
{
    return c->dtype == AG_F32 ? x : agi_f32_from_bf16(agi_bf16_from_f32(x));
}

/* rope_append of the block's head, into `fresh` and, by the first query head of a group, into the
 * cache; false when its slot cannot be written, which is reported. */
DEVICE bool append(const attend_args *a, const query *v, const newest *fresh, bool writes)
{
    const agi_rope_append_args *r = &a->of.rope;
    const int warp = threadIdx.x / AGI_WARP_LANES, lane = threadIdx.x % AGI_WARP_LANES;
    const float *angles = r->angles + v->r * r->d;
    if (!agi_cache_has(&r->k_cache, v->slot, v->place, v->g, r->d) ||
        !agi_cache_has(&r->v_cache, v->slot, v->place, v->g, r->d)) {
        if (threadIdx.x == 0) agi_report(a->fault, AGI_FAULT_APPEND_COMMIT, v->p, 0, 0, 0);
        return false;
    }
    if (warp == 0) {
        const float *q = r->q.p + v->r * r->q.row + v->h * r->q.head;
        const float scale = head_scale(r, q, r->q_norm, lane);
        for (int64_t j = lane; j < r->d / 2; j += AGI_WARP_LANES)
            rotate(r, q, r->q_norm, scale, angles, j, fresh->q);
    } else if (warp == 1) {
        const float *k = r->k.p + v->r * r->k.row + v->g * r->k.head;
        const float scale = head_scale(r, k, r->k_norm, lane);
        for (int64_t j = lane; j < r->d / 2; j += AGI_WARP_LANES)
            rotate(r, k, r->k_norm, scale, angles, j, fresh->key);
    } else if (warp == 2) {
        const float *x = r->v.p + v->r * r->v.row + v->g * r->v.head;
        for (int64_t c = lane; c < r->d; c += AGI_WARP_LANES) fresh->value[c] = x[c];
    }
    __syncthreads();
    char *key = agi_cache_at(&r->k_cache, v->slot, v->place, v->g),
         *value = agi_cache_at(&r->v_cache, v->slot, v->place, v->g);
    for (int64_t c = threadIdx.x; c < r->d; c += THREADS) {
        fresh->key[c] = rounded(&r->k_cache, fresh->key[c]);
        fresh->value[c] = rounded(&r->v_cache, fresh->value[c]);
        if (!writes || !v->leads) continue;
        store_as(key, r->k_cache.dtype, c, fresh->key[c]);
        store_as(value, r->v_cache.dtype, c, fresh->value[c]);
    }
    __syncthreads();
    return true;
}

/* Element c of n softmaxes together: of `tops` and `sums` the i-th stands at i * step, of `mixes`
 * at i * width. */
DEVICE float merged(const float *tops, const float *sums, int64_t step, const float *mixes,
                    int64_t width, int64_t n, int64_t c, float *top, float *total)
{
    float best = -INFINITY, sum = 0, x = 0;
    for (int64_t i = 0; i < n; i++) best = larger(best, tops[i * step]);
    for (int64_t i = 0; i < n; i++) {
        const float w = weight(tops[i * step], best);
        sum = FMA(sums[i * step], w, sum);
        x = FMA(mixes[i * width + c], w, x);
    }
    *top = best;
    *total = sum;
    return x;
}

/* Whether this block is the last of its query's `active` ones; then all they wrote can be read. One
 * thread's fences do for the block, as it waits for the others before and they for it behind. */
DEVICE bool is_last(int *ticket, uint32_t active)
{
    SHARED(int, last, 1);
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        *last = atomicAdd(ticket, 1) == (int)active - 1;
        if (*last) *ticket = 0;
        __threadfence();
    }
    __syncthreads();
    return *last;
}

KERNEL(attend, attend_args, THREADS, 1)
{
    SHARED(float, q, MOST *WIDE);
    SHARED(float, key, MOST *WIDE);
    SHARED(float, value, MOST *WIDE);
    SHARED(float, tops, WARPS);
    SHARED(float, sums, WARPS);
    SHARED(float, mixes, WARPS *MOST *WIDE);
    const agi_attention_args *p = &a->of.attention;
    const int warp = threadIdx.x / AGI_WARP_LANES, lane = threadIdx.x % AGI_WARP_LANES;
    const newest fresh = {q, a->append ? key : NULL, a->append ? value : NULL};
    query v;
    BEGIN();
    /* What follows returns for the whole block, and for all blocks of a query alike, but for those
     * beyond its keys. */
    if (!query_of(p, (uint32_t)blockIdx.x, &v, a->fault, threadIdx.x == 0,
                  a->append ? AGI_FAULT_APPEND_POSITION : AGI_FAULT_POSITION))
        return;
    const uint32_t n = v.p - v.first + 1, share = (uint32_t)a->splits * BATCH,
                   per = (n + share - 1) / share * BATCH, active = (n + per - 1) / per,
                   split = (uint32_t)blockIdx.y;
    if (split >= active) return;
    const uint32_t lo = v.first + split * per, hi = v.p - lo < per ? v.p : lo + per - 1;
    if (a->append) {
        if (!append(a, &v, &fresh, hi == v.p)) return;
    } else {
        for (int64_t c = threadIdx.x; c < p->d; c += THREADS) q[c] = v.q[c];
        __syncthreads();
    }
    state s;
    s.top = -INFINITY;
    s.sum = 0;
    UNROLL for (int m = 0; m < MOST; m++) UNROLL for (int i = 0; i < 4; i++) s.mix[m][i] = 0;
    for (uint32_t k = lo + (uint32_t)warp * KEYS; k <= hi; k += BATCH)
        take_keys(p, &v, &fresh, k, hi, lane, a->vectors, &s);
    if (lane == 0) {
        tops[warp] = s.top;
        sums[warp] = s.sum;
    }
    UNROLL for (int m = 0; m < MOST; m++) UNROLL for (int i = 0; i < 4; i++)
        mixes[(warp * MOST + m) * WIDE + 4 * lane + i] = s.mix[m][i];
    __syncthreads();
    float *mine = a->partial + (blockIdx.x * (int64_t)a->splits + split) * (2 + p->d);
    for (int64_t c = threadIdx.x; c < p->d; c += THREADS) {
        float top, total;
        const float x = merged(tops, sums, 1, mixes, MOST * WIDE, WARPS, c, &top, &total);
        if (active == 1) {
            v.out[c] = x / total;
            continue;
        }
        mine[2 + c] = x;
        if (c == 0) {
            mine[0] = top;
            mine[1] = total;
        }
    }
    if (active == 1 || !is_last(&a->tickets[blockIdx.x], active)) return;
    const float *all = a->partial + blockIdx.x * (int64_t)a->splits * (2 + p->d);
    for (int64_t c = threadIdx.x; c < p->d; c += THREADS) {
        float top, total;
        const float x = merged(all, all + 1, 2 + p->d, all + 2, 2 + p->d, active, c, &top, &total);
        v.out[c] = x / total;
    }
}

static int splits_of(const agi_attention_args *a)
{
    const int64_t most = blocks_of(a->capacity, BATCH);
    return a->steps > 1 || most < 1 ? 1 : most < SPLITS ? (int)most : SPLITS;
}

static int64_t queries(const agi_attention_args *a) { return a->rows * a->q_heads * a->steps; }

int64_t agi_cuda_attention_scratch(const agi_attention_args *a)
{
    return splits_of(a) == 1 ? 0 : queries(a) * (4 + splits_of(a) * (2 + a->d) * 4);
}

/* Whether every row begins on four elements. */
static bool on_vectors(const agi_cache *c)
{
    const int64_t four = 4 * agi_dtype_size(c->dtype);
    return (uintptr_t)c->p % (uintptr_t)four == 0 && c->slot % four == 0 && c->block % four == 0 &&
           c->place % four == 0 && c->head % four == 0;
}

static int start(attend_args *a, const agi_launch *l)
{
    const agi_attention_args *p = &a->of.attention;
    a->vectors = p->d % 4 == 0 && on_vectors(&p->k_cache) && on_vectors(&p->v_cache);
    a->splits = splits_of(p);
    a->fault = l->fault;
    a->tickets = (int *)l->scratch;
    a->partial = (float *)l->scratch + queries(p);
    if (queries(p) == 0) return 0;
    if (p->d > MOST * WIDE) return AGI_NO_KERNEL;
    return START(l, attend, queries(p), a->splits, THREADS, a);
}

LAUNCHER(attention)
{
    attend_args a;
    memset(&a, 0, sizeof a);
    a.of.attention = *(const agi_attention_args *)args;
    return start(&a, l);
}

LAUNCHER(attend)
{
    attend_args a;
    memset(&a, 0, sizeof a);
    a.of = *(const agi_attend_args *)args;
    a.append = true;
    return start(&a, l);
}

/* The weights for whoever wants to look: a thread a query, in three walks over the keys. */
DEVICE float whole_score(const agi_attention_args *a, const query *v, uint32_t key)
{
    const char *k = agi_cache_at(&a->k_cache, v->slot, place_of(a, v, key), v->g);
    float sum = 0;
    for (int64_t c = 0; c < a->d; c++) sum += v->q[c] * load_as(k, a->k_cache.dtype, c);
    return sum * a->scale;
}

DEVICE void probs_item(const agi_attention_probs_args *b, int64_t i, agi_fault *f)
{
    const agi_attention_args *a = &b->of;
    query v;
    if (!query_of(a, (uint32_t)i, &v, f, true, AGI_FAULT_POSITION)) return;
    if (v.p >= b->keys) {
        agi_report(f, AGI_FAULT_KEYS, v.p, b->keys, 0, 0);
        return;
    }
    float top = -INFINITY, sum = 0;
    for (int64_t key = 0; key < b->keys; key++) {
        bool seen = key >= v.first && key <= v.p;
        v.out[key] = seen ? whole_score(a, &v, (uint32_t)key) : 0;
        if (seen && v.out[key] > top) top = v.out[key];
    }
    for (int64_t key = v.first; key <= v.p; key++) {
        v.out[key] = expf(v.out[key] - top);
        sum += v.out[key];
    }
    for (int64_t key = v.first; key <= v.p; key++) v.out[key] /= sum;
}
EACH(attention_probs, agi_attention_probs_args, probs_item,
     a->of.rows * a->of.q_heads * a->of.steps)
