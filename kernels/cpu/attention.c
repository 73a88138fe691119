/*
 * attention.c: the ops attention and attention_probs. One item is one query head at one step of one
 * row: scores against all keys it sees, softmax, mix of the values, all in this worker's scratch.
 * Keys and values lie in blocks, perhaps of a ring, and are read in runs of neighbours.
 */
#include "../cache.h"
#include "isa.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/fault.h"

#include <string.h>

/* What one query sees: positions first .. p of a slot, key head g. */
typedef struct {
    int64_t slot, first, p, g;
} view;

/* How many positions from `pos` to `last` lie side by side, and where the first of them is. */
static int64_t run_at(const agi_attention_args *a, const agi_cache *c, int64_t pos, int64_t last,
                      int64_t *place)
{
    *place = pos % a->capacity;
    int64_t size = (int64_t)1 << c->shift, n = size - (*place & (size - 1));
    if (n > a->capacity - *place) n = a->capacity - *place;
    return n < last - pos + 1 ? n : last - pos + 1;
}

static int look(const agi_attention_args *a, const agi_worker *w, int64_t r, int64_t t, int64_t h,
                view *at)
{
    const int64_t most = w->scratch_bytes / (int64_t)sizeof(float);
    at->slot = agi_slot_of(&a->slots, r);
    if (at->slot < 0) return agi_fault_fail(AGI_FAULT_SLOT, r, 0, 0, 0);
    const int64_t pos = a->pos[at->slot * a->pos_stride], p = pos + t;
    at->p = p;
    at->g = h / (a->q_heads / a->kv_heads);
    at->first = a->window > 0 && p >= a->window ? p - a->window + 1 : 0;
    if (pos < 0) return agi_fault_fail(AGI_FAULT_POSITION, pos, r, 0, 0);
    if (p - at->first >= a->capacity || p - at->first >= most)
        return agi_fault_fail(AGI_FAULT_PLACES, p, a->capacity, 0, 0);
    /* The highest place asked for: the last of the cache once the ring has turned on the way. */
    bool turned = at->first / a->capacity != p / a->capacity;
    int64_t top = turned ? a->capacity - 1 : p % a->capacity;
    if (!agi_cache_has(&a->k_cache, at->slot, top, at->g, a->d) ||
        !agi_cache_has(&a->v_cache, at->slot, top, at->g, a->d))
        return agi_fault_fail(AGI_FAULT_COMMIT, p, 0, 0, 0);
    return AG_OK;
}

/* e^(score - largest) of every key seen, into s; returns their sum. */
static float weigh(const agi_attention_args *a, const agi_worker *w, int64_t r, int64_t t,
                   int64_t h, const view *at, float *s)
{
    const float *q = a->q.p + r * a->q.row + t * a->q.step + h * a->q.head;
    int64_t place;
    for (int64_t pos = at->first, n; pos <= at->p; pos += n) {
        n = run_at(a, &a->k_cache, pos, at->p, &place);
        w->isa->scores(s + (pos - at->first), q, agi_cache_at(&a->k_cache, at->slot, place, at->g),
                       a->k_cache.place, n, a->d, a->scale);
    }
    return w->isa->softmax(s, at->p - at->first + 1);
}

static int attend(const agi_attention_args *a, const agi_worker *w, int64_t r, int64_t t, int64_t h)
{
    view at;
    int rc = look(a, w, r, t, h, &at);
    if (rc) return rc;
    float *s = w->scratch, sum = weigh(a, w, r, t, h, &at, s);
    float *out = a->out.p + r * a->out.row + t * a->out.step + h * a->out.head;
    memset(out, 0, (size_t)a->d * sizeof *out); /* only now: out may be q */
    int64_t place;
    for (int64_t pos = at.first, n; pos <= at.p; pos += n) {
        n = run_at(a, &a->v_cache, pos, at.p, &place);
        w->isa->mix(out, s + (pos - at.first), agi_cache_at(&a->v_cache, at.slot, place, at.g),
                    a->v_cache.place, n, a->d);
    }
    for (int64_t c = 0; c < a->d; c++) out[c] /= sum;
    return AG_OK;
}

/*
 * Items are ordered by row, head, step: heads that share keys fall to the same worker. Later steps
 * see more keys, so steps are taken from both ends in turn, and any stretch of them costs about the
 * same.
 */
int agi_cpu_attention(const void *args, agi_worker *w)
{
    const agi_attention_args *a = args;
    int64_t lo, hi;
    agi_share(w, a->rows * a->q_heads * a->steps, 1, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        int64_t j = i % a->steps, t = j % 2 ? a->steps - 1 - j / 2 : j / 2;
        int64_t h = i / a->steps % a->q_heads, r = i / a->steps / a->q_heads;
        int rc = attend(a, w, r, t, h);
        if (rc) return rc;
    }
    return AG_OK;
}

int agi_cpu_attention_probs(const void *args, agi_worker *w)
{
    const agi_attention_probs_args *b = args;
    const agi_attention_args *a = &b->of;
    int64_t lo, hi;
    agi_share(w, a->rows * a->q_heads * a->steps, 1, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        int64_t t = i % a->steps, h = i / a->steps % a->q_heads, r = i / a->steps / a->q_heads;
        view at;
        int rc = look(a, w, r, t, h, &at);
        if (rc) return rc;
        if (at.p >= b->keys) return agi_fault_fail(AGI_FAULT_KEYS, at.p, b->keys, 0, 0);
        float *out = a->out.p + r * a->out.row + h * a->out.head + t * a->out.step;
        memset(out, 0, (size_t)b->keys * sizeof *out);
        float sum = weigh(a, w, r, t, h, &at, out + at.first);
        for (int64_t p = at.first; p <= at.p; p++) out[p] /= sum;
    }
    return AG_OK;
}
