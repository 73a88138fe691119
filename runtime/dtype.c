/* dtype.c: see dtype.h. */
#include "argent.h"
#include "dtype.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *name, *file_name, *host;
    bool negative; /* there are negative ones */
} dtypes[AG_DTYPES] = {
#define AG_DTYPE(NAME, name, type, ...) [AG_##NAME] = {#name, #NAME, #type, (type)-1 < 0},
#include "dtype.def"
};

static const struct {
    const char *name;
    int dtype;
} weights[AGI_WEIGHTS] = {
#define AG_WEIGHT(NAME, name, dtype, ...) [AGI_WEIGHT_##NAME] = {#name, dtype},
#include "dtype.def"
};

bool agi_dtype_valid(int dtype) { return dtype >= 0 && dtype < AG_DTYPES; }

const char *agi_dtype_file_name(int dtype) { return dtypes[dtype].file_name; }

bool agi_dtype_converts(int from, int to)
{
    return from == to || (agi_dtype_infinite(from) && agi_dtype_infinite(to));
}

bool agi_dtype_holds(int dtype, double value)
{
    if (agi_dtype_infinite(dtype)) return true;
    const double values = ldexp(1, (int)(8 * agi_dtype_size(dtype)));
    const double least = dtypes[dtype].negative ? -values / 2 : 0;
    return value == rint(value) && value >= least && value < least + values;
}

int agi_weight_kind_of(int dtype)
{
    for (int i = 0; i < AGI_WEIGHTS; i++)
        if (weights[i].dtype == dtype) return i;
    return -1;
}

bool agi_weight_dense(int kind) { return agi_dtype_infinite(weights[kind].dtype) != 0; }

const char *ag_dtype_name(int dtype) { return agi_dtype_valid(dtype) ? dtypes[dtype].name : NULL; }

const char *ag_dtype_host(int dtype) { return agi_dtype_valid(dtype) ? dtypes[dtype].host : NULL; }

int ag_dtype_float(int dtype) { return agi_dtype_valid(dtype) && agi_dtype_infinite(dtype) != 0; }

const char *ag_weight_name(int kind)
{
    return kind >= 0 && kind < AGI_WEIGHTS ? weights[kind].name : NULL;
}

/* Exponent bits all ones: infinite or NaN, whatever the dtype. The inner sums are 32 bits wide, as
 * a vector of them holds twice as many. */
int64_t agi_count_nonfinite(const char *p, int64_t n, int dtype)
{
    enum { BLOCK = 1 << 16 };
    const uint32_t word = agi_dtype_infinite(dtype);
    const uint16_t half = (uint16_t)word;
    const int64_t size = agi_dtype_size(dtype);
    int64_t bad = 0;
    if (word == 0) return 0;
    for (; n > 0; n -= BLOCK, p += BLOCK * size) {
        const int64_t m = n < BLOCK ? n : BLOCK;
        uint32_t some = 0, u;
        uint16_t h;
        if (size == 4) {
            for (int64_t i = 0; i < m; i++) {
                memcpy(&u, p + 4 * i, 4);
                some += (u & word) == word;
            }
        } else {
            for (int64_t i = 0; i < m; i++) {
                memcpy(&h, p + 2 * i, 2);
                some += (h & half) == half;
            }
        }
        bad += some;
    }
    return bad;
}
