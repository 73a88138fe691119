/*
 * sample.c: the op sample: from a row of logits to one id, in the order of the Hugging Face
 * processors: penalty, minimum length, suppression, temperature, top-k, top-p, min-p, then an
 * inverse CDF at a Philox draw. A removed id has the logit -inf. All of it is plain C on every
 * instruction set, so that equal logits give equal ids.
 */
#include "../philox.h"
#include "../../runtime/backend_cpu.h"
#include "../../runtime/dtype.h"
#include "../../runtime/fault.h"
#include "../../runtime/ops.h"

#include <math.h>

/* ---- faults of the data ---- */

/* Which of the n params of a row [temperature, top-k, top-p, penalty, min-p] is out of its range;
 * -1: none. Each test is written so that NaN fails it. */
static int bad_setting(const float *p, int n)
{
    const bool fine[] = {p[0] >= 0 && isfinite(p[0]), p[1] >= 0 && floorf(p[1]) == p[1],
                         p[2] >= 0 && p[2] <= 1, p[3] > 0 && isfinite(p[3]),
                         n < 5 || (p[4] >= 0 && p[4] <= 1)};
    for (int i = 0; i < n; i++)
        if (!fine[i]) return i;
    return -1;
}

/* The first thing that is wrong with what a row is drawn from; AGI_NO_FAULT: nothing. */
static int fault_of(const float *params, int settings, const float *x, int64_t n)
{
    if (bad_setting(params, settings) >= 0) return AGI_FAULT_SETTING;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i])) return AGI_FAULT_NAN;
        if (isinf(x[i]) && x[i] > 0) return AGI_FAULT_INF;
    }
    return AGI_NO_FAULT;
}

/* ---- what is removed ---- */

static int64_t argmax(const float *l, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (l[i] > l[best]) best = i;
    return best;
}

/* An unsigned number that orders like the float. */
static uint32_t ordered(float f)
{
    uint32_t u = agi_bits_from_f32(f);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

static float unordered(uint32_t u)
{
    return agi_f32_from_bits(u & 0x80000000u ? u & 0x7fffffffu : ~u);
}

/* The k-th largest value, 1 <= k <= n: its bytes are found one by one from the top, by counting. */
static float kth_largest(const float *l, int64_t n, int64_t k)
{
    uint32_t known = 0, mask = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        int64_t count[256] = {0};
        for (int64_t i = 0; i < n; i++) {
            uint32_t u = ordered(l[i]);
            if ((u & mask) == known) count[u >> shift & 255]++;
        }
        uint32_t byte = 255;
        for (; count[byte] < k; byte--) k -= count[byte];
        known |= byte << shift;
        mask |= (uint32_t)255 << shift;
    }
    return unordered(known);
}

/* Ties with the k-th stay. */
static void keep_top_k(float *l, int64_t n, int64_t k)
{
    if (k == 0 || k >= n) return;
    float least = kth_largest(l, n, k);
    for (int64_t i = 0; i < n; i++)
        if (l[i] < least) l[i] = -INFINITY;
}

static bool before(const float *l, int32_t a, int32_t b)
{
    return l[a] < l[b] || (l[a] == l[b] && a < b);
}

static void sift(const float *l, int32_t *ids, int64_t from, int64_t n)
{
    int32_t id = ids[from];
    for (int64_t child; (child = 2 * from + 1) < n; from = child) {
        if (child + 1 < n && before(l, ids[child], ids[child + 1])) child++;
        if (!before(l, id, ids[child])) break;
        ids[from] = ids[child];
    }
    ids[from] = id;
}

/* Ascending by logit, equal ones by id: a heap sort, whose time does not depend on the data. */
static void sort_ids(const float *l, int32_t *ids, int64_t n)
{
    for (int64_t i = n / 2; i-- > 0;) sift(l, ids, i, n);
    for (int64_t end = n; end-- > 1;) {
        int32_t top = ids[0];
        ids[0] = ids[end];
        ids[end] = top;
        sift(l, ids, 0, end);
    }
}

/* Removes the least likely ids whose probabilities add up to at most 1 - p; the likeliest stays. */
static void keep_top_p(float *l, int32_t *ids, int64_t n, float max, float p)
{
    int64_t left = 0;
    double total = 0, removed = 0;
    for (int64_t i = 0; i < n; i++)
        if (l[i] > -INFINITY) ids[left++] = (int32_t)i;
    sort_ids(l, ids, left);
    for (int64_t i = 0; i < left; i++) total += expf(l[ids[i]] - max);
    for (int64_t i = 0; i + 1 < left; i++) {
        removed += expf(l[ids[i]] - max);
        if (removed > (1.0 - (double)p) * total) break;
        l[ids[i]] = -INFINITY;
    }
}

