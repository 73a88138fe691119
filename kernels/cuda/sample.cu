/*
 * sample.cu: the op sample, the rules of kernels/cpu/sample.c by one warp a row: equal logits give equal
 * ids wherever expf agrees. Lanes walk the row side by side; what is uniform every lane computes. Only
 * top-p, off by default, is one lane's: it needs an order.
 *
 * The text of sample_row is one for both compilers: LANES runs its body in every lane and then lets
 * them see each other's memory, VAR declares what each lane has of its own, L is this lane's.
 */
#include "device.h"

typedef struct {
    float temperature, top_p, penalty;
    int64_t top_k;
} settings;

DEVICE bool is_finite(float x) { return x - x == 0; }

/* Each test is written so that NaN fails it. */
DEVICE bool read_settings(settings *s, const float *p, int64_t row, agi_fault *f, bool tell)
{
    const bool fine[4] = {p[0] >= 0 && is_finite(p[0]), p[1] >= 0 && floorf(p[1]) == p[1],
                          p[2] >= 0 && p[2] <= 1, p[3] > 0 && is_finite(p[3])};
    for (int i = 0; i < 4; i++)
        if (!fine[i]) {
            if (tell)
                agi_report(f, AG_EVALUE, AGI_FAULT_SETTING, i, row, (int64_t)agi_dev_bits(p[i]), 0);
            return false;
        }
    s->temperature = p[0];
    s->top_k = p[1] > (float)INT32_MAX ? INT32_MAX : (int64_t)p[1];
    s->top_p = p[2];
    s->penalty = p[3];
    return true;
}

/* A logit changed by what came before: penalty, minimum length, suppression. */
DEVICE float adjusted(const agi_sample_args *a, int64_t r, float penalty, float x, int64_t i)
{
    const int32_t *seen = a->seen && penalty != 1 ? a->seen + r * a->seen_stride : NULL;
    const uint32_t draw = (uint32_t)a->key[r * a->key_stride + 2];
    if (i >= a->suppress_from && i != a->eos) return -INFINITY;
    if (i == a->eos && draw < (uint32_t)a->minimum) return -INFINITY;
    if (seen && seen[i]) return x < 0 ? x * penalty : x / penalty;
    return x;
}

/* An unsigned number that orders like the float. */
DEVICE uint32_t ordered(float f)
{
    uint32_t u = agi_dev_bits(f);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
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

/* ---- a warp ---- */

#ifdef __CUDACC__
#define LANES(...)                                                                                 \
    do {                                                                                           \
        const int lane = (int)threadIdx.x;                                                         \
        __VA_ARGS__                                                                                \
        __syncwarp();                                                                              \
    } while (0)
#define VAR(type, name) type name
#define L(name) name
#define ALL(name) name /* after a reduction: the same in every lane */
#define FIRST_LANE (threadIdx.x == 0)

#define LEAST(name)                                                                                \
    for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2) {                                        \
        int64_t other = __shfl_xor_sync(~0u, name, off);                                           \
        if (other < name) name = other;                                                            \
    }
#define TOTAL(name)                                                                                \
    for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2) name += __shfl_xor_sync(~0u, name, off);
/* The largest value and the lowest index that has it. */
#define LARGEST(value, index)                                                                      \
    for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2) {                                        \
        float v = __shfl_xor_sync(~0u, value, off);                                                \
        int64_t i = __shfl_xor_sync(~0u, index, off);                                              \
        if (v > value || (v == value && i < index)) {                                              \
            value = v;                                                                             \
            index = i;                                                                             \
        }                                                                                          \
    }
/* before: the sum of the lanes below, in their order; all: of all. */
#define RUNNING(part, before, all)                                                                 \
    for (int k = 0; k < AGI_WARP_LANES; k++) {                                                     \
        double v = __shfl_sync(~0u, part, k);                                                      \
        if (k == (int)threadIdx.x) before = all;                                                   \
        all += v;                                                                                  \
    }
#else
#define LANES(...)                                                                                 \
    for (int lane = 0; lane < AGI_WARP_LANES; lane++) {                                            \
        __VA_ARGS__                                                                                \
    }
#define VAR(type, name) type name[AGI_WARP_LANES]
#define L(name) name[lane]
#define ALL(name) name[0]
#define FIRST_LANE true

#define LEAST(name)                                                                                \
    for (int k = 1; k < AGI_WARP_LANES; k++)                                                       \
        if (name[k] < name[0]) name[0] = name[k];
#define TOTAL(name)                                                                                \
    for (int k = 1; k < AGI_WARP_LANES; k++) name[0] += name[k];
#define LARGEST(value, index)                                                                      \
    for (int k = 1; k < AGI_WARP_LANES; k++)                                                       \
        if (value[k] > value[0] || (value[k] == value[0] && index[k] < index[0])) {                \
            value[0] = value[k];                                                                   \
            index[0] = index[k];                                                                   \
        }
