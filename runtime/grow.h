/* grow.h: arrays that get longer. */
#ifndef ARGENT_GROW_H
#define ARGENT_GROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* Makes room in *p, which has n of *cap elements, for one more; false, and all as it was, where
 * there is no memory. */
static inline bool agi_grow(void **p, int n, int *cap, size_t size)
{
    if (n < *cap) return true;
    int more = *cap ? 2 * *cap : 64;
    void *q = realloc(*p, (size_t)more * size);
    if (!q) return false;
    *p = q;
    *cap = more;
    return true;
}

#endif