/* Removes what is less probable than so much of the likeliest. */
static void keep_min_p(float *l, int64_t n, float max, float min_p)
{
    for (int64_t i = 0; i < n; i++)
        if (expf(l[i] - max) < min_p) l[i] = -INFINITY;
}

/* ---- the draw ---- */

/* The smallest id at which the running sum of probabilities exceeds u of the total. l becomes the
 * probabilities. */
static int64_t inverse_cdf(float *l, int64_t n, float max, double u)
{
    double total = 0, sum;
    int64_t id = 0;
    for (int64_t i = 0; i < n; i++) {
        l[i] = l[i] > -INFINITY ? expf(l[i] - max) : 0;
        total += l[i];
    }
    /* It ends within the row: the same sum arrives at total, which is more than u of it. */
    for (sum = l[0]; sum <= u * total && id + 1 < n;) sum += l[++id];
    return id;
}

/* Copies the logits of a row to l, changed by what came before: penalty, minimum length,
 * suppression. */
static void adjust(const agi_sample_args *a, int64_t r, float penalty, float *l)
{
    const float *x = a->logits + r * a->logits_stride;
    const int32_t *seen = a->seen && penalty != 1 ? a->seen + r * a->seen_stride : NULL;
    const uint32_t draw = (uint32_t)a->key[r * a->key_stride + 2];
    for (int64_t i = 0; i < a->vocab; i++) {
        l[i] = x[i];
        if (seen && seen[i]) l[i] = x[i] < 0 ? x[i] * penalty : x[i] / penalty;
        if (i >= a->suppress_from && i != a->eos) l[i] = -INFINITY;
    }
    if (a->eos >= 0 && draw < (uint32_t)a->minimum) l[a->eos] = -INFINITY;
}

static double uniform(const agi_sample_args *a, int64_t r)
{
    const int32_t *key = a->key + r * a->key_stride; /* seed low, seed high, draw, stream */
    const uint32_t seed[2] = {(uint32_t)key[0], (uint32_t)key[1]};
    const uint32_t counter[4] = {(uint32_t)key[2], (uint32_t)a->group, (uint32_t)key[3], 0};
    uint32_t words[4];
    agi_philox(words, counter, seed);
    return agi_philox_uniform(words[0]);
}

/* Draws the id of a row; returns an agi_fault_kind. */
static int draw(const agi_sample_args *a, int64_t r, float *l, int32_t *ids, int64_t *drawn)
{
    const float *p = a->params + r * a->params_stride;
    int fault = fault_of(p, a->settings, a->logits + r * a->logits_stride, a->vocab);
    if (fault) return fault;
    const float temperature = p[0], top_p = p[2], min_p = a->settings > 4 ? p[4] : 0;
    const int64_t top_k = p[1] > (float)INT32_MAX ? INT32_MAX : (int64_t)p[1];
    adjust(a, r, p[3], l);
    int64_t id = argmax(l, a->vocab);
    if (l[id] == -INFINITY) return AGI_FAULT_NO_LOGIT;
    if (temperature > 0) {
        for (int64_t i = 0; temperature != 1 && i < a->vocab; i++) l[i] /= temperature;
        /* A temperature so small that the likeliest overflows is as good as 0. */
        const float max = l[id];
        if (isfinite(max)) {
            keep_top_k(l, a->vocab, top_k);
            if (top_p < 1) keep_top_p(l, ids, a->vocab, max, top_p);
            if (min_p > 0) keep_min_p(l, a->vocab, max, min_p);
            id = inverse_cdf(l, a->vocab, max, uniform(a, r));
        }
    }
    *drawn = id;
    return AGI_NO_FAULT;
}

/* A row with a fault of its own draws nothing: its id is 0, so that what follows is given a valid
 * one. */
static int sample_row(const agi_sample_args *a, int64_t r, float *l, int32_t *ids)
{
    int32_t *word = a->faults.p ? a->faults.p + r * a->faults.stride : NULL;
    int64_t id = 0;
    int fault = word && *word ? *word : draw(a, r, l, ids, &id);
    if (fault && !word) {
        const float *p = a->params + r * a->params_stride;
        const int i = bad_setting(p, a->settings);
        return agi_fault_fail(fault, r, i, i < 0 ? 0 : agi_bits_from_f32(p[i]), 0);
    }
    if (fault) *word = fault;
    a->out[r * a->out_stride] = (int32_t)id;
    if (!fault && a->seen) a->seen[r * a->seen_stride + id] = 1;
    return AG_OK;
}

int agi_cpu_sample(const void *args, agi_worker *w)
{
    const agi_sample_args *a = args;
    float *l = w->scratch;
    int32_t *ids = (int32_t *)w->scratch + a->vocab;
    int64_t lo, hi;
    agi_share(w, a->rows, 1, &lo, &hi);
    for (int64_t r = lo; r < hi; r++) {
        int rc = sample_row(a, r, l, ids);
        if (rc) return rc;
    }
    return AG_OK;
}
