/*
 * sample.cu: the op sample, the rules of kernels/cpu/sample.c by one block a row: equal logits give
 * equal ids wherever expf agrees. A thread has a run of neighbouring ids; top-k and top-p find
 * their last value by its bits, from the top, instead of sorting.
 */
#include "device.h"
#include "../philox.h"

enum {
    THREADS = 512, /* at most; IDS ids to each, where there are fewer */
    IDS = 4,
    WARPS = THREADS / AGI_WARP_LANES,
    DIGIT = 8,
    BINS = 1 << DIGIT
};

typedef struct {
    agi_sample_args of;
    float *scratch; /* of each row: adjusted logits, probabilities */
    agi_fault *fault;
} sample_args;

typedef struct {
    float temperature, top_p, penalty, min_p;
    int64_t top_k;
} settings;

DEVICE bool is_finite(float x) { return x - x == 0; }

/* A row's own fault, where it has a word for it, and its id is 0; else one of the launch. */
DEVICE void refuse(const agi_sample_args *a, int64_t row, agi_fault *f, int32_t what, int64_t b,
                   int64_t c)
{
    if (threadIdx.x != 0) return;
    if (!a->faults.p) {
        agi_report(f, what, row, b, c, 0);
        return;
    }
    a->faults.p[row * a->faults.stride] = what;
    a->out[row * a->out_stride] = 0;
}

/* Each test is written so that NaN fails it. */
DEVICE bool read_settings(settings *s, const agi_sample_args *a, int64_t row, agi_fault *f)
{
    const float *p = a->params + row * a->params_stride;
    const bool fine[5] = {p[0] >= 0 && is_finite(p[0]), p[1] >= 0 && floorf(p[1]) == p[1],
                          p[2] >= 0 && p[2] <= 1, p[3] > 0 && is_finite(p[3]),
                          a->settings < 5 || (p[4] >= 0 && p[4] <= 1)};
    for (int i = 0; i < 5; i++) /* a constant count, so that nothing needs an address */
        if (!fine[i]) {
            refuse(a, row, f, AGI_FAULT_SETTING, i, (int64_t)agi_bits_from_f32(p[i]));
            return false;
        }
    s->temperature = p[0];
    s->top_k = p[1] > (float)INT32_MAX ? INT32_MAX : (int64_t)p[1];
    s->top_p = p[2];
    s->penalty = p[3];
    s->min_p = a->settings > 4 ? p[4] : 0;
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
    uint32_t u = agi_bits_from_f32(f);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

/* The first word of the block, in [0, 1). */
DEVICE double uniform(const agi_sample_args *a, int64_t r)
{
    const int32_t *key = a->key + r * a->key_stride; /* seed low, seed high, draw, stream */
    const uint32_t seed[2] = {(uint32_t)key[0], (uint32_t)key[1]};
    const uint32_t counter[4] = {(uint32_t)key[2], (uint32_t)a->group, (uint32_t)key[3], 0};
    uint32_t words[4];
    agi_philox(words, counter, seed);
    return agi_philox_uniform(words[0]);
}

/* ---- a block ---- */

/* The ids of a thread, and what a block keeps for its sums. */
typedef struct {
    int64_t first, end;
    int lane, warp, threads, warps;
    double *cells; /* WARPS */
    int64_t *counts;
    float *tops;
} share;

DEVICE int64_t block_least(const share *b, int64_t v)
{
    for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2) {
        const int64_t other = shuffle_int(v, b->lane ^ off);
        if (other < v) v = other;
    }
    if (b->lane == 0) b->counts[b->warp] = v;
    __syncthreads();
    for (int w = 0; w < b->warps; w++)
        if (b->counts[w] < v) v = b->counts[w];
    __syncthreads();
    return v;
}

/* The largest value, and the lowest id that has it. */
DEVICE float block_largest(const share *b, float v, int64_t id, int64_t *at)
{
    float top = v;
    for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2) {
        const float other = shuffle(top, b->lane ^ off);
        if (other > top) top = other;
    }
    if (b->lane == 0) b->tops[b->warp] = top;
    __syncthreads();
    for (int w = 0; w < b->warps; w++)
        if (b->tops[w] > top) top = b->tops[w];
    __syncthreads();
    *at = block_least(b, v == top ? id : INT64_MAX);
    return top;
}

