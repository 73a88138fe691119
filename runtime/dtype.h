/* dtype.h: what C asks of dtype.def. */
#ifndef ARGENT_DTYPE_H
#define ARGENT_DTYPE_H

#include "argent.h"
#include "half.h"

#include <stdbool.h>
#include <stdint.h>

bool agi_dtype_valid(int dtype);

/* Of valid dtypes. Bytes of one element. */
AGI_BOTH int64_t agi_dtype_size(int dtype)
{
    switch (dtype) {
/* clang-format off */
#define AG_DTYPE(NAME, name, type, ...) case AG_##NAME: return (int64_t)sizeof(type);
#include "dtype.def"
        /* clang-format on */
    }
    return 0;
}

/* The exponent's bits of a float, all ones in infinities and NaN alone; 0 for integers. */
AGI_BOTH uint32_t agi_dtype_infinite(int dtype)
{
    switch (dtype) {
/* clang-format off */
#define AG_DTYPE(NAME, name, type, infinite) case AG_##NAME: return infinite;
#include "dtype.def"
        /* clang-format on */
    }
    return 0;
}

const char *agi_dtype_file_name(int dtype); /* in safetensors: "F32", ... */
bool agi_dtype_converts(int from, int to);  /* every float to every float, and each to itself */
/* Whether an element can be this number, of which a float may round it. */
bool agi_dtype_holds(int dtype, double value);

/* The kinds of weights. A switch over them has no default, so that the compiler names the places
 * that a new kind lacks. */
enum agi_weight_kind {
#define AG_WEIGHT(NAME, ...) AGI_WEIGHT_##NAME,
#include "dtype.def"
};
enum {
    AGI_WEIGHTS = 0
#define AG_WEIGHT(...) +1
#include "dtype.def"
};
/* Whether weights of a kind are floats, not codes with scales. */
bool agi_weight_dense(int kind);
/* The kind that tensors of a dtype are; -1: none. */
int agi_weight_kind_of(int dtype);

/* How many of the n elements at p, which need not be aligned, are NaN or infinite; of integers
 * none. */
int64_t agi_count_nonfinite(const char *p, int64_t n, int dtype);

#endif