#define RUNNING(part, before, all)                                                                 \
    for (int k = 0; k < AGI_WARP_LANES; k++) {                                                     \
        before[k] = all;                                                                           \
        all += part[k];                                                                            \
    }
#endif

/* The k-th largest value: its bits are found from the top, by counting those that could be it. */
DEVICE float kth_largest(const float *l, int64_t n, int64_t k)
{
    uint32_t known = 0, mask = 0;
    for (int bit = 31; bit >= 0; bit--) {
        const uint32_t one = 1u << bit;
        VAR(int64_t, ones);
        LANES(L(ones) = 0; for (int64_t i = lane; i < n; i += AGI_WARP_LANES) {
            uint32_t u = ordered(l[i]);
            L(ones) += (u & mask) == known && (u & one);
        });
        TOTAL(ones)
        if (ALL(ones) >= k) known |= one;
        else k -= ALL(ones);
        mask |= one;
    }
    return agi_dev_from_bits(known & 0x80000000u ? known & 0x7fffffffu : ~known);
}

/* The smallest id at which the running sum of probabilities exceeds u of the total; n where no sum
 * does. l becomes the probabilities. */
DEVICE int64_t inverse_cdf(float *l, int64_t n, float max, double u)
{
    const int64_t chunk = (n + AGI_WARP_LANES - 1) / AGI_WARP_LANES;
    double total = 0;
    VAR(double, part);
    VAR(double, before);
    VAR(int64_t, found);
    LANES(L(part) = 0; for (int64_t i = lane * chunk; i < n && i < (lane + 1) * chunk; i++) {
        l[i] = l[i] > -INFINITY ? expf(l[i] - max) : 0;
        L(part) += (double)l[i];
    });
    RUNNING(part, before, total)
    LANES(L(found) = n; double sum = L(before); int64_t last = n;
          for (int64_t i = lane * chunk; i < n && i < (lane + 1) * chunk; i++) {
              if (L(before) + L(part) <= u * total) break; /* a later lane's */
              sum += (double)l[i];
              if (l[i] > 0) last = i;
              if (sum > u * total) {
                  L(found) = i;
                  break;
              }
          } if (L(found) == n) L(found) = last;); /* where rounding has it not quite there */
    LEAST(found)
    return ALL(found);
}

/* l and ids: this row's scratch, vocab of each. */
DEVICE void sample_row(const agi_sample_args *a, int64_t r, float *l, int32_t *ids, agi_fault *f)
{
    const float *x = a->logits + r * a->logits_stride;
    const int64_t n = a->vocab;
    settings s;
    VAR(int64_t, bad);
    VAR(float, top);
    VAR(int64_t, at);
    if (!read_settings(&s, a->params + r * a->params_stride, r, f, FIRST_LANE)) return;
    LANES(L(bad) = n; L(at) = n; L(top) = -INFINITY;
          for (int64_t i = lane; i < n; i += AGI_WARP_LANES) {
              if ((x[i] != x[i] || (x[i] > 0 && !is_finite(x[i]))) && L(bad) == n) L(bad) = i;
              l[i] = adjusted(a, r, s.penalty, x[i], i);
              if (l[i] > L(top) || L(at) == n) {
                  L(top) = l[i];
                  L(at) = i;
              }
          });
    LEAST(bad)
    if (ALL(bad) < n) {
        bool nan = x[ALL(bad)] != x[ALL(bad)];
        if (FIRST_LANE) agi_report(f, AG_EVALUE, nan ? AGI_FAULT_NAN : AGI_FAULT_INF, r, 0, 0, 0);
        return;
    }
    LARGEST(top, at)
    int64_t id = ALL(at);
    float max = ALL(top);
    if (max == -INFINITY) {
        if (FIRST_LANE) agi_report(f, AG_EVALUE, AGI_FAULT_NO_LOGIT, r, 0, 0, 0);
        return;
    }
    if (s.temperature > 0) {
        if (s.temperature != 1) {
            LANES(for (int64_t i = lane; i < n; i += AGI_WARP_LANES) l[i] /= s.temperature;);
            max /= s.temperature;
        }
        if (is_finite(max)) { /* else a temperature this small is as good as 0 */
            if (s.top_k > 0 && s.top_k < n) {
                float least = kth_largest(l, n, s.top_k); /* ties with it stay */
                LANES(for (int64_t i = lane; i < n; i += AGI_WARP_LANES) if (l[i] < least) l[i] =
                          -INFINITY;);
            }
            if (s.top_p < 1) LANES(if (lane == 0) keep_top_p(l, ids, n, max, s.top_p););
            int64_t drawn = inverse_cdf(l, n, max, uniform(a, r));
            if (drawn < n) id = drawn;
        }
    }
    if (FIRST_LANE) {
        a->out[r * a->out_stride] = (int32_t)id;
        if (a->seen) a->seen[r * a->seen_stride + id] = 1;
    }
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
    sample_kernel<<<(unsigned)a->rows, AGI_WARP_LANES, 0, (cudaStream_t)l->stream>>>(
        *a, (float *)l->scratch, l->fault);
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