/* The sum of the threads before this one, and of all, in one order. */
DEVICE double block_before(const share *b, double v, double *total)
{
    double sum = v;
    for (int off = 1; off < AGI_WARP_LANES; off *= 2) {
        const double other = shuffle_double(sum, b->lane - off);
        if (b->lane >= off) sum += other;
    }
    double below = shuffle_double(sum, b->lane - 1), before = 0;
    if (b->lane == AGI_WARP_LANES - 1) b->cells[b->warp] = sum;
    __syncthreads();
    *total = 0;
    for (int w = 0; w < b->warps; w++) {
        if (w == b->warp) before = *total;
        *total += b->cells[w];
    }
    __syncthreads();
    return b->lane ? before + below : before;
}

/* The k-th largest value, k <= n, digit by digit. */
DEVICE float kth_largest(const share *b, const float *l, int64_t k, int *bins)
{
    uint32_t known = 0, mask = 0;
    for (int shift = 32 - DIGIT; shift >= 0; shift -= DIGIT) {
        for (int i = threadIdx.x; i < BINS; i += b->threads) bins[i] = 0;
        __syncthreads();
        for (int64_t i = b->first; i < b->end; i++) {
            const uint32_t u = ordered(l[i]);
            if ((u & mask) == known) atomicAdd(&bins[u >> shift & (BINS - 1)], 1);
        }
        __syncthreads();
        /* From the largest digit down, BINS / 32 to a lane, the same in every warp. */
        enum { EACH_LANE = BINS / AGI_WARP_LANES };
        const int top = BINS - 1 - b->lane * EACH_LANE;
        int64_t mine = 0;
        for (int i = 0; i < EACH_LANE; i++) mine += bins[top - i];
        int64_t sum = mine;
        for (int off = 1; off < AGI_WARP_LANES; off *= 2) {
            const int64_t other = shuffle_int(sum, b->lane - off);
            if (b->lane >= off) sum += other;
        }
        int64_t above = sum - mine, found = -1, rest = 0;
        for (int i = 0; i < EACH_LANE && found < 0 && above < k; i++) {
            if (above + bins[top - i] >= k) {
                found = top - i;
                rest = k - above;
            } else above += bins[top - i];
        }
        for (int off = AGI_WARP_LANES / 2; off > 0; off /= 2) {
            const int64_t digit = shuffle_int(found, b->lane ^ off);
            const int64_t left = shuffle_int(rest, b->lane ^ off);
            if (digit > found) {
                found = digit;
                rest = left;
            }
        }
        known |= (uint32_t)found << shift;
        mask |= (uint32_t)(BINS - 1) << shift;
        k = rest;
        __syncthreads();
    }
    return agi_f32_from_bits(known & 0x80000000u ? known & 0x7fffffffu : ~known);
}

/* Removes the least likely ids whose probabilities p add up to at most 1 - top_p; of equal ones the
 * lower ids first; the likeliest stays. */
DEVICE void keep_top_p(const share *b, float *l, float *p, float max, float top_p)
{
    double mine = 0, total;
    for (int64_t i = b->first; i < b->end; i++) mine += (double)p[i];
    block_before(b, mine, &total);
    const double limit = (1.0 - (double)top_p) * total;
    /* The value at which the sum from the least likely goes over the limit, bit by bit; `base` is
     * what lies below the values that begin with the bits known. */
    const uint32_t most = ordered(max);
    uint32_t known = 0, mask = 0;
    double base = 0, here;
    for (int bit = 31; bit >= 0; bit--) {
        const uint32_t one = 1u << bit;
        double lower;
        mine = 0;
        for (int64_t i = b->first; i < b->end; i++) {
            const uint32_t u = ordered(l[i]);
            if ((u & mask) == known && !(u & one)) mine += (double)p[i];
        }
        block_before(b, mine, &lower);
        if (base + lower <= limit) {
            base += lower;
            known |= one;
        }
        mask |= one;
    }
    if (known > most) { /* the limit is all there is */
        known = most;
        mine = 0;
        for (int64_t i = b->first; i < b->end; i++)
            if (ordered(l[i]) < most) mine += (double)p[i];
        block_before(b, mine, &base);
    }
    /* Those that have the value go one by one. */
    mine = 0;
    for (int64_t i = b->first; i < b->end; i++) mine += ordered(l[i]) == known;
    const double rank = block_before(b, mine, &here);
    const float value = agi_f32_from_bits(known & 0x80000000u ? known & 0x7fffffffu : ~known);
    const double each = (double)expf(value - max), stay = known == most ? 1 : 0;
    double gone = 0, sum = base, at = rank;
    while (gone < here - stay && (sum += each) <= limit) gone += 1;
    for (int64_t i = b->first; i < b->end; i++) {
        const uint32_t u = ordered(l[i]);
        if (u < known || (u == known && at++ < gone)) {
            l[i] = -INFINITY;
            p[i] = 0;
        }
    }
}

/* The smallest id at which the running sum of probabilities exceeds u of the total; n where no sum
 * does. */
