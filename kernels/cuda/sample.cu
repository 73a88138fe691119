/*
 * sample.cu: the op sample, the algorithm of kernels/cpu/sample.c step by step, one thread a row: equal
 * logits give equal ids wherever expf agrees. It is correct, not fast: a row of 3072 logits is walked
 * a dozen times by one thread.
 */
#include "device.h"

typedef struct {
    float temperature, top_p, penalty;
    int64_t top_k;
} settings;

DEVICE bool is_finite(float x) { return x - x == 0; }

/* Each test is written so that NaN fails it. */
DEVICE bool read_settings(settings *s, const float *p, int64_t row, agi_fault *f)
{
    const bool fine[4] = {p[0] >= 0 && is_finite(p[0]), p[1] >= 0 && floorf(p[1]) == p[1],
                          p[2] >= 0 && p[2] <= 1, p[3] > 0 && is_finite(p[3])};
    for (int i = 0; i < 4; i++)
        if (!fine[i]) {
            agi_report(f, AG_EVALUE, AGI_FAULT_SETTING, i, row, (int64_t)agi_dev_bits(p[i]), 0);
            return false;
        }
    s->temperature = p[0];
    s->top_k = p[1] > (float)INT32_MAX ? INT32_MAX : (int64_t)p[1];
    s->top_p = p[2];
    s->penalty = p[3];
    return true;
}

DEVICE bool check_logits(const float *x, int64_t n, int64_t row, agi_fault *f)
{
    for (int64_t i = 0; i < n; i++) {
        bool nan = x[i] != x[i];
        if (!nan && !(x[i] > 0 && !is_finite(x[i]))) continue;
        agi_report(f, AG_EVALUE, nan ? AGI_FAULT_NAN : AGI_FAULT_INF, row, 0, 0, 0);
        return false;
    }
    return true;
}

DEVICE void adjust(const agi_sample_args *a, int64_t r, float penalty, float *l)
{
    const float *x = a->logits + r * a->logits_stride;
    const int32_t *seen = a->seen && penalty != 1 ? a->seen + r * a->seen_stride : NULL;
    for (int64_t i = 0; i < a->vocab; i++) {
        l[i] = x[i];
        if (seen && seen[i]) l[i] = x[i] < 0 ? x[i] * penalty : x[i] / penalty;
        if (i >= a->suppress_from && i != a->eos) l[i] = -INFINITY;
    }
    if (a->eos >= 0 && (uint32_t)a->key[r * a->key_stride + 2] < (uint32_t)a->minimum)
        l[a->eos] = -INFINITY;
}

DEVICE int64_t argmax(const float *l, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (l[i] > l[best]) best = i;
    return best;
}

