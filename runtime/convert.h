/* convert.h: elements of one dtype as elements of another. */
#ifndef ARGENT_CONVERT_H
#define ARGENT_CONVERT_H

#include <stdint.h>

/* n elements at x, xs from one to the next, as dtype `to` to out, os from one to the next. Strides
 * are in elements, addresses need no alignment. For dtypes that agi_dtype_converts; the same dtype
 * keeps every bit. */
void agi_convert(char *out, int to, int64_t os, const char *x, int from, int64_t xs, int64_t n);

#endif
