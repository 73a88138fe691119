/*
 * attention.c: the ops attention and attention_probs. One item is the query heads that share a key
 * head, at one step of one row: scores against all keys they see, softmax, mix of the values, all
 * in this worker's scratch. Keys and values lie in blocks, perhaps of a ring, and are read in tiles
 * of neighbours, each of which all heads of the item use while it is near: memory gives it once.
 */
#include "../cache.h"
#include "isa.h"
#include "scratch.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/fault.h"

#include <string.h>

enum { TILE = 64 }; /* keys: 32 KB of a usual head in f32 */

/* What one query sees: positions first .. p of a slot, key head g. */
typedef struct {
    int64_t slot, first, p, g;
} view;

/* How many positions from `pos` to `last` lie side by side, TILE at most, and where the first of
 * them is. */
static int64_t run_at(const agi_attention_args *a, const agi_cache *c, int64_t pos, int64_t last,
                      int64_t *place)
{
    *place = pos % a->capacity;
    int64_t size = (int64_t)1 << c->shift, n = size - (*place & (size - 1));
    if (n > a->capacity - *place) n = a->capacity - *place;
    if (n > TILE) n = TILE;
    return n < last - pos + 1 ? n : last - pos + 1;
}

/* room: for so many scores. */
static int look(const agi_attention_args *a, int64_t r, int64_t t, int64_t h, int64_t room,
                view *at)
{
    at->slot = agi_slot_of(&a->slots, r);
    if (at->slot < 0) return agi_fault_fail(AGI_FAULT_SLOT, r, 0, 0, 0);
    const int64_t pos = a->pos[at->slot * a->pos_stride], p = pos + t;
    at->p = p;
    at->g = h / (a->q_heads / a->kv_heads);
    at->first = a->window > 0 && p >= a->window ? p - a->window + 1 : 0;
    if (pos < 0) return agi_fault_fail(AGI_FAULT_POSITION, pos, r, 0, 0);
    if (p - at->first >= a->capacity || p - at->first >= room)
        return agi_fault_fail(AGI_FAULT_PLACES, p, a->capacity, 0, 0);
    /* The highest place asked for: the last of the cache once the ring has turned on the way. */
    bool turned = at->first / a->capacity != p / a->capacity;
    int64_t top = turned ? a->capacity - 1 : p % a->capacity;
    if (!agi_cache_has(&a->k_cache, at->slot, top, at->g, a->d) ||
        !agi_cache_has(&a->v_cache, at->slot, top, at->g, a->d))
        return agi_fault_fail(AGI_FAULT_COMMIT, p, 0, 0, 0);
    return AG_OK;
}

static const float *query(const agi_attention_args *a, int64_t r, int64_t t, int64_t h)
{
    return a->q.p + r * a->q.row + t * a->q.step + h * a->q.head;
}

static float *output(const agi_attention_args *a, int64_t r, int64_t t, int64_t h)
{
    return a->out.p + r * a->out.row + t * a->out.step + h * a->out.head;
}

/* The n keys or values from a place on, which `heads` query heads read. */
static agi_kept kept(const agi_attention_args *a, const agi_cache *c, const view *at, int64_t place,
                     int64_t n, int64_t heads)
{
    return (agi_kept){.p = agi_cache_at(c, at->slot, place, at->g),
                      .dtype = c->dtype,
                      .heads = (int)heads,
                      .n = n,
                      .d = a->d,
                      .stride = c->place / agi_dtype_size(c->dtype)};
}

/* The scores of `heads` query heads from h on with every key they see, those of the next head `row`
 * behind. */
static void score(const agi_attention_args *a, const agi_worker *w, int64_t r, int64_t t, int64_t h,
                  int64_t heads, const view *at, float *s, int64_t row)
{
    int64_t place;
    for (int64_t pos = at->first, n; pos <= at->p; pos += n) {
        n = run_at(a, &a->k_cache, pos, at->p, &place);
        const agi_kept k = kept(a, &a->k_cache, at, place, n, heads);
        w->isa->scores(s + (pos - at->first), row, query(a, r, t, h), a->q.head, &k, a->scale);
    }
}

static int attend(const agi_attention_args *a, const agi_worker *w, int64_t r, int64_t t, int64_t h,
                  int64_t heads)
{
    view at;
    const int64_t row = w->scratch_bytes / (int64_t)sizeof(float) / agi_attention_heads(a);
    int rc = look(a, r, t, h, row, &at);
    if (rc) return rc;
    float *s = w->scratch, *out = output(a, r, t, h), sum[AGI_ATTENTION_HEADS];
    score(a, w, r, t, h, heads, &at, s, row);
    for (int64_t i = 0; i < heads; i++) {
        sum[i] = w->isa->softmax(s + i * row, at.p - at.first + 1);
        memset(out + i * a->out.head, 0, (size_t)a->d * sizeof *out); /* now: out may be q */
    }
    int64_t place;
    for (int64_t pos = at.first, n; pos <= at.p; pos += n) {
        n = run_at(a, &a->v_cache, pos, at.p, &place);
        const agi_kept v = kept(a, &a->v_cache, &at, place, n, heads);
        w->isa->mix(out, a->out.head, s + (pos - at.first), row, &v);
    }
    for (int64_t i = 0; i < heads; i++)
        for (int64_t j = 0; j < a->d; j++) out[i * a->out.head + j] /= sum[i];
    return AG_OK;
}

/*
 * Items are ordered by row, key head, step: what is read of a key head is near when its next step
 * comes. Later steps see more keys, so steps are taken from both ends in turn, and any stretch of
 * them costs about the same.
 */
int agi_cpu_attention(const void *args, agi_worker *w)
{
    const agi_attention_args *a = args;
    const int64_t group = a->q_heads / a->kv_heads, most = agi_attention_heads(a);
    const int64_t shares = a->kv_heads * ((group + most - 1) / most); /* of the query heads */
    int64_t lo, hi;
    agi_share(w, a->rows * shares * a->steps, 1, &lo, &hi);
    for (int64_t i = lo; i < hi; i++) {
        const int64_t j = i % a->steps, t = j % 2 ? a->steps - 1 - j / 2 : j / 2;
        const int64_t share = i / a->steps % shares, r = i / a->steps / shares;
        const int64_t g = share % a->kv_heads, first = share / a->kv_heads * most;
        const int64_t heads = group - first < most ? group - first : most;
        int rc = attend(a, w, r, t, g * group + first, heads);
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
        int rc = look(a, r, t, h, a->capacity, &at);
        if (rc) return rc;
        if (at.p >= b->keys) return agi_fault_fail(AGI_FAULT_KEYS, at.p, b->keys, 0, 0);
        float *out = output(a, r, t, h);
        memset(out, 0, (size_t)b->keys * sizeof *out);
        score(a, w, r, t, h, 1, &at, out + at.first, 0);
        const float sum = w->isa->softmax(out + at.first, at.p - at.first + 1);
        for (int64_t p = at.first; p <= at.p; p++) out[p] /= sum;
    }
    return AG_OK;
}