/* An unsigned number that orders like the float. */
DEVICE uint32_t ordered(float f)
{
    uint32_t u = agi_dev_bits(f);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

/* The k-th largest: its bits are found from the top, by counting those that could still be it. */
DEVICE float kth_largest(const float *l, int64_t n, int64_t k)
{
    uint32_t known = 0, mask = 0;
    for (int bit = 31; bit >= 0; bit--) {
        int64_t ones = 0;
        uint32_t one = 1u << bit;
        for (int64_t i = 0; i < n; i++) {
            uint32_t u = ordered(l[i]);
            ones += (u & mask) == known && (u & one);
        }
        if (ones >= k) known |= one;
        else k -= ones;
        mask |= one;
    }
    return agi_dev_from_bits(known & 0x80000000u ? known & 0x7fffffffu : ~known);
}

DEVICE void keep_top_k(float *l, int64_t n, int64_t k)
{
    if (k == 0 || k >= n) return;
    float least = kth_largest(l, n, k); /* ties with it stay */
    for (int64_t i = 0; i < n; i++)
        if (l[i] < least) l[i] = -INFINITY;
}

DEVICE bool before(const float *l, int32_t a, int32_t b)
{
    return l[a] < l[b] || (l[a] == l[b] && a < b);
}

DEVICE void sift(const float *l, int32_t *ids, int64_t from, int64_t n)
{
    int32_t id = ids[from];
    for (int64_t child; (child = 2 * from + 1) < n; from = child) {
        if (child + 1 < n && before(l, ids[child], ids[child + 1])) child++;
        if (!before(l, id, ids[child])) break;
        ids[from] = ids[child];
    }
    ids[from] = id;
}

/* Removes the least likely ids whose probabilities add up to at most 1 - p; the likeliest stays. */
DEVICE void keep_top_p(float *l, int32_t *ids, int64_t n, float max, float p)
{
    int64_t left = 0;
    double total = 0, removed = 0;
    for (int64_t i = 0; i < n; i++)
        if (l[i] > -INFINITY) ids[left++] = (int32_t)i;
    for (int64_t i = left / 2; i-- > 0;) sift(l, ids, i, left);
    for (int64_t end = left; end-- > 1;) {
        int32_t top = ids[0];
        ids[0] = ids[end];
        ids[end] = top;
        sift(l, ids, 0, end);
    }
    for (int64_t i = 0; i < left; i++) total += (double)expf(l[ids[i]] - max);
    for (int64_t i = 0; i + 1 < left; i++) {
        removed += (double)expf(l[ids[i]] - max);
        if (removed > (1.0 - (double)p) * total) break;
        l[ids[i]] = -INFINITY;
    }
}

/* Philox 4x32-10, as kernels/cpu/philox.c: the first word of the block, in [0, 1). */
DEVICE double uniform(const agi_sample_args *a, int64_t r)
{
    const int32_t *key = a->key + r * a->key_stride; /* seed low, seed high, draw, stream */
    uint32_t c0 = (uint32_t)key[2], c1 = (uint32_t)a->group, c2 = (uint32_t)key[3], c3 = 0;
    uint32_t k0 = (uint32_t)key[0], k1 = (uint32_t)key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)0xd2511f53u * c0, q = (uint64_t)0xcd9e8d57u * c2;
        c0 = (uint32_t)(q >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)q;
        c2 = (uint32_t)(p >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    return (double)(c0 >> 8) / 16777216.0;
}

DEVICE int64_t inverse_cdf(float *l, int64_t n, float max, double u)
{
    double total = 0, sum;
    int64_t id = 0;
    for (int64_t i = 0; i < n; i++) {
        l[i] = l[i] > -INFINITY ? expf(l[i] - max) : 0;
        total += (double)l[i];
    }
    for (sum = (double)l[0]; sum <= u * total && id + 1 < n;) sum += (double)l[++id];
    return id;
}

/* l and ids: this row's scratch, vocab of each. */
DEVICE void sample_row(const agi_sample_args *a, int64_t r, float *l, int32_t *ids, agi_fault *f)
{
    settings s;
    if (!read_settings(&s, a->params + r * a->params_stride, r, f)) return;
    if (!check_logits(a->logits + r * a->logits_stride, a->vocab, r, f)) return;
    adjust(a, r, s.penalty, l);
    int64_t id = argmax(l, a->vocab);
    if (l[id] == -INFINITY) {
        agi_report(f, AG_EVALUE, AGI_FAULT_NO_LOGIT, r, 0, 0, 0);
        return;
    }
    if (s.temperature > 0) {
        for (int64_t i = 0; s.temperature != 1 && i < a->vocab; i++) l[i] /= s.temperature;
        const float max = l[id];
        if (is_finite(max)) { /* else a temperature this small is as good as 0 */
            keep_top_k(l, a->vocab, s.top_k);
            if (s.top_p < 1) keep_top_p(l, ids, a->vocab, max, s.top_p);
            id = inverse_cdf(l, a->vocab, max, uniform(a, r));
        }
    }
    a->out[r * a->out_stride] = (int32_t)id;
    if (a->seen) a->seen[r * a->seen_stride + id] = 1;
}

#ifdef __CUDACC__
static __global__ void sample_kernel(agi_sample_args a, float *scratch, agi_fault *f)
{
    int64_t r = blockIdx.x;
    float *l = scratch + r * 2 * a.vocab;
    sample_row(&a, r, l, (int32_t *)(void *)(l + a.vocab), f);
}

AGI_KERNEL(sample)
{
    const agi_sample_args *a = (const agi_sample_args *)args;
    if (a->rows == 0) return 0;
    sample_kernel<<<(unsigned)a->rows, 1, 0, (cudaStream_t)l->stream>>>(*a, (float *)l->scratch,
                                                                        l->fault);
    return agi_launched();
}
#else
AGI_KERNEL(sample)
{
    const agi_sample_args *a = (const agi_sample_args *)args;
    for (int64_t r = 0; r < a->rows; r++) {
        float *x = (float *)l->scratch + r * 2 * a->vocab;
        sample_row(a, r, x, (int32_t *)(void *)(x + a->vocab), l->fault);
    }
    return 0;
}
#endif