DEVICE int64_t inverse_cdf(const share *b, const float *p, int64_t n, double u)
{
    double mine = 0, total;
    for (int64_t i = b->first; i < b->end; i++) mine += (double)p[i];
    const double before = block_before(b, mine, &total), target = u * total;
    int64_t found = n, last = n;
    double sum = before;
    if (before + mine > target)
        for (int64_t i = b->first; i < b->end && found == n; i++) {
            sum += (double)p[i];
            if (p[i] > 0) last = i;
            if (p[i] > 0 && sum > target) found = i;
        }
    return block_least(b, found < n ? found : last); /* where rounding has it not quite there */
}

KERNEL(sample, sample_args, THREADS, 1)
{
    SHARED(double, cells, WARPS);
    SHARED(int64_t, counts, WARPS);
    SHARED(float, tops, WARPS);
    SHARED(int, bins, BINS);
    const agi_sample_args *o = &a->of;
    const int64_t r = blockIdx.x, n = o->vocab, run = (n + blockDim.x - 1) / blockDim.x;
    const float *x = o->logits + r * o->logits_stride;
    float *l = a->scratch + r * 2 * n, *p = l + n;
    share b;
    settings s;
    b.lane = threadIdx.x % AGI_WARP_LANES;
    b.warp = threadIdx.x / AGI_WARP_LANES;
    b.threads = blockDim.x;
    b.warps = b.threads / AGI_WARP_LANES;
    b.first = threadIdx.x * run < n ? threadIdx.x * run : n;
    b.end = b.first + run < n ? b.first + run : n;
    b.cells = cells;
    b.counts = counts;
    b.tops = tops;
    BEGIN();
    if (o->faults.p && o->faults.p[r * o->faults.stride]) { /* the same for the whole block */
        if (threadIdx.x == 0) o->out[r * o->out_stride] = 0;
        return;
    }
    if (!read_settings(&s, o, r, a->fault)) return;
    int64_t bad = n, at = n, id;
    float top = -INFINITY;
    for (int64_t i = b.first; i < b.end; i++) {
        if ((x[i] != x[i] || (x[i] > 0 && !is_finite(x[i]))) && bad == n) bad = i;
        l[i] = adjusted(o, r, s.penalty, x[i], i);
        if (l[i] > top || at == n) {
            top = l[i];
            at = i;
        }
    }
    bad = block_least(&b, bad);
    if (bad < n) {
        const bool nan = x[bad] != x[bad];
        refuse(o, r, a->fault, nan ? AGI_FAULT_NAN : AGI_FAULT_INF, 0, 0);
        return;
    }
    float max = block_largest(&b, top, at, &id);
    if (max == -INFINITY) {
        refuse(o, r, a->fault, AGI_FAULT_NO_LOGIT, 0, 0);
        return;
    }
    if (s.temperature > 0) {
        if (s.temperature != 1) {
            for (int64_t i = b.first; i < b.end; i++) l[i] /= s.temperature;
            max /= s.temperature;
        }
        if (is_finite(max)) { /* else a temperature this small is as good as 0 */
            if (s.top_k > 0 && s.top_k < n) {
                const float least = kth_largest(&b, l, s.top_k, bins); /* ties with it stay */
                for (int64_t i = b.first; i < b.end; i++)
                    if (l[i] < least) l[i] = -INFINITY;
            }
            for (int64_t i = b.first; i < b.end; i++)
                p[i] = l[i] > -INFINITY ? expf(l[i] - max) : 0;
            if (s.top_p < 1) keep_top_p(&b, l, p, max, s.top_p);
            for (int64_t i = b.first; i < b.end; i++)
                if (p[i] < s.min_p) p[i] = 0; /* of the likeliest it is 1 */
            const int64_t drawn = inverse_cdf(&b, p, n, uniform(o, r));
            if (drawn < n) id = drawn;
        }
    }
    if (threadIdx.x == 0) {
        o->out[r * o->out_stride] = (int32_t)id;
        if (o->seen) o->seen[r * o->seen_stride + id] = 1;
    }
}

int64_t agi_cuda_sample_scratch(const agi_sample_args *a)
{
    return a->rows * 2 * a->vocab * (int64_t)sizeof(float);
}

LAUNCHER(sample)
{
    const sample_args a = {*(const agi_sample_args *)args, (float *)l->scratch, l->fault};
    if (a.of.rows == 0) return 0;
    const int64_t threads = blocks_of(a.of.vocab, IDS * AGI_WARP_LANES) * AGI_WARP_LANES;
    return START(l, sample, a.of.rows, 1, threads < THREADS ? (int)threads : THREADS, &a);
}
